"""dreamlift/remedies.py: failures are provoked and cured, to the same bits wherever stopped."""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import rng
from test_fit import crash, poisoned, stop_at
from tiny import Tiny, bits
from torch import Tensor, nn

from dreamlift.cameras import orbit
from dreamlift.detectors import Examiner, Finding, Look
from dreamlift.diffusion import Cosine, Schedule
from dreamlift.fit import Paused, Stage, fit
from dreamlift.geometry.clouds import in_ball
from dreamlift.geometry.isosurface import DegenerateError
from dreamlift.guidance.perpneg import PerpNeg, Strength, unlike
from dreamlift.guidance.prompts import Sentence, about, sided
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.times import Uniform
from dreamlift.observers import log
from dreamlift.prior import Condition, Embedding, Prompt
from dreamlift.remedies import FILE, TIMES, Remedies, told
from dreamlift.run import Run
from dreamlift.scene import Rendering, Scene, Shot
from dreamlift.scenes.field import Field
from dreamlift.scenes.gaussians import Cloud
from dreamlift.step import Step


def hasty(steps: int = 20) -> Stage[None]:
    """Its rate is too high: beyond 0.62 its numbers are no numbers."""
    stage = Tiny(steps=steps, lr=0.2).stage()

    def objective(view: Rendering[None], shot: Shot, step: Step) -> dict[str, Tensor]:
        terms = dict(stage.objective(view, shot, step))
        broken = float(stage.scene.state_dict()["pixels"].mean()) > 0.62
        return {**terms, "data": terms["data"] * (float("nan") if broken else 1.0)}

    return replace(stage, objective=objective)


def remedied(folder: Path) -> list[tuple[str, int, str]]:
    entries = json.loads((folder / FILE).read_text())["remedied"]
    return [(entry["what"], entry["step"], entry["done"]) for entry in entries]


