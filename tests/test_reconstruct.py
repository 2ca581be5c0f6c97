"""dreamlift/reconstruct.py through the command line: photographs to a scene, scored on others."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import rng

from dreamlift.cameras import orbit
from dreamlift.cli import main
from dreamlift.convert.finish import Finish
from dreamlift.io.splats import read_splats
from dreamlift.posed import Posed
from dreamlift.recipes.hashed import HashGrid
from dreamlift.recipes.reconstruct import Reconstruct
from dreamlift.reconstruct import Reconstruct as Command
from dreamlift.reconstruct import recipe_of
from dreamlift.run import Run
from dreamlift.scenes.field import Field
from dreamlift.scenes.hashed import Hashed
from dreamlift.scenes.rebuilt import Rebuilt
from dreamlift.scenes.restore import restored
from dreamlift.step import Step

CAPTION = "a red cube on top of a blue ball"
FINER = "run/export-40-300-texture-64.glb"
QUICK = "--steps 160 --resolution 65 --rays 2048 --hold-out 7".split()
Result = tuple[int, list[str], str]


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-one pictures of a toy with alpha, traced from known cameras by `dreamlift data`."""
    out = tmp_path_factory.mktemp("toys")
    words = ["--views", "21", "--size", "40", "--outputs", "images", "--seed", "3"]
    assert main(["data", str(out), "--captions", CAPTION, *words]) == 0
    return out / "000000"


