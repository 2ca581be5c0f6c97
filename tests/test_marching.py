"""A field within a budget of samples, when memory runs out, and where samples count."""

import logging

import pytest
import torch
from conftest import rng
from torch import Tensor

from dreamlift.cameras import Cameras, orbit
from dreamlift.lights import Light
from dreamlift.render.volume import Marched, Rays
from dreamlift.scene import Shot
from dreamlift.scenes.encoded import Integrated
from dreamlift.scenes.field import Body, Field, Marcher, rays_of
from dreamlift.scenes.marching import Budget, Importance, out_of_memory

LIGHT = Light(
    torch.tensor([[3.0, 2.0, 1.0], [-1.0, 4.0, 2.0]]),
    torch.tensor([0.3, 0.5]),
    torch.tensor([0.7, 0.5]),
    torch.tensor([False, True]),
)


def two(size: int = 7) -> Cameras:
    return orbit(torch.tensor([20.0, 130.0]), torch.tensor([10.0, 40.0]), size=size)


def double(cameras: Cameras) -> Cameras:
    """The same in double precision."""
    there, K = cameras.world_to_camera.double(), cameras.K.double()
    return Cameras(there, K, cameras.height, cameras.width)


def field(marcher: Marcher | None = None, samples: int = 16) -> Field:
    """A small network in double precision, with some cells known to be empty."""
    made = Field(
        body=Integrated(4, width=16, init="blob", seed=3), samples=samples, marcher=marcher
    ).double()
    made.occupied[:, :9] = False
    return made


def outcome(made: Field, shot: Shot) -> list[Tensor]:
    """Pictures, and the gradient of what is made of them."""
    view = made.render(Shot(double(shot.cameras), shot.light), rng=rng(2))
    pictures = [view.color, view.alpha, view.depth, view.aux.orientation]
    loss = sum(
        (x * torch.randn(x.shape, generator=rng(5))).sum() for x in pictures if x is not None
    )
    made.zero_grad()
    assert isinstance(loss, Tensor)
    loss.backward()
    found = [p.grad for p in made.parameters()]
    return [x.detach() for x in (*pictures, *found) if x is not None]


@pytest.mark.parametrize("light", [None, LIGHT], ids=["albedo", "lit"])
@pytest.mark.parametrize("budget", [1, 37, 300])
def test_chunks_are_the_whole_in_values_and_gradients(budget: int, light: Light | None) -> None:
    shot, limit = Shot(two(), light), Budget(budget)
    whole, parts = outcome(field(), shot), outcome(field(limit), shot)
    assert len(whole) == len(parts) and limit.samples == budget and not limit.halved
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)


def test_single_rays_are_chunked_too() -> None:
    n = 40
    which, row = torch.arange(n) % 2, torch.arange(n) % 7
    shot = Shot(two().windows(which, row, (3 * row) % 7))
    whole, parts = outcome(field(), shot), outcome(field(Budget(50)), shot)
    for a, b in zip(whole, parts, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)


def test_no_chunk_is_larger_than_the_budget() -> None:
    sizes: list[int] = []

    def note(made: Field, rays: Rays, light: Light | None) -> Marched:
        sizes.append(int(rays.count.sum()))
        return made.march(rays, light)

    made = field(Budget(100, then=note))
    with torch.no_grad():
        made.render(Shot(double(two())))
    total = int(rays_of(Shot(two()), made.samples, None).count.sum())
    assert max(sizes) <= 100 and sum(sizes) == total
    assert len(sizes) < total / 100 * 1.5 + 2  # and none is needlessly small


NO_MEMORY = (
    RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to ..."),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
    torch.OutOfMemoryError("CUDA out of memory."),
)


def short(most: int, error: BaseException) -> Marcher:
    """A machine on which more than so many samples at once are too many."""

    def march(made: Field, rays: Rays, light: Light | None) -> Marched:
        if int(rays.count.sum()) > most:
            raise error
        return made.march(rays, light)

    return march


