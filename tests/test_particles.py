"""n scenes at once: who is rendered, who learns, whose clock it is, and what is kept."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import rng
from test_scores import some_shot
from tiny import Picture
from torch import Tensor

from dreamlift.cameras import orbit
from dreamlift.fit import Stage, Terms, fit
from dreamlift.lights import Light
from dreamlift.run import Run
from dreamlift.scene import Rendering, Scene, Shot
from dreamlift.scenes.field import Field
from dreamlift.scenes.image import Image
from dreamlift.scenes.particles import Part, Particles, Who
from dreamlift.step import Step


class Witness(Scene[int]):
    """A picture of one grey that remembers its shots and its clock; `aux` is its name."""

    def __init__(self, name: int) -> None:
        super().__init__()
        self.grey = torch.nn.Parameter(torch.tensor(name / 10))
        self.name = name
        self.shots: list[Shot] = []
        self.clock: list[tuple[int, int, int]] = []

    def render(self, shot: Shot, *, rng: torch.Generator | None = None) -> Rendering[int]:
        self.shots.append(shot)
        color = self.grey.expand(len(shot), 4, 4, 3)
        return Rendering(color, torch.ones_like(color[..., :1]), self.name, depth=color[..., :1])

    def adapt(self, step: Step, view: Rendering[int], optimizer: torch.optim.Optimizer) -> None:
        self.clock.append((step.index, step.total, view.aux))


def crowd(n: int = 3, who: Who = "one") -> tuple[Particles[int], list[Witness]]:
    witnesses = [Witness(k + 1) for k in range(n)]
    return Particles(witnesses, who=who), witnesses


def lit(n: int) -> Shot:
    """A shot whose every view has its own camera, light and background."""
    u = torch.arange(n) / n
    light = Light(u[:, None].expand(n, 3), u, 1 - u, u > 0.4)
    return Shot(orbit(90 * u, 20 * u, size=4), light, u[:, None, None, None].expand(n, 1, 1, 3))


def check_one() -> None:
    """Each shot is one particle's, evenly drawn from `rng` and from nothing else."""
    particles, _ = crowd()
    generator, before = rng(1), torch.get_rng_state()
    drawn: list[int] = []
    for _ in range(60):
        view = particles.render(some_shot(0, 90), rng=generator)
        (part,) = view.aux
        assert part.view.aux == part.particle + 1
        assert torch.equal(view.color, torch.full((2, 4, 4, 3), (part.particle + 1) / 10))
        drawn.append(part.particle)
    assert all(8 < drawn.count(k) < 32 for k in range(3)), drawn
    assert torch.equal(torch.get_rng_state(), before)
    again = rng(1)
    assert [particles.render(lit(2), rng=again).aux[0].particle for _ in drawn[:9]] == drawn[:9]


def check_all() -> None:
    """Each sees an equal block of the views, with their lights and backgrounds, in order."""
    particles, witnesses = crowd(who="all")
    shot = lit(6)
    view = particles.render(shot, rng=rng(2))
    wanted = torch.tensor([0.1, 0.1, 0.2, 0.2, 0.3, 0.3])[:, None, None, None]
    torch.testing.assert_close(view.color, wanted.expand(6, 4, 4, 3))
    assert view.depth is not None and len(view.depth) == 6 and view.normal is None
    assert [(part.particle, part.view.aux) for part in view.aux] == [(0, 1), (1, 2), (2, 3)]
    light, background = shot.light, shot.background
    assert light is not None and background is not None
    for k, witness in enumerate(witnesses):
        (seen,), block = witness.shots, slice(2 * k, 2 * k + 2)
        assert seen.light is not None and seen.background is not None
        assert torch.equal(seen.cameras.azimuth, shot.cameras.azimuth[block])
        assert torch.equal(seen.light.ambient, light.ambient[block])
        assert torch.equal(seen.background, background[block])


def check_clocks() -> None:
    """A particle's steps are 0, 1, 2, ... however seldom its turn comes, out of its share."""
    for who, total in (("one", 6), ("all", 18)):
        particles, witnesses = crowd(who=who)
        generator = rng(3)
        optimizer = torch.optim.Adam(particles.parameters())
        for i in range(18):
            view = particles.render(some_shot(0, 10, 20), rng=generator)
            particles.adapt(Step(i, 18, generator), view, optimizer)
        for witness in witnesses:
            steps = [index for index, _, _ in witness.clock]
            assert steps == [*range(len(steps))] and len(steps) > 2
            assert all(whole == max(total, i + 1) for i, whole, _ in witness.clock)
            assert {name for _, _, name in witness.clock} == {witness.name}
        assert sum(len(witness.clock) for witness in witnesses) == (18 if who == "one" else 54)