def test_numbers_that_are_not_finite_are_cured_by_lower_rates(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError):
        fit(hasty(), Run(tmp_path / "bare"))
    stage = hasty()
    fit(stage, Run(tmp_path), [log, Remedies()])
    (first, *rest) = remedied(tmp_path)
    assert first[0] == "numbers" and "learning rates times 0.5" in first[2]
    assert len(rest) < TIMES
    steps = [json.loads(x)["step"] for x in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps == list(range(20))
    words, found = told(tmp_path)
    assert words[0].startswith(f"step {first[1]}: Step {first[1]}: data is nan") and not found
    rate = stage.optimizer.param_groups[0]["lr"]
    assert rate == pytest.approx(0.2 * (1 - 0.5 * 19 / 20))  # as the stage has set it


@pytest.mark.parametrize("at", [1, 3, 6, 11, 17])
def test_stopped_anywhere_a_remedied_run_ends_with_the_same_bits(tmp_path: Path, at: int) -> None:
    expected = hasty()
    fit(expected, Run.create(tmp_path / "whole", {}), [log, Remedies()])
    for every in (1, 4):
        folder = tmp_path / f"stopped-{every}"
        with pytest.raises(RuntimeError, match="a crash"):
            observers = [log, stop_at(at, crash), Remedies()]
            fit(hasty(), Run.create(folder, {}), observers, checkpoint_steps=every)
        resumed = hasty()
        fit(resumed, Run(folder), [log, Remedies()])
        assert bits(resumed) == bits(expected)
        for name in ("metrics.jsonl", FILE):
            assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_what_no_rate_cures_ends_with_an_error_and_its_last_good_state(tmp_path: Path) -> None:
    for _ in range(2):  # the second time from that state, at once
        with pytest.raises(FloatingPointError, match=f"data is nan.*{TIMES} remedies did not"):
            fit(poisoned(7, float("nan")), Run(tmp_path), [Remedies()])
        assert len(remedied(tmp_path)) == TIMES
        assert (Run(tmp_path).load() or {})["step"] == 7


def test_without_a_failure_a_guard_changes_no_bit(tmp_path: Path) -> None:
    guarded, alone = Tiny().stage(), Tiny().stage()
    fit(guarded, Run(tmp_path / "a"), [Remedies()])
    fit(alone, Run(tmp_path / "b"))
    assert bits(guarded) == bits(alone)
    assert not (tmp_path / "a" / FILE).exists()


def test_pausing_saves_the_step_and_the_next_fit_goes_on(tmp_path: Path) -> None:
    def pause(moment: Any) -> None:
        if moment.step.index == 4:
            raise Paused

    expected, resumed = Tiny().stage(), Tiny().stage()
    fit(expected, Run(tmp_path / "whole"))
    with pytest.raises(Paused):
        fit(Tiny().stage(), Run(tmp_path), [log, pause])
    assert (Run(tmp_path).load() or {})["step"] == 5
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 5
    fit(resumed, Run(tmp_path))
    assert bits(resumed) == bits(expected)


def emptied(*, dead: bool = False) -> Stage[Any]:
    """A field without density, which has no gradient either; `dead`: whatever it becomes."""
    field = Field(samples=16, resolution=33)
    with torch.no_grad():
        for values in field.parameters():
            values[..., 0] = -60.0

    def shots(step: Step) -> Shot:
        azimuth = 360 * torch.rand(1, generator=step.rng)
        return Shot(orbit(azimuth, torch.zeros(1), size=12))

    def objective(view: Rendering[Any], shot: Shot, step: Step) -> dict[str, Tensor]:
        if dead:
            with torch.no_grad():
                field.get_parameter("body.levels.2")[..., 0] = -60.0
        red = torch.tensor([0.9, 0.1, 0.1])
        return {"red": (view.color - red * view.alpha.detach()).square().sum()}

    adam = torch.optim.Adam(field.parameters(), lr=0.02)
    return Stage(field, shots, objective, adam, 10, seed=2)


def test_an_empty_scene_begins_again_as_a_blob(tmp_path: Path) -> None:
    look, lost, stage = Examiner("a red ball"), emptied(), emptied()
    fit(lost, Run(tmp_path / "bare"))
    assert float(Look.at(lost.scene, size=24).alpha.max()) < 0.01
    fit(stage, Run(tmp_path), [Remedies(look)])
    assert [entry[:2] for entry in remedied(tmp_path)] == [("empty", 10)]
    assert float(Look.at(stage.scene, size=24).alpha.max()) > 0.5
    resumed = emptied()
    with pytest.raises(RuntimeError, match="a crash"):
        observers = [stop_at(5, crash), Remedies(look)]
        fit(resumed, Run(tmp_path / "stopped"), observers, checkpoint_steps=2)
    resumed = emptied()
    fit(resumed, Run(tmp_path / "stopped"), [Remedies(look)])
    assert bits(resumed) == bits(stage)


def test_a_scene_that_stays_empty_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(DegenerateError, match="empty after 3 remedies"):
        fit(emptied(dead=True), Run(tmp_path), [Remedies(Examiner("a red ball"))])
    assert [what for what, _, _ in remedied(tmp_path)] == ["empty"] * TIMES
    fit(emptied(dead=True), Run(tmp_path / "let"), [Remedies(Examiner("a red ball"), act=False)])
    assert "The scene is empty" in told(tmp_path / "let")[1][0]


def test_gaussians_begin_again_in_a_ball() -> None:
    cloud = Cloud(in_ball(7, rng(), degree=1))
    adam = torch.optim.Adam(cloud.parameters())
    with torch.no_grad():
        cloud.opacity_logits.fill_(-30.0)
    cloud.revive()
    assert len(cloud) == 1000 and cloud.rest.shape == (1000, 3, 3)
    assert {id(p) for p in cloud.parameters()} == {id(p) for p in adam.param_groups[0]["params"]}
    shot = Shot(orbit(torch.tensor([30.0]), torch.tensor([20.0]), size=16))
    assert float(cloud.render(shot).alpha.detach().max()) > 0.5


FACES = torch.randn(2, 3, 8, 8, generator=rng(8)).sign() * 0.2
"""A front and a back, hardly alike."""


class Sides(Scene[None]):
    """A picture for those in front, and another for those behind."""

    def __init__(self) -> None:
        super().__init__()
        self.pixels = nn.Parameter(torch.full((2, 8, 8, 3), 0.5))

    def render(self, shot: Shot, *, rng: torch.Generator | None = None) -> Rendering[None]:
        azimuth = (shot.cameras.azimuth + 180) % 360 - 180
        color = self.pixels[(azimuth.abs() > 90).long()]
        return Rendering(color, torch.ones_like(color[..., :1]), None)


class Vain:
    """A prior that thinks of a face, mostly, when it is told of a back."""

    schedule: Schedule = Cosine()
    size, views = 8, 1

    def encode(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        return (2 * x - 1).permute(0, 3, 1, 2)

    def decode(self, z: Tensor) -> Tensor:
        return (z.permute(0, 2, 3, 1) + 1) / 2

    def embed(self, prompt: Prompt) -> Embedding:
        shares = {"front": (1.0, 0.0), "back": (0.6, 0.4), "": (0.0, 0.0)}
        front, back = next(w for word, w in shares.items() if word in prompt.text)
        return {"mean": front * FACES[0] + back * FACES[1]}

    def condition(self, mix: Sequence[tuple[Embedding, Tensor]], shot: Shot) -> Condition:
        parts = [w[:, None, None, None] * told["mean"] for told, w in mix]
        return {"mean": torch.stack(parts).sum(0)}

    def eps(self, z_t: Tensor, t: Tensor, *conditions: Condition) -> tuple[Tensor, ...]:
        a, s = (f(t)[:, None, None, None] for f in (self.schedule.alpha, self.schedule.sigma))
        return tuple(s * (z_t - a * c["mean"]) / (0.01 * a**2 + s**2) for c in conditions)


def faces(look: Look) -> tuple[float, float]:
    """How much the back shows of the front, and of the back."""
    back = (2 * look.color[4] - 1).permute(2, 0, 1)
    shares = [float((back * face).sum() / face.square().sum()) for face in FACES]
    return shares[0], shares[1]


def vain(most: float = math.inf) -> tuple[Stage[None], Strength]:
    """Two sides, seen squarely in turn, by a Perp-Neg that is too weak."""
    prior, firm, scene = Vain(), Strength(0.25, most), Sides()
    others = unlike(prior, sided("a cat"), strength=firm)
    score = PerpNeg(prior, about(prior, "a cat", interpolate=True), Sentence(prior, ""), others, 1)
    sds = SDS(score, Uniform(0.3, 0.7))

    def shots(step: Step) -> Shot:
        return Shot(orbit(torch.tensor([180.0 * (step.index % 2)]), torch.zeros(1), size=8))

    def objective(view: Rendering[None], shot: Shot, step: Step) -> dict[str, Tensor]:
        return {"guidance": sds(prior.encode(view.color), shot, step)}

    adam = torch.optim.Adam(scene.parameters(), lr=0.02)
    return Stage(scene, shots, objective, adam, 120, keep={"strength": firm}), firm


def suspicious(look: Look, *, finished: bool) -> Sequence[Finding]:
    front, back = faces(look)
    return [Finding("two faces", f"{front:.2f}", "Look.")] if front > 0.5 * back else []


def test_a_firmer_perp_neg_turns_the_second_face_away(tmp_path: Path) -> None:
    weak, _ = vain()
    fit(weak, Run(tmp_path / "weak"), [Remedies(suspicious, act=False)])
    front, back = faces(Look.at(weak.scene))
    assert front > 0.5 * back
    assert len(told(tmp_path / "weak")[1]) == 1
    cured, firm = vain()
    fit(cured, Run(tmp_path / "cured"), [Remedies(suspicious)])
    front, back = faces(Look.at(cured.scene))
    assert front < 0.5 * back and back > 0.5
    entries = remedied(tmp_path / "cured")
    assert {what for what, _, _ in entries} == {"two faces"} and len(entries) <= TIMES
    assert float(firm) == 0.25 * 2 ** len(entries)
    assert told(tmp_path / "cured")[1] == []
    resumed, firm = vain()
    with pytest.raises(RuntimeError, match="a crash"):
        observers = [stop_at(80, crash), Remedies(suspicious)]
        fit(resumed, Run(tmp_path / "stopped"), observers, checkpoint_steps=30)
    resumed, firm = vain()
    fit(resumed, Run(tmp_path / "stopped"), [Remedies(suspicious)])
    assert torch.equal(resumed.scene.state_dict()["pixels"], cured.scene.state_dict()["pixels"])
    assert float(firm) == 0.25 * 2 ** len(entries)


def test_what_cannot_be_firmer_is_no_remedy(tmp_path: Path) -> None:
    stuck, firm = vain(most=0.25)
    fit(stuck, Run(tmp_path), [Remedies(suspicious)])
    assert float(firm) == 0.25 and remedied(tmp_path) == []
    assert len(told(tmp_path)[1]) == 1  # but it is told
