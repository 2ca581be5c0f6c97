"""dreamlift/split.py: two processes do what one does with the same parts; only the first writes."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import rng
from safetensors.torch import load_file
from splitting import STEPS, study, work
from test_cli import Dreamlift, dreamlift
from torch import Tensor

from dreamlift import split
from dreamlift.api import Request, request
from dreamlift.cameras import orbit
from dreamlift.errors import BadInput
from dreamlift.lights import Light
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.recipes.gaussiandreamer import GaussianDreamer
from dreamlift.recipes.mvdream import MVDream
from dreamlift.scene import Rendering, Shot
from dreamlift.step import Step

__all__ = ["dreamlift"]

SCRIPT = Path(__file__).with_name("splitting.py")


def shot(n: int = 4) -> Shot:
    cameras = orbit(torch.linspace(0, 200, n), torch.linspace(0, 40, n), size=4)
    light = Light(torch.rand(n, 3), torch.rand(n), torch.rand(n), torch.arange(n) % 2 == 0)
    return Shot(cameras, light, torch.rand(n, 1, 1, 3, generator=rng(1)))


def quadratic(x: torch.nn.Parameter, noisy: bool) -> Any:
    """A loss that is a mean over views, of what each camera sees and, if asked, of noise."""

    def score(shot: Shot, step: Step) -> tuple[Rendering[None], Mapping[str, Tensor]]:
        noise = torch.randn(len(shot), generator=step.rng) if noisy else 0
        off = x.sum() * shot.cameras.azimuth.deg2rad() + noise - shot.cameras.elevation
        empty = torch.zeros(len(shot), 4, 4, 4)
        return Rendering(empty[..., :3], empty[..., 3:], None), {
            "a": off.square().mean(),
            "b": 2 * (off * x[0]).mean(),
        }

    return score


def descended(parts: int, noisy: bool = False) -> tuple[Tensor, dict[str, float], int]:
    x = torch.nn.Parameter(torch.tensor([0.3, -0.7]))
    with split.into(parts):
        seen, values = split.descend(
            shot(), Step(0, 1, rng(5)), quadratic(x, noisy), torch.optim.SGD([x])
        )
    assert x.grad is not None
    return x.grad, values, len(seen.color)


def check_mean() -> None:
    """Without draws of its own a step in parts is the whole step."""
    whole = descended(1)
    for parts in (2, 4):
        some = descended(parts)
        torch.testing.assert_close(some[0], whole[0], atol=1e-5, rtol=1e-5)
        assert some[1] == pytest.approx(whole[1], rel=1e-5)
        assert some[2] == 4 // parts


def check_draws() -> None:
    """Each part draws anew, the same whoever does it, and the run's generator stays in step."""
    step = Step(2, 9, rng(6))
    with split.into(4):
        first = split.shares(shot(), step)
        after = step.rng.get_state()
        again = Step(2, 9, rng(6))
        second = split.shares(shot(), again)
    draws = [torch.rand(3, generator=each.rng) for _, each in first]
    assert len({float(each[0]) for each in draws}) == 4
    for wanted, (_, each) in zip(draws, second, strict=True):
        assert torch.equal(torch.rand(3, generator=each.rng), wanted)
        assert (each.index, each.total) == (2, 9)
    assert torch.equal(again.rng.get_state(), after)