def check_only_who_was_seen() -> None:
    """The optimiser moves the particle that was rendered, and leaves the others' moments alone."""
    particles, witnesses = crowd()
    optimizer = torch.optim.Adam(particles.parameters(), lr=0.01)
    generator, turns = rng(4), [0, 0, 0]
    for i in range(12):
        before = [w.grey.item() for w in witnesses]
        view = particles.render(some_shot(0), rng=generator)
        optimizer.zero_grad()
        view.color.sum().backward()
        optimizer.step()
        moved = [w.grey.item() != b for w, b in zip(witnesses, before, strict=True)]
        assert moved == [k == view.aux[0].particle for k in range(3)], i
        turns[view.aux[0].particle] += 1
    for witness, turn in zip(witnesses, turns, strict=True):
        assert int(optimizer.state[witness.grey]["step"]) == turn


CHECKS = {
    check.__name__.removeprefix("check_"): check
    for check in (check_one, check_all, check_clocks, check_only_who_was_seen)
}


@pytest.mark.parametrize("name", CHECKS)
def test_particles(name: str):
    CHECKS[name]()


def test_without_a_generator_the_first_shows_everything():
    for who in ("one", "all"):
        particles, witnesses = crowd(who=who)
        view = particles.render(lit(4))
        assert torch.equal(view.color, torch.full((4, 4, 4, 3), 0.1))
        assert len(witnesses[0].shots[0]) == 4 and not witnesses[1].shots


def test_one_particle_is_its_scene():
    scene = Image(torch.rand(4, 4, 3, generator=rng(5)))
    alone, shot = Particles([scene], who="all"), some_shot(0, 90, 180)
    assert torch.equal(alone.render(shot, rng=rng(6)).color, scene.render(shot).color)
    assert len(alone) == 1 and alone[0] is scene


def test_a_background_of_one_is_everybody_s():
    particles, witnesses = crowd(2, "all")
    shot = Shot(lit(2).cameras, background=torch.full((1, 1, 1, 3), 0.7))
    particles.render(shot, rng=rng(7))
    assert all(witness.shots[0].background is shot.background for witness in witnesses)


def test_views_that_cannot_be_shared_are_refused():
    for n in (1, 4):
        with pytest.raises(ValueError, match=f"{n} views are no multiple"):
            crowd(who="all")[0].render(lit(n), rng=rng(8))
    with pytest.raises(ValueError, match="at least one particle"):
        Particles([])


@pytest.mark.seconds
def test_fields_are_particles_with_their_normals():
    particles = Particles([Field(resolution=33, samples=8, init="blob") for _ in range(2)],
                          who="all")  # fmt: skip
    view = particles.render(lit(2), rng=rng(9))
    assert view.normal is not None and view.depth is not None
    assert len(torch.cat([part.view.aux.orientation for part in view.aux])) == 2


def stage() -> Stage[tuple[Part[None], ...]]:
    """Two pictures that follow two greys, one at a time; each remembers its brightest."""
    particles = Particles([Picture(4), Picture(4)])

    def objective(view: Rendering[tuple[Part[None], ...]], shot: Shot, step: Step) -> Terms:
        aim = 0.3 + 0.4 * view.aux[0].particle
        return {"data": (view.color - aim).square().sum()}

    def shots(step: Step) -> Shot:
        return some_shot(float(torch.rand((), generator=step.rng)))

    return Stage(particles, shots, objective, torch.optim.Adam(particles.parameters(), 0.05), 14)


def test_a_stopped_run_goes_on_with_the_same_bits(tmp_path: Path):
    whole, resumed = stage(), stage()
    fit(whole, Run.create(tmp_path / "whole", {}))
    run = Run.create(tmp_path / "stopped", {})

    def crash(moment: Any) -> None:
        if moment.step.index == 9:
            raise RuntimeError("a crash")

    with pytest.raises(RuntimeError, match="a crash"):
        fit(stage(), run, [crash], checkpoint_steps=4)
    fit(resumed, run)
    expected: dict[str, Tensor] = whole.scene.state_dict()
    found = resumed.scene.state_dict()
    assert {name: value.numpy().tobytes() for name, value in found.items()} == {
        name: value.numpy().tobytes() for name, value in expected.items()
    }
    assert expected["taken"].sum() == 14 and (expected["taken"] > 0).all()
    assert (expected["scenes.0.pixels"] - expected["scenes.1.pixels"]).abs().min() > 0.1