@pytest.mark.parametrize("error", NO_MEMORY, ids=["linux", "windows", "cuda"])
@pytest.mark.parametrize("budget", [1 << 20, 300], ids=["whole", "chunk"])
def test_out_of_memory_the_budget_is_halved_once_and_the_step_goes_on(
    budget: int, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    total = int(rays_of(Shot(two()), 16, rng(2)).count.sum())
    limit = Budget(budget, then=short(min(budget, total) * 3 // 4, error))
    with caplog.at_level(logging.WARNING, "dreamlift"):
        parts = outcome(field(limit), Shot(two()))
    assert limit.halved and limit.samples <= min(budget, total) // 2
    assert len(caplog.messages) == 1 and "half as many" in caplog.messages[0]
    for a, b in zip(outcome(field(), Shot(two())), parts, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)


def test_out_of_memory_while_gradients_are_taken_is_survived_too() -> None:
    calls: list[int] = []

    def once(made: Field, rays: Rays, light: Light | None) -> Marched:
        calls.append(int(rays.count.sum()))
        if torch.is_grad_enabled() and calls[-1] > 200:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return made.march(rays, light)

    limit = Budget(300, then=once)
    parts = outcome(field(limit), Shot(two()))
    assert limit.halved
    for a, b in zip(outcome(field(), Shot(two())), parts, strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)


def test_a_second_time_and_other_errors_are_raised() -> None:
    limit = Budget(then=short(10, NO_MEMORY[2]))
    with pytest.raises(torch.OutOfMemoryError):
        field(limit).render(Shot(double(two())))
    wrong = RuntimeError("mat1 and mat2 shapes cannot be multiplied")
    limit = Budget(then=short(10, wrong))
    with pytest.raises(RuntimeError, match="mat1"):
        field(limit).render(Shot(double(two())))
    assert not limit.halved and not out_of_memory(wrong) and not out_of_memory(KeyError("x"))


def wall(points: Tensor) -> Tensor:
    """Opaque from x = 0.3 to 0.4, empty elsewhere."""
    return 50.0 * ((points[:, 0] > 0.3) & (points[:, 0] < 0.4))


def test_fine_samples_gather_at_a_wall() -> None:
    marcher = Importance(64, 32, proposal=wall, padding=0.1)
    made = field(marcher)
    made.occupied[:] = True
    rays = rays_of(Shot(orbit(torch.zeros(1), torch.zeros(1), size=1)), 64, None)
    edges, weights, near, way = marcher.histogram(wall, made, rays)
    fine = marcher.sections(edges, weights, torch.full_like(near, 0.5), way)[0, 0]
    assert float(fine[0]) == pytest.approx(float(near), abs=1e-5)
    assert float(fine[-1]) == pytest.approx(float(near + way), abs=1e-5)
    assert bool((fine.diff() >= 0).all())
    x = 4.0 - fine  # the camera stands at x = 4
    assert float(((x > 0.25) & (x < 0.45)).float().mean()) > 0.8  # of a way of 2.4, 0.2


class Ball(Body):
    """Opaque up to the radius 0.6, its colours change quickly."""

    def forward(self, points: Tensor) -> Tensor:
        r = points.norm(dim=-1, keepdim=True)
        return torch.cat([((0.6 - r) * 1500).clamp(-20, 20), 12 * points], -1)

    def fresh(self) -> "Ball":
        return Ball()


def test_at_equal_samples_it_is_nearer_to_many_than_even_ones_are() -> None:
    shot = Shot(two(24))
    with torch.no_grad():
        truth, even, chosen = (
            Field(body=Ball(), samples=samples, marcher=marcher).render(shot).color
            for samples, marcher in ((2000, None), (64, None), (64, Importance(48, 16)))
        )
    errors = [float((x - truth).abs().mean()) for x in (even, chosen)]
    assert errors[1] < 0.6 * errors[0], errors


def test_a_ray_that_misses_gathers_nothing() -> None:
    shot = Shot(double(orbit(torch.zeros(1), torch.zeros(1), size=5, frame=6.0)))
    for marcher in (Importance(8, 8), Budget(20), Budget(20, then=Importance(8, 8))):
        made = field(marcher)
        view = made.render(shot)
        alpha = view.alpha.detach()
        assert bool(view.color.isfinite().all()) and float(alpha[0, 0, 0]) == 0 < alpha.max()
        view.color.sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in made.parameters())


def test_importance_within_a_budget_is_importance() -> None:
    shot = Shot(two())
    marchers = Importance(8, 8), Budget(90, then=Importance(8, 8))
    for a, b in zip(*(outcome(field(m), shot) for m in marchers), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-6)


@pytest.mark.seconds
def test_a_proposal_learns_to_bound_the_field_and_the_field_learns_by_it() -> None:
    """Pictures of a ball, 24 + 16 samples a ray, a small grid for a proposal."""
    proposal = Field(resolution=33, levels=1)
    importance = Importance(24, 16, proposal=proposal.density)
    made = Field(body=Integrated(4, width=32), marcher=importance, samples=24)
    groups = [
        {"params": made.parameters(), "lr": 5e-3},
        {"params": proposal.parameters(), "lr": 0.1},
    ]
    adam = torch.optim.Adam(groups)
    losses: list[tuple[float, float]] = []
    generator = rng(7)
    for _ in range(60):
        shot = Shot(orbit(360 * torch.rand(1, generator=generator), torch.tensor([20.0]), size=12))
        view = made.render(shot, rng=generator)
        origins, directions = shot.cameras.rays()
        nearest = torch.linalg.cross(origins, directions).norm(dim=-1, keepdim=True)
        truth = (nearest < 0.5).float()
        error = (view.alpha - truth).square().mean()
        level = importance.loss(made, rays_of(shot, 24, generator))
        adam.zero_grad()
        (error + level).backward()
        assert all(p.grad is not None for p in made.parameters())
        adam.step()
        losses.append((error.item(), level.item()))
    early, late = (torch.tensor(x).mean(0) for x in (losses[:5], losses[-5:]))
    assert late[0] < 0.3 * early[0], (early, late)
    assert late[1] < 0.02, (early, late)


def test_a_proposal_s_loss_moves_only_the_proposal() -> None:
    proposal = Field(resolution=33, levels=1).double()
    with torch.no_grad():
        proposal.get_parameter("body.levels.0")[..., 0] -= 4  # too thin to bound anything
    importance = Importance(16, 16, proposal=proposal.density)
    made = field(importance)
    loss = importance.loss(made, rays_of(Shot(double(two())), 16, None))
    loss.backward()
    grad = proposal.get_parameter("body.levels.0").grad
    assert float(loss.detach()) > 0 and grad is not None and bool((grad < 0).any())
    assert all(p.grad is None for p in made.parameters())
    with pytest.raises(ValueError, match="give Importance one"):
        Importance().loss(made, rays_of(Shot(double(two())), 16, None))