@pytest.fixture
def dreamlift(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Result]:
    """Run a command in a folder of the test, with small films and exports."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dreamlift.evaluate.photos.FRAMES", 2)
    small = Finish(resolution=40, faces=600, texture=64, frames=2, size=16)
    monkeypatch.setattr("dreamlift.evaluate.photos.Finish", lambda resolution: small)

    def run(*arguments: str) -> Result:
        capfd.readouterr()
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = int(str(stop.code))
        out, err = capfd.readouterr()
        return code, out.splitlines(), err

    return run


@pytest.mark.seconds
def test_a_toy_is_rebuilt_from_its_pictures_and_scored_on_others(
    toy: Path, dreamlift: Callable[..., Result]
) -> None:
    code, out, err = dreamlift("reconstruct", str(toy), "--out", "run", *QUICK)
    assert (code, out) == (0, ["run"]), err
    assert "18 photographs of 40x40 pixels, 3 more held out" in err
    report = json.loads(Path("run/report.json").read_text())
    names = [f"images/{i:03d}.png" for i in (0, 7, 14)]
    assert [row["name"] for row in report["held_out"]] == names
    assert report["psnr"] > 24 and report["ssim"] > 0.85
    assert report["surface"]["faces"] <= 600
    placement = torch.tensor(report["placement"])
    assert 0.7 < float(placement[0, 0]) < 1.6  # toys fill our ball already
    wanted = {"held_out.png", "flythrough.mp4", "orbit.mp4", "asset.glb", "asset.obj"}
    wanted |= {"config.json", "metrics.jsonl", "turntable.mp4"}
    assert wanted <= {path.name for path in Path("run").iterdir()}
    assert Path("run/previews/latest.png").is_file()
    again = dreamlift("reconstruct", str(toy), "--out", "run", *QUICK)
    assert again == (0, ["run"], "")
    for words, name in (
        (("--format", "stl"), "run/export-128-20000.stl"),  # of the asset that is there
        (("--resolution", "40", "--faces", "300", "--texture", "64"), FINER),
    ):
        assert dreamlift("export", "run", *words)[:2] == (0, [name])
        assert Path(name).stat().st_size > 1000
    code, out, err = dreamlift("export", "run", "--format", "spz")
    assert (code, out) == (2, []) and "There are no Gaussians in it" in err
    made = Path("run/asset.glb").read_bytes()
    Path("run/asset.glb").unlink()  # what is lost is made again
    assert dreamlift("resume", "run")[:2] == (0, ["run"])
    assert Path("run/asset.glb").read_bytes() == made
    code, out, err = dreamlift("reconstruct", str(toy), "--out", "run", *QUICK, "--seed", "1")
    assert code == 2 and "holds a run with other settings: seed is 0 there and 1 asked" in err


@pytest.mark.seconds
def test_a_toy_is_rebuilt_as_gaussians_and_exported_as_such(
    toy: Path, dreamlift: Callable[..., Result]
) -> None:
    words = "--scene gaussians --steps 120 --gaussians 600 --hold-out 7".split()
    code, out, err = dreamlift("reconstruct", str(toy), "--out", "run", *words)
    assert (code, out) == (0, ["run"]), err
    report = json.loads(Path("run/report.json").read_text())
    assert report["psnr"] > 18 and report["steps"] == 120
    cloud = read_splats(Path("run/asset.ply"))
    assert cloud.degree == 3 and len(cloud) != 600  # it grew and was pruned
    wanted = {"held_out.png", "flythrough.mp4", "orbit.mp4", "asset.glb", "turntable.mp4"}
    assert wanted <= {path.name for path in Path("run").iterdir()}
    for form in ("spz", "splat", "splat-ply"):
        code, out, err = dreamlift("export", "run", "--format", form)
        assert code == 0, err
        assert len(read_splats(Path(out[0]))) == len(cloud)
    assert dreamlift("reconstruct", str(toy), "--out", "run", *words) == (0, ["run"], "")


@pytest.mark.seconds
def test_a_toy_is_rebuilt_on_a_hash_grid(toy: Path, dreamlift: Callable[..., Result]) -> None:
    words = "--scene hashed --steps 120 --resolution 66 --rays 512 --hold-out 7".split()
    code, out, err = dreamlift("reconstruct", str(toy), "--out", "run", *words)
    assert (code, out) == (0, ["run"]), err
    report = json.loads(Path("run/report.json").read_text())
    assert report["psnr"] > 20 and report["steps"] == 120 and report["surface"]["faces"] <= 600
    state: dict[str, Any] = Run(Path("run"), "hashed").load() or {}
    assert isinstance(restored(state["scene"]), Field)
    assert dreamlift("export", "run", "--resolution", "40", "--faces", "300")[0] == 0
    assert Path("run/export-40-300.glb").stat().st_size > 1000
    assert dreamlift("reconstruct", str(toy), "--out", "run", *words) == (0, ["run"], "")


@pytest.mark.seconds
def test_a_hash_grid_continues_to_the_same_bits_and_takes_minutes(
    toy: Path, dreamlift: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dreamlift.evaluate.photos.report", unseen)
    words = (str(toy), *"--scene hashed --resolution 70 --rays 64".split())
    assert dreamlift("reconstruct", *words, "--steps", "19", "--out", "whole")[0] == 0
    adapt = Field.adapt

    def press(self: Field, step: Step, *rest: Any) -> None:
        adapt(self, step, *rest)
        if step.index == 9:
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patched:
        patched.setattr(Field, "adapt", press)
        assert dreamlift("reconstruct", *words, "--steps", "19", "--out", "run")[0] == 130
    assert dreamlift("resume", "run")[:2] == (0, ["run"])
    assert bits(Path("run"), "hashed") == bits(Path("whole"), "hashed")
    assert dreamlift("reconstruct", *words, "--minutes", "0.005", "--out", "timed")[0] == 0
    plan = json.loads(Path("timed/plan.json").read_text())
    assert plan["scene"] == "hashed" and 2 <= plan["steps"] < 200


@pytest.mark.seconds
def test_minutes_of_gaussians_are_measured_too(
    toy: Path, dreamlift: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dreamlift.evaluate.photos.report", unseen)
    words = (str(toy), "--scene", "gaussians", "--minutes", "0.005", "--gaussians", "100")
    code, _, err = dreamlift("reconstruct", *words, "--begin", "random", "--out", "run")
    assert code == 0, err
    plan = json.loads(Path("run/plan.json").read_text())
    assert plan["scene"] == "gaussians" and 2 <= plan["steps"] < 200


def test_an_unfinished_run_is_not_brought_out(dreamlift: Callable[..., Result]) -> None:
    Run.create(Path("run"), {"recipe": "reconstruct", "scene": "field", "resolution": 65})
    code, out, err = dreamlift("export", "run")
    assert (code, out) == (2, [])
    assert err == "dreamlift: run is not finished. Finish it first: dreamlift resume run\n"


def unseen(folder: Path, posed: Posed, made: object, about: Any, *, resolution: int) -> None:
    """Nothing of what comes after a fit, which takes its time."""
    (folder / "report.json").write_text(json.dumps(about))


def bits(run: Path, stage: str = "65") -> dict[str, bytes]:
    state: dict[str, Any] = Run(run, stage).load() or {}
    return {name: value.numpy().tobytes() for name, value in state["scene"].items()}


@pytest.mark.seconds
def test_an_interrupted_run_continues_to_the_same_bits(
    toy: Path, dreamlift: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dreamlift.evaluate.photos.report", unseen)
    words = (str(toy), "--steps", "14", "--resolution", "65", "--rays", "64")
    assert dreamlift("reconstruct", *words, "--out", "whole")[0] == 0
    adapt = Field.adapt
    calls = [0]

    def press(self: Field, *rest: Any) -> None:
        adapt(self, *rest)
        calls[0] += 1
        if calls[0] in (3, 9):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Field, "adapt", press)
    code, out, err = dreamlift("reconstruct", *words, "--out", "run")
    assert (code, out) == (130, [])
    assert err.endswith("Interrupted; nothing is lost. Continue with: dreamlift resume run\n")
    assert dreamlift("resume", "run")[0] == 130
    assert dreamlift("resume", "run")[:2] == (0, ["run"])
    assert bits(Path("run")) == bits(Path("whole"))


@pytest.mark.seconds
def test_minutes_are_measured_once_and_kept_as_steps(
    toy: Path, dreamlift: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dreamlift.evaluate.photos.report", unseen)
    words = (str(toy), "--minutes", "0.005", "--resolution", "65", "--rays", "64")
    code, out, err = dreamlift("reconstruct", *words, "--out", "run")
    assert (code, out) == (0, ["run"]), err
    plan = json.loads(Path("run/plan.json").read_text())
    assert 2 <= plan["steps"] < 200
    assert json.loads(Path("run/report.json").read_text())["steps"] == plan["steps"]
    lines = Path("run/metrics.jsonl").read_text().splitlines()
    assert len(lines) == plan["steps"]


def test_a_config_that_lacks_a_number_is_told_of(
    tmp_path: Path, dreamlift: Callable[..., Result]
) -> None:
    run = Run.create(tmp_path / "run", {"recipe": "reconstruct", "scene": "field"})
    code, out, err = dreamlift("export", str(run.path))
    assert (code, out) == (2, []) and "config.json does not say the resolution. It was" in err


BAD = {
    "no folder": (("nowhere",), "nowhere is no folder. Name one that holds posed photographs."),
    "empty": ((".",), ". holds no posed photographs: neither transforms.json nor "),
    "downscale": (("TOY", "--downscale", "0"), "The downscale must be 1 to 64; 0 was asked for."),
    "resolution": (
        ("TOY", "--resolution", "100"),
        "The resolution must be one more than a multiple of 64",
    ),
    "minutes": (("TOY", "--minutes", "0"), "The minutes and the reach must be above 0."),
    "reach": (("TOY", "--reach", "nan"), "The reach must be 0 to 1000; nan was asked for."),
    "points": (
        ("TOY", "--scene", "gaussians", "--begin", "points"),
        "came without points to begin at. Say --begin field",
    ),
    "hashed": (
        ("TOY", "--scene", "hashed", "--begin", "field"),
        "--begin field is where Gaussians begin, and a grid begins as fog. Leave it out",
    ),
    "hashed too fine": (
        ("TOY", "--scene", "hashed", "--resolution", "2048"),
        "The resolution must be 65 to 513; 2048 was asked for.",
    ),
    "gaussians": (
        ("TOY", "--gaussians", "1"),
        "The gaussians must be 100 to 10000000; 1 was asked",
    ),
    "gaussians of a field": (("TOY", "--gaussians", "300"), "--gaussians is of Gaussians. Leave"),
    "rays of gaussians": (
        ("TOY", "--scene", "gaussians", "--rays", "64"),
        "--rays is of fields; Gaussians are learned from whole photographs. Leave it out.",
    ),
    "all held out": (("TOY", "--hold-out", "1"), "leaves 0 photographs to learn from; at least 3 "),
    "few views": (("TOY", "--views", "2"), "The views must be 3 to 100000; 2 was asked for."),
    "many views": (("TOY", "--views", "99"), "The views to learn from must be 3 to 18, all that"),
    "clip": (
        ("TOY", "--clip", "x"),
        "--clip takes a CLIP here, and x is none: there is no such folder. Say `--clip embedded`",
    ),
    "clip weight": (("TOY", "--clip-weight", "-1"), "The clip_weight must be 0 to 1000; -1 was"),
    "device": (("TOY", "--device", "tpu"), "There is no device 'tpu'."),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_before_any_work(
    toy: Path, dreamlift: Callable[..., Result], case: str
) -> None:
    words, why = BAD[case]
    words = tuple(str(toy) if word == "TOY" else word for word in words)
    code, out, err = dreamlift("reconstruct", *words)
    assert (code, out) == (2, []) and why in err and err.count("\n") == 1
    assert not Path("runs").exists()


@pytest.mark.weights
def test_a_toy_is_rebuilt_from_few_views_with_the_embedded_clip(
    toy: Path, dreamlift: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dreamlift.evaluate.photos.report", unseen)
    words = "--steps 30 --resolution 65 --views 6 --clip embedded".split()
    code, out, err = dreamlift("reconstruct", str(toy), "--out", "run", "--rays", "64", *words)
    assert (code, out) == (0, ["run"]), err
    assert "6 photographs of 40x40 pixels, 3 more held out" in err
    rows = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    asked = [(row["stage"], row["step"]) for row in rows if "consistency" in row]
    assert asked == [("33", 0), ("65", 0), ("65", 10), ("65", 20)]
    assert json.loads(Path("run/config.json").read_text())["clip"]["name"] == "embedded"
    words = [*words, "--scene", "gaussians", "--begin", "random", "--gaussians", "100"]
    assert dreamlift("reconstruct", str(toy), "--out", "cloud", *words)[0] == 0
    assert Path("cloud/metrics.jsonl").read_text().count("consistency") == 3


def test_presets_are_numbers_that_flags_change() -> None:
    def recipe(**numbers: Any) -> object:
        asked = Command(Path("x"), **numbers)
        about = {"seed": 0, "scene": asked.scene, "background": "auto"}
        return recipe_of({**about, **asked.numbers()})

    def asked(**numbers: Any) -> Reconstruct:
        made = recipe(**numbers)
        assert isinstance(made, Reconstruct)
        return made

    one, two, three = asked(), asked(preset="full"), asked(preset="full", resolution=65, steps=7)
    assert (one.resolution, one.steps, one.rays, one.samples) == (129, 1500, 8192, 192)
    assert (two.resolution, two.steps, two.rays, two.samples) == (193, 2000, 8192, 288)
    assert (three.resolution, three.steps) == (65, 7)
    hashed = {"scene": "hashed"}
    assert recipe(**hashed) == HashGrid(resolution=257, steps=1500, rays=2048, samples=192)
    full = HashGrid(resolution=513, steps=3000, rays=9, samples=384)
    assert recipe(**hashed, preset="full", rays=9) == full
    assert Command(Path("x"), scene="gaussians").numbers()["steps"] is None


def test_a_foreign_folder_is_not_written_to(toy: Path, dreamlift: Callable[..., Result]) -> None:
    Path("mine").mkdir()
    Path("mine/letter.txt").write_text("dear")
    code, _, err = dreamlift("reconstruct", str(toy), "--out", "mine")
    assert code == 2 and "mine is not a run" in err
    assert [p.name for p in Path("mine").iterdir()] == ["letter.txt"]


def some(alpha: float = 1.0) -> Posed:
    cameras = orbit(torch.tensor([0.0, 100, 200]), torch.tensor([10.0, 20, 30]), size=12)
    colors = torch.rand(3, 12, 12, 3, generator=rng())
    full = torch.ones(3, 12, 12, 1)
    held = torch.tensor([True, False, False])
    return Posed(["a", "b", "c"], cameras, colors * alpha, alpha * full, full, held, torch.eye(4))


def test_grids_grow_twice_as_fine_each_and_share_the_steps() -> None:
    assert Reconstruct(resolution=65, steps=10).stages() == ((33, 3), (65, 7))
    assert Reconstruct(resolution=193, steps=100).stages() == ((97, 30), (193, 70))
    three = Reconstruct(resolution=257, steps=100, samples=384)
    assert three.stages() == ((65, 15), (129, 15), (257, 70))
    field = three.start(some()).scene
    assert (field.samples, field.get_parameter("body.levels.2").shape[0]) == (96, 65)


def test_a_hash_grids_finest_level_is_as_fine_as_was_asked_for() -> None:
    field = HashGrid(resolution=257, samples=100, seed=3).field()
    assert isinstance(field.body, Hashed) and field.samples == 100 and field.body.seed == 3
    layout = field.body.layout
    assert (layout.resolution(0), layout.levels, layout.log_size) == (16, 12, 17)
    assert layout.scale(11) + 1 == pytest.approx(257)


def test_what_stands_behind_follows_from_the_photographs() -> None:
    assert Reconstruct(resolution=65).start(some()).behind is not None
    assert Reconstruct(resolution=65).start(some(0.2)).behind is None
    assert Reconstruct(resolution=65, background="black").start(some()).behind is None
    assert Reconstruct(resolution=65, background="learned").start(some(0.2)).behind is not None


def test_held_out_photographs_are_never_looked_at(tmp_path: Path) -> None:
    posed = some()
    made = [posed, Posed(**{**vars(posed), "images": posed.images.clone()})]
    made[1].images[0] = 0.5
    recipe = Reconstruct(steps=4, rays=32, resolution=65, samples=24)
    states = [
        recipe.run(Run.create(tmp_path / str(i), {}), p).scene.state_dict()
        for i, p in enumerate(made)
    ]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_a_picture_is_in_front_of_what_stands_behind() -> None:
    made = Reconstruct(resolution=65).start(some())
    cameras = some().cameras[:1]
    assert made.behind is not None
    with torch.no_grad():
        made.scene.get_parameter("body.levels.2")[..., 0] = -30  # nothing there
        seen, behind = made.picture(cameras), made.behind(cameras.rays()[1])
    torch.testing.assert_close(seen, behind, atol=1e-4, rtol=0)
    empty = Rebuilt(made.scene, None, empty=0.25).picture(cameras)
    torch.testing.assert_close(empty, torch.full_like(empty, 0.25), atol=1e-4, rtol=0)
