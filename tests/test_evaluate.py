"""The figures fall when an object is wrong in a known way, and reports say what they promise."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor
from witness import Witness, flattened, swapped

from dreamlift.errors import BadInput
from dreamlift.evaluate import figures, judging, ladder, look, truths
from dreamlift.evaluate.runs import evaluate
from dreamlift.geometry.mesh import Surface
from dreamlift.grammar import parse
from dreamlift.io.gltf import write_glb
from dreamlift.learn import judge as learned
from dreamlift.likeness import psnr
from dreamlift.prior import Aligner, Prior
from dreamlift.priors.oracle import Oracle
from dreamlift.priors.seen import EVERYTHING, seen
from dreamlift.scene import Shot
from dreamlift.toybox.lists import among, shapes_among
from dreamlift.toybox.near import EVERY, FIRST
from dreamlift.toybox.scenes import toy_scene

TOWER = "a red cube on top of a blue cylinder"
SNOWMAN = "a snowman wearing a santa hat"


def judged(parts: Sequence[Surface], prompt: str, judge: judging.Judge) -> judging.Verdict:
    return judging.verdict(judging.seen(truths.through_a_file(parts)), prompt, judge)


@pytest.fixture(scope="module")
def tower() -> tuple[Surface, ...]:
    return truths.true_parts(TOWER)


@pytest.fixture(scope="module")
def true_tower(tower: Sequence[Surface]) -> judging.Sides:
    return judging.seen(truths.through_a_file(tower))


# -- what is looked at ----------------------------------------------------------------------------


def test_the_views_are_those_of_the_definition():
    """12 azimuths, offset 15 degrees, from elevations 15 and 45: a change changes the metric."""
    at = look.cameras()
    assert (len(at), at.height, at.width) == (24, 64, 64)
    seen = {(round(float(a)) % 360, round(float(e)))
            for a, e in zip(at.azimuth, at.elevation, strict=True)}  # fmt: skip
    assert seen == {(15 + 30 * i, e) for i in range(12) for e in (15, 45)}
    assert at.azimuth[look.behind()].abs().min() == pytest.approx(105, abs=1e-3)
    assert int(look.behind().sum()) == 12
    own = truths.sampled_from()
    assert sorted((own.azimuth.round() % 360).tolist()) == [15 + 30 * i for i in range(12)]
    assert sorted(own.elevation.round().tolist()) == [15] * 6 + [45] * 6


@pytest.mark.seconds
def test_a_picture_shows_colours_and_an_untextured_one_does_not(true_tower: judging.Sides):
    plain, white = true_tower.textured, true_tower.untextured
    grey = torch.tensor(look.BACKGROUND)
    assert torch.equal(plain[:, 0, 0], grey.expand(24, 3))
    assert (white.amax(-1) - white.amin(-1)).max() < 1e-6
    assert (plain.amax(-1) - plain.amin(-1)).max() > 0.5
    covered = [(x - grey).abs().amax(-1) > 0.03 for x in (plain, white)]
    assert (covered[0] & covered[1]).sum() > 0.95 * covered[1].sum()


@pytest.mark.seconds
def test_a_true_object_through_a_file_looks_like_the_toy_itself(true_tower: judging.Sides):
    """The mesh of its parts, written, read and cast, against the tracer of its distances."""
    toy = look.pictures(toy_scene(parse(TOWER), 0), textureless=False)
    assert (true_tower.textured - toy).abs().mean() < 0.005


@pytest.mark.seconds
def test_a_true_object_has_all_its_parts():
    """A slice of cheese in the shape of a table is thinner than the samples of a part's mesh."""
    prompt = "a table in the shape of a hamburger"
    assert len(truths.true_parts(prompt)) == len(toy_scene(parse(prompt), 0).built.parts)