def processes(folder: Path, parts: int, world: int, what: str = "work") -> list[dict[str, Tensor]]:
    """What each of several gloo processes has in the end."""
    path = os.pathsep.join([str(SCRIPT.parent), str(SCRIPT.parents[1])])
    own = {"PYTHONPATH": path, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    words = [what, str(folder), str(parts)]
    started = [
        subprocess.Popen(
            [sys.executable, str(SCRIPT), *words, str(rank), str(world), f"{folder}-meeting"],
            env={**os.environ, **own}, stderr=subprocess.PIPE,
        )
        for rank in range(world)
    ]  # fmt: skip
    said = [each.communicate(timeout=120)[1].decode() for each in started]
    assert [each.returncode for each in started] == [0] * world, "\n".join(said)
    return [load_file(f"{folder}-{rank}.safetensors") for rank in range(world)]


def test_a_step_in_parts_is_the_mean_of_its_parts() -> None:
    check_mean()


def test_a_part_has_draws_of_its_own() -> None:
    check_draws()


def test_some_views_of_a_shot_keep_their_light_and_background() -> None:
    whole = shot()
    some = whole[1:3]
    assert len(some) == 2 and some.light is not None and whole.light is not None
    assert torch.equal(some.cameras.K, whole.cameras.K[1:3])
    assert torch.equal(some.light.position, whole.light.position[1:3])
    assert some.background is not None and whole.background is not None
    assert torch.equal(some.background, whole.background[1:3])
    shared = Shot(whole.cameras, None, whole.background[:1])[2:]
    assert shared.background is not None and len(shared.background) == 1


@pytest.mark.seconds
def test_two_processes_do_what_one_does(tmp_path: Path) -> None:
    """phi to 1e-5 after some steps; the same on both; one checkpoint, each step told once."""
    alone = work(tmp_path / "alone", 2)
    both = processes(tmp_path / "both", 2, 2)
    other = work(tmp_path / "other", 1)
    for name, value in alone.items():
        assert torch.equal(both[0][name], both[1][name]), name
        torch.testing.assert_close(both[0][name], value, atol=1e-5, rtol=1e-5)
    assert any(not torch.allclose(other[name], value, atol=1e-3) for name, value in alone.items())
    lines = (tmp_path / "both" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(STEPS))
    mean = (tmp_path / "alone" / "metrics.jsonl").read_text().splitlines()
    for line, wanted in zip(lines, mean, strict=True):
        assert json.loads(line) == pytest.approx(json.loads(wanted), rel=1e-4)
    assert (tmp_path / "both" / "checkpoint.safetensors").is_file()


@pytest.mark.slow
def test_two_processes_teach_one_student(tmp_path: Path) -> None:
    """VSD's student learns from all views: its gradient is summed as the field's is."""
    alone = study(tmp_path / "alone", 2)
    both = processes(tmp_path / "both", 2, 2, "study")
    assert any(name.startswith("student.") for name in alone)
    for name, value in alone.items():
        assert torch.equal(both[0][name], both[1][name]), name
        torch.testing.assert_close(both[0][name], value, atol=2e-3, rtol=1e-3)


def test_a_run_in_parts_is_recorded_and_brought_out(dreamlift: Dreamlift, tmp_path: Path) -> None:
    few = "--steps 4 --size 16 --samples 24 --init blob --finish.resolution 32".split()
    few += "--finish.faces 600 --finish.texture 64 --finish.frames 2 --finish.size 16".split()
    asked = ("generate", "a cone", "--prior", "words", *few)
    ended = dreamlift(*asked, "--batch", "2", "--split", "2")
    assert ended.code == 0, ended.err
    config = json.loads((tmp_path / ended.out[-1] / "config.json").read_text())
    assert config["parts"] == 2 and config["remedies"] is False
    assert dreamlift("resume", ended.out[-1]).out == [ended.out[-1]]
    ended = dreamlift(*asked, "--split", "2")
    assert ended.code == 2 and "A batch of 1 views has no 2 equal parts. Say --batch 2" in ended.err


def test_what_cannot_be_split_is_refused(dreamlift: Dreamlift, tmp_path: Path) -> None:
    words = tmp_path / "words"
    for recipe, more, said in (
        (GaussianDreamer("a cone", batch=2), {"parts": 2}, "grows by what each view shows"),
        (MVDream("a cone"), {"parts": 2}, "no 2 equal parts of groups of 4. Say --batch 8"),
        (DreamFusion("a cone", batch=2), {"parts": 2, "pilot": 2}, "do not go together"),
        (DreamFusion("a cone"), {"parts": 0}, "has no 0 equal parts"),
    ):
        with pytest.raises(BadInput, match=said):
            request(recipe, prior=words, **more)
    whole = request(DreamFusion("a cone"), prior=words)
    assert "parts" not in whole.config() and isinstance(whole, Request)


def of_the_run(shot: Shot, step: Step) -> Any:
    """Parts that draw from the run's generator, one after another."""
    parts, size = split._parts.get(), len(shot) // split._parts.get()
    return [(shot[i * size : (i + 1) * size], step) for i in range(parts)]


def first_only(shot: Shot, step: Step) -> Any:
    return RIGHT(shot, step)[:1]


RIGHT = split.shares


@pytest.mark.parametrize(("wrong", "check"), [(of_the_run, check_draws), (first_only, check_mean)])
def test_wrong_parts_are_caught(wrong: Any, check: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(split, "shares", wrong)
    with pytest.raises(AssertionError):
        check()
