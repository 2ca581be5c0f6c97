"""dreamlift/pilots.py: the best beginning goes on, to the bits that its seed alone would give."""

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from test_fit import crash
from test_sketch import slab
from tiny_prior import FINISH, load_oracle, numbers, save_words
from torch import Tensor

from dreamlift import api, pilots
from dreamlift.detectors import Look
from dreamlift.errors import BadInput
from dreamlift.fit import Moment, Observer
from dreamlift.geometry.isosurface import DegenerateError
from dreamlift.grammar import parse
from dreamlift.io.images import load_image
from dreamlift.io.mesh_files import write_mesh
from dreamlift.learn.slots import answers
from dreamlift.observers import log
from dreamlift.priors.source import Source
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.recipes.latent_nerf import LatentNeRF
from dreamlift.run import Run
from dreamlift.toybox.lists import among


def dull(x: Tensor, captions: Sequence[str]) -> Tensor:
    """Finds the first caption the likelier, the less colour a picture has; all others alike."""
    plain = 1 - 20 * x.std((1, 2, 3))[:, None]
    return torch.cat([plain, (1 - plain).expand(-1, len(captions) - 1)], 1) / 0.048


def unexported(scene: object, folder: Path, *, finish: object, replace: bool) -> api.Asset:
    return api.Asset(folder)


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A prior played by the oracle, a CLIP by `dull`, and no time spent on bringing out."""
    monkeypatch.setattr(Source, "load", load_oracle)
    monkeypatch.setattr(api, "embedded_reader", lambda: SimpleNamespace(likelihood=dull))
    monkeypatch.setattr(api, "export", unexported)
    return save_words(tmp_path / "words")


def run_of(folder: Path, words: Path, observers: Sequence[Observer], count: int = 3) -> Run:
    """Work at a run of three pilots, of 8 steps."""
    asked = api.request(numbers(seed=5), prior=words, finish=FINISH, pilot=count)
    run = api.start(asked, folder)
    api.carry_on(run, observers)
    return run


def scene(run: Run) -> dict[str, Any]:
    state = run.load()
    assert state is not None and state["step"] == 8
    return state["scene"]


def same(a: Run, b: Run) -> bool:
    one, two = scene(a), scene(b)
    return one.keys() == two.keys() and all(torch.equal(one[k], two[k]) for k in one)


def test_the_best_pilot_goes_on_as_its_seed_alone_would(tmp_path: Path, words: Path) -> None:
    run = run_of(tmp_path / "run", words, [log])
    told = json.loads((run.path / pilots.FILE).read_text())
    scores = {entry["seed"]: entry["score"] for entry in told["pilots"]}
    assert [*scores] == [5, 6, 7] and len(set(scores.values())) == 3
    best = told["chosen"]
    assert scores[best] == max(scores.values())
    for seed, score in scores.items():
        pilot = Run(run.path / "pilots" / str(seed))
        assert (pilot.load() or {})["step"] == 2  # 30 % of 8
        kept: Any = (pilot / pilots.LOOK).load()
        look = Look(kept["color"], kept["alpha"])
        assert pilots.likeness(look, "a cone", dull) == pytest.approx(score)
    alone = api.start(api.request(numbers(seed=best), prior=words, finish=FINISH), tmp_path / "a")
    api.carry_on(alone, [log])
    assert same(run, alone)
    assert (run.path / "metrics.jsonl").read_bytes() == (alone.path / "metrics.jsonl").read_bytes()
    sheet = load_image(run.path / pilots.PICTURE)
    assert sheet.shape[0] > 3 * 128 and sheet.shape[1] > 4 * 128


def test_a_pilot_that_comes_to_nothing_is_passed_over(
    tmp_path: Path, words: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_as_ever, lost = DreamFusion.run, {6}

    def run(self: DreamFusion, *given: Any, **more: Any) -> Any:
        if self.seed in lost:
            raise DegenerateError("degenerate object: fog")
        return run_as_ever(self, *given, **more)

    monkeypatch.setattr(DreamFusion, "run", run)
    told = json.loads((run_of(tmp_path / "run", words, []).path / pilots.FILE).read_text())
    assert [entry["seed"] for entry in told["pilots"]] == [5, 7] and told["chosen"] in (5, 7)
    lost |= {5, 7}
    with pytest.raises(DegenerateError, match="fog"):
        run_of(tmp_path / "none", words, [])


@pytest.mark.seconds
@pytest.mark.parametrize("at", [3, 9])
def test_stopped_anywhere_it_chooses_and_ends_alike(tmp_path: Path, words: Path, at: int) -> None:
    """In the second pilot, and on the way to the end."""
    whole, steps = run_of(tmp_path / "whole", words, []), list[int]()

    def stop(moment: Moment) -> None:
        steps.append(moment.step.index)
        if len(steps) == at:
            crash()

    with pytest.raises(RuntimeError, match="a crash"):
        run_of(tmp_path / "stopped", words, [stop])
    begun = [p for p in (tmp_path / "stopped").rglob(f"{pilots.LOOK}/*.safetensors")]
    times = {p: p.stat().st_mtime_ns for p in begun}
    run = run_of(tmp_path / "stopped", words, [])
    assert same(run, whole)
    files = [r.path / pilots.FILE for r in (run, whole)]
    assert files[0].read_bytes() == files[1].read_bytes()
    assert all(p.stat().st_mtime_ns == when for p, when in times.items())  # none made again


@pytest.mark.seconds
def test_killed_between_its_look_and_its_state_a_pilot_is_done(tmp_path: Path, words: Path) -> None:
    """The look is kept first; from whatever state was left the run comes to the same bits."""
    whole = run_of(tmp_path / "whole", words, [])
    best = json.loads((whole.path / pilots.FILE).read_text())["chosen"]
    (whole.path / pilots.FILE).unlink()
    whole.checkpoint.unlink()
    (whole.path / "pilots" / str(best) / "checkpoint.safetensors").unlink()
    again = run_of(tmp_path / "whole", words, [])
    assert same(again, run_of(tmp_path / "other", words, []))


def test_the_score_is_the_share_of_the_prompt_among_its_neighbours() -> None:
    look = Look(torch.zeros(8, 4, 4, 3), torch.ones(8, 4, 4, 1))  # black, of no colour: (1, 0)
    n = len(among("a red ball"))
    logits = torch.tensor([1.0, *[0.0] * (n - 1)]) / 0.048
    wanted = float(logits.log_softmax(0)[0])
    assert pilots.likeness(look, "a red ball", dull) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("prompt", ["a small rainbow ball", "a corgi wearing a striped scarf"])
def test_a_prompt_is_told_from_captions_that_claim_something_else(prompt: str) -> None:
    """All 256 can be read, and no two make the same claims."""
    pilots.check(prompt, 3, world=True)
    given: list[str] = []

    def reads(x: Tensor, captions: Sequence[str]) -> Tensor:
        given.extend(captions)
        return dull(x, captions)

    pilots.likeness(Look(torch.zeros(2, 4, 4, 3), torch.ones(2, 4, 4, 1)), prompt, reads)
    assert len(given) == 256 and given[0] == prompt
    assert len({tuple(answers(parse(text))) for text in given}) == 256


def test_pilots_are_refused_before_any_work(words: Path) -> None:
    for count in (0, -1, 33):
        with pytest.raises(BadInput, match=f"1 to 32 pilots; {count} were"):
            api.request(numbers(), prior=words, pilot=count)
    with pytest.raises(BadInput, match="embedded CLIP"):
        pilots.check("a cone", 3, world=False)
    for prompt, why in {
        "a mongoose": "does not know the word 'mongoose'",
        "a dog wearing a red hat, blue scarf": "two things at most are read; here are 3",
    }.items():
        with pytest.raises(BadInput, match=f"cannot be scored: .*{why}"):
            pilots.check(prompt, 3, world=True)


def test_one_pilot_is_a_plain_run(words: Path) -> None:
    plain, asked = api.request(numbers(), prior=words), api.request(numbers(), prior=words, pilot=1)
    assert plain.config() == asked.config() and "pilot" not in plain.config()
    many = api.request(numbers(), prior=words, pilot=3, remedies=False)
    assert many.config()["pilot"] == 3 and many.config()["remedies"] is False


def test_pilots_have_the_run_s_sketch(tmp_path: Path, words: Path) -> None:
    """The user's mesh is gone when they begin."""
    mesh = tmp_path / "slab.ply"
    write_mesh(mesh, [slab()])
    prompt = numbers(seed=5).prompt
    recipe = LatentNeRF(prompt, steps=8, color_steps=1, size=16, samples=24, sketch=str(mesh))
    run = api.start(api.request(recipe, prior=words, finish=FINISH, pilot=2), tmp_path / "run")
    mesh.unlink()
    api.carry_on(run, [])
    assert len(json.loads((run.path / pilots.FILE).read_text())["pilots"]) == 2