@pytest.mark.seconds
def test_the_captions_are_the_prompt_and_its_frozen_neighbours():
    first = seen(judging.WEIGHTS)
    color, geometry = (judging.captions(TOWER, first, textureless=blank) for blank in (False, True))
    assert judging.known(first) == FIRST and judging.known(EVERYTHING) == EVERY
    assert color == among(TOWER, known=FIRST)
    assert (color[0], len(color), len(set(color))) == (TOWER, 256, 256)
    assert geometry == shapes_among(TOWER, known=FIRST)
    assert geometry[0] == "an untextured cube on top of a cylinder"
    assert 100 < len(set(geometry)) == len(geometry) < 256


# -- what the figures tell ------------------------------------------------------------------------


@pytest.mark.seconds
def test_a_true_object_scores_and_the_wrong_ones_fall(
    tower: Sequence[Surface], true_tower: judging.Sides
):
    """Colours swapped, a part missing, a flat billboard: each loses where it is wrong."""
    judge = Witness(TOWER)
    truth = judging.verdict(true_tower, TOWER, judge)
    assert truth.color.share > 0.9
    assert truth.geometry.share > 0.9
    assert truth.color.captions == 256
    assert truth.janus is None

    turned = judged(swapped(tower), TOWER, judge)
    assert turned.color.share == 0
    assert turned.color.mistaken[0][0] == "a blue cube on top of a red cylinder"
    assert turned.geometry.share == truth.geometry.share

    half = judged(tower[:1], TOWER, judge)
    assert half.color.share == 0
    assert half.geometry.share < 0.2

    flat = judged(flattened(tower), TOWER, judge)
    assert 0.3 < flat.color.share < truth.color.share - 0.2
    assert flat.geometry.share < truth.geometry.share - 0.2


@pytest.mark.seconds
def test_the_geometry_is_judged_without_colours_on_either_side(true_tower: judging.Sides):
    shown: list[Tensor] = []
    told: list[Sequence[str]] = []

    class Recorder(Witness):
        def embed_image(self, x: Tensor) -> Tensor:
            shown.append(x)
            return super().embed_image(x)

        def embed_text(self, texts: Sequence[str]) -> Tensor:
            told.append(texts)
            return super().embed_text(texts)

    judging.verdict(true_tower, TOWER, Recorder(TOWER))
    assert torch.equal(shown[0], true_tower.textured)
    assert torch.equal(shown[1], true_tower.untextured)
    assert told == [among(TOWER, known=FIRST), shapes_among(TOWER, known=FIRST)]
    told.clear()
    wide = Recorder(TOWER)
    wide.seen = EVERYTHING
    judging.verdict(true_tower, TOWER, wide)
    assert told == [among(TOWER, known=EVERY), shapes_among(TOWER, known=EVERY)]


@pytest.mark.seconds
def test_a_second_face_raises_the_janus_rate():
    parts, judge = truths.true_parts(SNOWMAN), Witness(SNOWMAN)
    true, planted = (
        judging.janus(look.pictures(truths.through_a_file(x), textureless=False), judge)
        for x in (parts, truths.two_faced(parts))
    )
    assert true <= 0.2
    assert planted >= 0.6
    turned = parts[0].vertices * torch.tensor([-1.0, -1.0, 1.0])
    assert torch.equal(truths.two_faced(parts)[len(parts)].vertices, turned)


@pytest.mark.seconds
def test_the_priors_own_pictures_are_of_the_cameras_it_is_told(monkeypatch: pytest.MonkeyPatch):
    """The oracle's samples are the truth from each camera, up to its own spread (26 dB)."""
    monkeypatch.setattr(truths, "STEPS", 5)
    toy = toy_scene(parse(TOWER), 0)
    own = truths.samples(Oracle(toy.render), TOWER)
    true = toy.render(Shot(truths.sampled_from())).color
    assert psnr(own, true) > 26
    assert psnr(own, true.flip(0)) < 20
    assert torch.equal(own, truths.samples(Oracle(toy.render), TOWER))


def test_only_what_has_a_front_has_a_janus_rate():
    fronts = {"a frog on stilts": True, "a red ball": False, "a ball wearing a hat": False,
              "a chair on top of a cube": True, "a cube on top of a chair": True,
              "a table in the shape of a frog": False}  # fmt: skip
    assert {prompt: judging.has_front(prompt) for prompt in fronts} == fronts


