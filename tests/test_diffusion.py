"""Schedules, conversions and samplers against golden numbers and exact solutions."""

import pytest
import torch
from conftest import rng

from dreamlift import diffusion
from dreamlift.diffusion import Cosine, Schedule
from dreamlift.schedules import Flow, scaled_linear

SCHEDULES = [Cosine(), Flow(), scaled_linear()]

ALPHA_BAR = {  # Stable Diffusion's table, from an independent implementation
    0: 0.99915, 20: 0.981314, 50: 0.951577, 100: 0.894223, 200: 0.753692, 400: 0.424483,
    500: 0.276333, 600: 0.160783, 800: 0.036870, 950: 0.008247, 980: 0.005844, 999: 0.004660,
}  # fmt: skip


def at(*entries: int) -> torch.Tensor:
    """Entries of a table of 1000 as t."""
    return torch.tensor(entries) / 999


def some(schedule: Schedule, b: int = 3) -> tuple[torch.Tensor, ...]:
    """A clean sample, a noise and unlike times."""
    z = torch.randn(b, 2, 3, generator=rng(1))
    noise = torch.randn(b, 2, 3, generator=rng(2))
    return z, noise, schedule.snap(torch.tensor([0.11, 0.37, 0.83])[:b])


def check_table() -> None:
    schedule = scaled_linear()
    alpha_bar = schedule.alpha(at(*ALPHA_BAR)).square()
    torch.testing.assert_close(alpha_bar, torch.tensor([*ALPHA_BAR.values()]), atol=1e-6, rtol=0)
    torch.testing.assert_close(schedule.sigma(at(*ALPHA_BAR)).square(), 1 - alpha_bar)


def check_conversions() -> None:
    for schedule in SCHEDULES:
        z, noise, t = some(schedule)
        z_t = diffusion.add_noise(schedule, z, t, noise)
        first = float(schedule.alpha(t)[0]) * z[0] + float(schedule.sigma(t)[0]) * noise[0]
        torch.testing.assert_close(z_t[0], first)
        torch.testing.assert_close(diffusion.x0_from_eps(schedule, z_t, t, noise), z)
        torch.testing.assert_close(diffusion.eps_from_x0(schedule, z_t, t, z), noise)


def check_velocity() -> None:
    """v = alpha eps - sigma z is dz_t/dphi on the circle alpha = cos phi, sigma = sin phi."""
    schedule = Cosine()
    z, noise, t = some(schedule)
    z_t = diffusion.add_noise(schedule, z, t, noise)
    v = diffusion.velocity(schedule, z, t, noise)
    h = 1e-3
    ahead, behind = (diffusion.add_noise(schedule, z, t + s, noise) for s in (h, -h))
    torch.testing.assert_close(v, (ahead - behind) / (torch.pi * h), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(diffusion.eps_from_v(schedule, z_t, t, v), noise)


def check_clamp() -> None:
    """Outside the limit the clean sample lands on it; inside, eps is untouched, bit for bit."""
    schedule = scaled_linear()
    z, noise, t = some(schedule)
    z = 2 * z
    z_t = diffusion.add_noise(schedule, z, t, noise)
    eps = diffusion.clamp_x0(schedule, z_t, t, noise, 1.5)
    x0 = diffusion.x0_from_eps(schedule, z_t, t, eps)
    torch.testing.assert_close(x0, z.clamp(-1.5, 1.5), atol=1e-5, rtol=0)
    inside = z.abs() < 1.49
    assert 0 < inside.sum() < inside.numel()
    assert torch.equal(eps[inside], noise[inside])
    assert not torch.isclose(eps[~inside], noise[~inside]).any()


def test_the_table_is_stable_diffusions():
    check_table()


def test_conversions_invert_one_another():
    check_conversions()


def test_velocity_is_the_derivative_along_the_circle():
    check_velocity()


def test_clamping_eps_clamps_the_clean_sample():
    check_clamp()


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_snapping_is_idempotent_and_keeps_the_noise_level(schedule: Schedule):
    t = torch.rand(100, generator=rng(3)) * 0.96 + 0.02
    snapped = schedule.snap(t)
    assert torch.equal(schedule.snap(snapped), snapped)
    assert (snapped - t).abs().max() <= 0.5 / 999 + 1e-6
    assert torch.equal(schedule.alpha(snapped), schedule.alpha(t))


def test_the_table_snaps_to_its_own_entries():
    index = scaled_linear().snap(torch.rand(50, generator=rng(4))) * 999
    torch.testing.assert_close(index, index.round(), atol=1e-3, rtol=0)


def gaussian(schedule: Schedule, mu: float, std: float) -> diffusion.Eps:
    """The exact noise predictor of N(mu, std^2)."""

    def eps(z_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        a = diffusion.per_sample(schedule.alpha(t), z_t)
        s = diffusion.per_sample(schedule.sigma(t), z_t)
        return s * (z_t - a * mu) / (a**2 * std**2 + s**2)

    return eps


@pytest.mark.parametrize("schedule", [Cosine(), Flow()], ids=lambda s: type(s).__name__)
def test_ddim_converges_to_the_exact_flow_of_a_gaussian(schedule: Schedule):
    """x_t = alpha_t mu + (x_u - alpha_u mu) sqrt(V_t / V_u), V = alpha^2 std^2 + sigma^2."""
    mu, std, u, t = 1.3, 0.7, 0.9, 0.2
    z = torch.randn(4, 3, generator=rng(5), dtype=torch.float64)
    a, s = (
        [float(f(torch.tensor([w], dtype=torch.float64))) for w in (u, t)]
        for f in (schedule.alpha, schedule.sigma)
    )
    v = [a[i] ** 2 * std**2 + s[i] ** 2 for i in (0, 1)]
    exact = a[1] * mu + (z - a[0] * mu) * (v[1] / v[0]) ** 0.5
    errors = []
    for steps in (20, 40, 80):
        times = torch.linspace(u, t, steps + 1).tolist()
        out = diffusion.ddim(schedule, gaussian(schedule, mu, std), z, times)
        errors.append(float((out - exact).abs().max()))
    assert errors[-1] < 0.015
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.15)  # a first-order method
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.15)


def test_ddim_reaches_a_point_in_one_step():
    z = torch.randn(2, 5, generator=rng(6))
    out = diffusion.ddim(Cosine(), gaussian(Cosine(), 0.4, 0.0), z, [0.7, 0.0])
    torch.testing.assert_close(out, torch.full_like(z, 0.4), atol=1e-5, rtol=0)


def test_ddim_clamps_every_clean_sample():
    z = torch.randn(2, 5, generator=rng(7))
    out = diffusion.ddim(Cosine(), gaussian(Cosine(), 3.0, 0.1), z, [0.9, 0.5, 0.0], clamp=1.0)
    torch.testing.assert_close(out, torch.ones_like(z))