@pytest.mark.seconds
def test_a_judge_that_knows_nothing_scores_nothing(true_tower: judging.Sides):
    """All captions tie, and a tie is not a first place."""

    class Blank(Witness):
        def embed_image(self, x: Tensor) -> Tensor:
            return torch.zeros(len(x), 26)

    assert isinstance(Blank(TOWER), Aligner)
    assert judging.verdict(true_tower, TOWER, Blank(TOWER)).color.share == 0


@pytest.mark.seconds
def test_the_kind_of_judge_that_ships_can_judge(tmp_path: Path, true_tower: judging.Sides):
    with pytest.raises(BadInput, match="judge's weights are not in"):
        judging.shipped_judge(tmp_path)
    for seed in (0, 1):
        torch.manual_seed(seed)
        learned.Judge(learned.JudgeShape(widths=(8, 16, 40, 24))).save(tmp_path / str(seed))
    a, again, b = (judging.shipped_judge(tmp_path / name) for name in "001")
    assert judging.fingerprint(a) == judging.fingerprint(again) != judging.fingerprint(b)
    assert len(judging.fingerprint(a)) == 16
    said = judging.verdict(true_tower, TOWER, a)
    assert said == judging.verdict(true_tower, TOWER, again)
    assert 0 <= judging.janus(true_tower.textured, a) <= 1
    judging.readable(TOWER, a)
    judging.readable("a corgi", a)
    with pytest.raises(BadInput, match="cannot be judged. Of a picture two things at most"):
        judging.readable("a frog on a cube on a ball", a)
    with pytest.raises(BadInput, match="'a corgi' cannot be judged"):
        judging.readable("a corgi", judging.shipped_judge())


@pytest.mark.weights
def test_the_judge_is_that_of_the_smallest_world_that_has_all_prompts():
    """Scores are compared within a report, so one judge gives them all."""
    first, whole = ["a frog", TOWER], ["a frog", "a corgi wearing a red scarf"]
    assert judging.judge_of(first).seen == seen(judging.WEIGHTS)
    assert judging.judge_of(whole).seen == EVERYTHING
    with pytest.raises(BadInput, match="'a zebra' cannot be judged"):
        judging.readable("a zebra", judging.judge_of(["a zebra"]))


@pytest.mark.weights
def test_a_judge_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(judging, "WHOLE", tmp_path)
    assert judging.judge_of(["a frog"]).seen == seen(judging.WEIGHTS)
    with pytest.raises(BadInput, match="with `dreamlift train judge-whole`"):
        judging.judge_of(["a corgi"])


def test_a_prior_that_makes_no_pictures_of_a_sentence_is_left_out(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuses(prior: Prior, text: str) -> Tensor:
        raise BadInput("This prior is told what the scene shows, and here is none.")

    monkeypatch.setattr(truths, "samples", refuses)
    oracle = Oracle(toy_scene(parse(TOWER), seed=0).render)
    found = truths.beside(TOWER, Witness(TOWER), oracle)
    assert found.prior is None and found.truth.color.share > 0.9
    assert "left out. This prior is told what the scene shows" in caplog.text


# -- reports --------------------------------------------------------------------------------------


def run_folder(path: Path, prompt: str, parts: Sequence[Surface] | None, seed: int = 0) -> Path:
    path.mkdir(parents=True)
    config = {"recipe": "dreamfusion", "prompt": prompt, "seed": seed, "versions": {}}
    (path / "config.json").write_text(json.dumps(config))
    if parts is not None:
        write_glb(path / "asset.glb", parts)
    return path


@pytest.mark.seconds
def test_a_report_holds_what_it_promises(tmp_path: Path, tower: Sequence[Surface]):
    good = run_folder(tmp_path / "good", TOWER, tower)
    bad = run_folder(tmp_path / "bad", TOWER, swapped(tower), seed=3)
    scores, html = tmp_path / "scores.json", tmp_path / "out" / "report.html"
    found = evaluate([good, bad, good], scores, html, judge=Witness(TOWER))
    assert found == json.loads(scores.read_text())
    assert found.keys() == {"r_precision", "janus", "runs"}
    assert found["r_precision"].keys() == {"color", "geometry"}
    assert found["janus"] is None
    a, b = found["runs"]
    assert found["r_precision"]["color"] == pytest.approx((a["color"] + b["color"]) / 2)
    assert (a["prompt"], a["seed"], b["seed"]) == (TOWER, 0, 3)
    assert (a["category"], a["janus"], b["color"]) == ("trained pair", None, 0.0)
    assert a["color"] == a["beside"]["true"]["color"] > 0.9
    assert a["beside"]["prior"] is None
    assert a["beside"]["chance"] == {"color": 1 / 256, "geometry": 1 / a["captions"]["geometry"]}
    assert b["mistaken"]["color"][0] == ["a blue cube on top of a red cylinder", 24]
    assert a["paths"] == {"run": str(good), "asset": str(good / "asset.glb")}
    assert a["judge"] == "Witness"
    page = html.read_text()
    assert page.count("<img") == page.count("data:image/jpeg;base64,") == 4
    assert "Taken for: a blue cube on top of a red cylinder (24)" in page
    assert "http" not in page
    assert "viewport" in page
    again = evaluate([bad], scores, html, judge=Witness(TOWER), baselines=False)
    assert json.loads(scores.read_text()) == again
    assert again["runs"][0]["beside"].keys() == {"chance"}


@pytest.mark.seconds
def test_a_run_without_an_object_scores_nothing(tmp_path: Path):
    gone = run_folder(tmp_path / "gone", SNOWMAN, None)
    found = evaluate([gone], judge=Witness(SNOWMAN), baselines=False, empty={gone: "only fog"})
    entry = found["runs"][0]
    assert (entry["color"], entry["geometry"], entry["janus"]) == (0.0, 0.0, None)
    assert entry["note"] == "only fog"
    assert found["janus"] is None


def test_bad_input_is_told_before_any_work(tmp_path: Path):
    judge = Witness(TOWER)
    bare = run_folder(tmp_path / "bare", TOWER, None)
    cases = [
        ([tmp_path / "nowhere"], "does not exist"),
        ([tmp_path], "is not a run"),
        ([bare], "has no asset.glb"),
        ([], "at least one run"),
    ]
    for runs, message in cases:
        with pytest.raises(BadInput, match=message):
            evaluate(runs, judge=judge)
    (bare / "asset.glb").write_bytes(b"never read")
    others = tmp_path / "shopping.txt"
    others.write_text("eggs")
    for place, message in ((others, "no earlier report"), (tmp_path, "is a folder")):
        for files in ((place, None), (None, place)):
            with pytest.raises(BadInput, match=message):
                evaluate([bare], *files, judge=judge)
    assert others.read_text() == "eggs"
    strange = run_folder(tmp_path / "strange", "a frog wearing a corgi", None)
    (strange / "asset.glb").write_bytes(b"never read")
    with pytest.raises(BadInput, match="corgi"):
        evaluate([strange], judge=judge)


def test_scores_are_not_lost_to_the_page_nor_to_a_broken_object(
    tmp_path: Path, tower: Sequence[Surface], monkeypatch: pytest.MonkeyPatch
):
    good = run_folder(tmp_path / "good", TOWER, tower)
    same = tmp_path / "same.x", tmp_path / "good" / ".." / "same.x"
    monkeypatch.setattr("dreamlift.evaluate.runs.load_mesh", lambda *_: pytest.fail("it is judged"))
    with pytest.raises(BadInput, match="cannot hold both the scores and the page"):
        evaluate([good], *same, judge=Witness(TOWER))
    torn = run_folder(tmp_path / "torn", TOWER, None)
    (torn / "asset.glb").write_bytes((good / "asset.glb").read_bytes()[:-99])
    with pytest.raises(BadInput, match=r"torn/asset\.glb .* Leave .*torn out"):
        evaluate([good, torn], judge=Witness(TOWER))
    with pytest.raises(BadInput, match="cannot be written: .*asset.glb is no folder"):
        evaluate([good], good / "asset.glb" / "scores.json", judge=Witness(TOWER))


def entry(prompt: str, category: str, color: float, geometry: float, truth: float) -> figures.Entry:
    return {"prompt": prompt, "seed": 0, "category": category, "color": color,
            "geometry": geometry, "janus": None,
            "beside": {"true": {"color": truth, "geometry": truth, "janus": None},
                       "prior": None, "chance": {"color": 1 / 256}}}  # fmt: skip


def test_seeds_of_one_prompt_make_an_interval_no_narrower():
    one = [entry(str(share), "single", share / 16, 0.5, 1.0) for share in range(10)]
    alone, four = (figures.rows(runs)[0].figures["runs"] for runs in (one, 4 * one))
    assert (four.value, four.low, four.high) == (alone.value, alone.low, alone.high)
    assert (alone.objects, four.objects) == (10, 40)


def test_figures_are_means_over_prompts_by_group():
    runs = [entry("a", "single", 1.0, 0.5, 1.0), entry("a", "single", 0.5, 0.5, 1.0),
            entry("b", "held-out pair", 0.0, 0.25, 0.8)]  # fmt: skip
    rows = {(row.kind, row.group): row.figures for row in figures.rows(runs)}
    assert set(rows) == {(k, g) for k in ("color", "geometry")
                         for g in ("all", "single", "held-out pair")}  # fmt: skip
    everything = rows["color", "all"]
    assert (everything["runs"].value, everything["runs"].objects) == (0.375, 3)
    assert (everything["true"].value, everything["true"].objects) == (pytest.approx(0.9), 2)
    assert "prior" not in everything
    assert everything["chance"].high == pytest.approx(1 / 256)
    assert rows["color", "single"]["runs"].value == 0.75
    low, high = everything["runs"].low, everything["runs"].high
    assert low < 0.375 < high
    for run, share in zip(runs, (0.25, None, 0.75), strict=True):
        run["beside"]["prior"] = None if share is None else {"color": share}
    assert figures.values(runs, "color", "prior") == [0.25, 0.75], "none is no figure"
    runs[1]["beside"]["prior"] = {"color": 0.5}
    assert figures.values(runs, "color", "prior") == [0.25, 0.5, 0.75], "another prior's"
    text = figures.table(runs)
    assert "| color | all | 3 | 38 % (" in text
    assert "0.4 %" in text


def test_the_ladder_names_what_each_rung_loses():
    oracle = [entry("t", "trained pair", 0.9, 0.8, 1.0), entry("h", "held-out pair", 0.7, 0.8, 0.9)]
    prior = [entry("h", "held-out pair", 0.1, 0.4, 0.9), entry("t", "trained pair", 0.6, 0.8, 1.0)]
    truth, by_oracle, trained, held = ladder.ladder(oracle, prior)
    assert truth.color.value == pytest.approx(0.95)
    assert by_oracle.lost == (pytest.approx(0.15), pytest.approx(0.15))
    assert trained.lost == (pytest.approx(0.3), pytest.approx(0.0))
    assert held.lost == (pytest.approx(0.6), pytest.approx(0.4))
    again = [{**run, "seed": 1} for run in oracle]
    seen_once, _, _, _ = ladder.ladder(
        [*oracle, *again], [*prior, *({**r, "seed": 1} for r in prior)]
    )
    assert seen_once.color == truth.color, "a true object is one, with however many seeds"
    assert "| held-out caption | 1 | 10 % (" in ladder.table([truth, by_oracle, trained, held])
    with pytest.raises(ValueError, match="same prompts"):
        ladder.ladder(oracle, prior[:1])
    with pytest.raises(ValueError, match="held-out caption"):
        ladder.ladder(oracle[:1], prior[1:])
