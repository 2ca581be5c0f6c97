"""Score distillation in closed form: value, sign, mean, noise, reduction, and who sees which t."""

import pytest
import torch
from conftest import rng
from test_diffusion import at
from test_scores import Recorder, some_shot
from torch import Tensor

from dreamlift.diffusion import Cosine, Schedule, per_sample
from dreamlift.guidance import scores, sds
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import Mix
from dreamlift.guidance.times import Uniform, uniform
from dreamlift.priors.oracle import Oracle, picture
from dreamlift.schedules import scaled_linear
from dreamlift.step import Step

RGB = torch.rand(4, 4, 3, generator=rng(1))
MU = (2 * RGB - 1).permute(2, 0, 1)
T = (0.11, 0.33, 0.83)  # off the symmetric middle


def oracle(std: float, schedule: Schedule | None = None) -> Oracle:
    return Oracle(picture(RGB), std, grey=0.4, schedule=schedule or Cosine(), size=4)


def named(prior: Oracle | Recorder) -> Mix:
    """The score of one prompt, unguided."""
    return Mix(prior, {Sentence(prior, "a thing"): 1.0})


def draw(b: int = 3) -> tuple[Tensor, Tensor]:
    """Unlike samples and noises."""
    return torch.randn(b, 3, 4, 4, generator=rng(2)), torch.randn(b, 3, 4, 4, generator=rng(3))


def levels(schedule: Schedule, t: Tensor) -> tuple[Tensor, Tensor]:
    return schedule.alpha(t)[:, None, None, None], schedule.sigma(t)[:, None, None, None]


def check_value() -> None:
    """w (eps* - eps), eps* = sigma (alpha (z - mu) + sigma eps) / V, with w = sigma^2, a sample."""
    std, (z, noise), t = 0.3, draw(), torch.tensor(T)
    alpha, sigma = levels(Cosine(), t)
    eps = sigma * (alpha * (z - MU) + sigma * noise) / (alpha**2 * std**2 + sigma**2)
    grad = sds.SDS(named(oracle(std))).gradient(z, t, noise, some_shot(0, 0, 0))
    torch.testing.assert_close(grad, sigma**2 * (eps - noise), atol=1e-6, rtol=1e-5)


def check_mean() -> None:
    """E[grad] = w alpha sigma (z - mu) / V: noise and its negative average to it; 0 at mu."""
    std, (z, noise), t = 0.7, draw(), torch.tensor(T)
    alpha, sigma = levels(Cosine(), t)
    guide, shot = sds.SDS(named(oracle(std))), some_shot(0, 0, 0)
    for where in (z, MU.expand_as(z)):
        mean = (guide.gradient(where, t, noise, shot) + guide.gradient(where, t, -noise, shot)) / 2
        expected = sigma**2 * alpha * sigma * (where - MU) / (alpha**2 * std**2 + sigma**2)
        torch.testing.assert_close(mean, expected, atol=1e-6, rtol=1e-5)


def check_spread() -> None:
    """Per-sample standard deviation over the noise is 1 - sigma^2 / V, golden at four entries."""
    golden = {
        1.0: (0.9516, 0.7537, 0.2763, 0.0369),
        0.1: (0.1642, 0.0297, 0.0038, 0.0004),
        0.0: (0.0, 0.0, 0.0, 0.0),
    }
    (z, noise), t, shot = draw(4), at(50, 200, 500, 800), some_shot(0, 0, 0, 0)
    for std, expected in golden.items():
        guide = sds.SDS(named(oracle(std, scaled_linear())), weight=uniform)
        grads = [guide.gradient(z, t, k * noise, shot) for k in (1, -1)]
        found = -(grads[0] - grads[1]) / (2 * noise)
        wanted = torch.tensor(expected)[:, None, None, None].expand_as(found)
        torch.testing.assert_close(found, wanted, atol=2e-4, rtol=0)


def check_sign() -> None:
    """One step of plain gradient descent moves every sample toward the mean, pixel by pixel."""
    z = MU + 0.5 + torch.rand(3, 3, 4, 4, generator=rng(4))
    z.requires_grad_()
    guide = sds.SDS(named(oracle(0.0)))
    guide(z, some_shot(0, 0, 0), Step(0, 1, rng(5))).backward()
    assert z.grad is not None
    after = z - 0.1 * z.grad
    assert ((after - MU).abs() < (z - MU).abs()).all()
    assert (after > MU).all()


def check_reduction() -> None:
    """grad_i / b, summed over pixels: batch 6 of twice the same pulls each sample half as hard."""
    z, grad = draw()
    grads: list[Tensor] = []
    for k in (1, 2):
        leaf = z.repeat(k, 1, 1, 1).requires_grad_()
        sds.inject(leaf, grad.repeat(k, 1, 1, 1)).backward()
        assert leaf.grad is not None
        grads.append(leaf.grad)
    torch.testing.assert_close(grads[0], grad / 3, atol=0, rtol=1e-6)
    torch.testing.assert_close(grads[1], grad.repeat(2, 1, 1, 1) / 6, atol=0, rtol=1e-6)


def check_fixed_point() -> None:
    """With guidance s the mean gradient vanishes at mu_null + s (mu_y - mu_null), equal spreads."""
    prior, scale, t = oracle(0.5), 7.5, torch.tensor(T)
    null = 2 * 0.4 - 1
    z = (null + scale * (MU - null)).expand(3, 3, 4, 4)
    guide = sds.SDS(scores.cfg(prior, Sentence(prior, "a thing"), Sentence(prior, ""), scale))
    _, noise = draw()
    shot = some_shot(0, 0, 0)
    mean = guide.gradient(z, t, noise, shot) + guide.gradient(z, t, -noise, shot)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=2e-5, rtol=0)


def check_shift() -> None:
    """A constant c added to every prediction changes SDS by exactly w c (and CSD by nothing)."""
    prior, (z, noise), shot = Recorder(gain=0.4), draw(), some_shot(0, 0, 0)
    t = prior.schedule.snap(torch.tensor(T))
    y, null = Sentence(prior, "y"), Sentence(prior, "")
    guide = sds.SDS(scores.cfg(prior, y, null, 7.5))
    classifier = Mix(prior, {y: 1.0, null: -1.0})
    before = guide.gradient(z, t, noise, shot), classifier(z, t, shot)
    prior.shift = 0.9
    after = guide.gradient(z, t, noise, shot), classifier(z, t, shot)
    w = levels(prior.schedule, t)[1] ** 2
    wanted = (0.9 * w).expand_as(z)
    torch.testing.assert_close(after[0] - before[0], wanted, atol=1e-5, rtol=0)
    torch.testing.assert_close(after[1], before[1], atol=1e-5, rtol=0)


def check_frozen() -> None:
    """No gradient reaches the network, and none comes through it: z.grad is grad / b exactly."""
    prior, (z, noise), shot = Recorder(gain=0.4), draw(), some_shot(0, 0, 0)
    step = Step(0, 1, rng(6))
    z.requires_grad_()
    guide = sds.SDS(named(prior))
    guide(z, shot, step).backward()
    assert prior.gain.grad is None, "the network received a gradient"
    z_t, t, _ = prior.asked[0]
    schedule = prior.schedule
    alpha, sigma = levels(schedule, t)
    noise = (z_t - alpha * z).detach() / sigma
    expected = guide.gradient(z.detach(), t, noise, shot) / 3
    assert z.grad is not None
    torch.testing.assert_close(z.grad, expected, atol=1e-5, rtol=1e-4)


def check_one_t() -> None:
    """The noise, the weight and the network see one t a sample, and it is in the table."""
    weighed: list[Tensor] = []

    def weight(schedule: Schedule, t: Tensor) -> Tensor:
        weighed.append(t)
        return schedule.sigma(t) ** 2

    prior = Recorder()
    z = torch.full((8, 3, 4, 4), 50.0)
    sds.SDS(named(prior), weight=weight)(z, some_shot(*[0] * 8), Step(0, 1, rng(7)))
    z_t, t, _ = prior.asked[0]
    torch.testing.assert_close(t * 999, (t * 999).round(), atol=1e-3, rtol=0)
    assert len(set(t.tolist())) == 8, "samples share a t"
    assert torch.equal(weighed[0], t)
    alpha, sigma = levels(prior.schedule, t)
    noise = (z_t - alpha * z) / sigma
    assert noise.mean().abs() < 0.2 and (noise.std() - 1).abs() < 0.2


def check_range() -> None:
    """t stays in the distribution that was asked for."""
    prior = Recorder(Cosine())
    guide = sds.SDS(named(prior), times=Uniform(0.4, 0.6))
    guide(torch.zeros(64, 3, 4, 4), some_shot(*[0] * 64), Step(0, 1, rng(8)))
    t = prior.asked[0][1]
    assert 0.4 <= t.min() < 0.42 and 0.58 < t.max() <= 0.6


def check_noise() -> None:
    """Each pixel of each sample has its own noise, from the step's generator and no other."""
    z, step, before = torch.zeros(5, 3, 4, 4), Step(0, 1, rng(9)), torch.get_rng_state()
    first, second = (sds.fresh_noise(z, step) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before), "the global generator was used"
    assert torch.equal(sds.fresh_noise(z, Step(3, 9, rng(9))), first)
    both = torch.cat([first, second]).flatten()
    assert len(both.unique()) == both.numel()


def check_pure() -> None:
    """The gradient draws nothing and remembers nothing."""
    (z, noise), t = draw(), torch.tensor(T)
    guide, before = sds.SDS(named(oracle(0.3))), torch.get_rng_state()
    z.requires_grad_()
    grads = [guide.gradient(z, t, noise, some_shot(0, 0, 0)) for _ in range(2)]
    assert torch.equal(*grads)
    assert not grads[0].requires_grad
    assert torch.equal(torch.get_rng_state(), before)


CHECKS = {
    check.__name__.removeprefix("check_"): check
    for check in (
        check_value, check_mean, check_spread, check_sign, check_reduction, check_fixed_point,
        check_shift, check_frozen, check_one_t, check_range, check_noise, check_pure,
    )
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKS)
def test_sds(name: str):
    CHECKS[name]()


def test_the_scalar_says_how_hard_it_pulls():
    z, grad = draw()
    value = sds.inject(z, grad)
    torch.testing.assert_close(value, 0.5 * grad.square().sum() / 3)


def test_injected_gradients_survive_tiny_and_huge():
    """Not rounded by z: |z| = 1e4 beside gradients of 1e-6."""
    z = torch.full((2, 1, 2, 2), 1e4, requires_grad=True)
    grad = 1e-6 * torch.rand(2, 1, 2, 2, generator=rng(1))
    sds.inject(z, grad).backward()
    assert z.grad is not None
    torch.testing.assert_close(z.grad, grad / 2, atol=0, rtol=1e-6)


def test_half_precision_pictures_get_half_precision_gradients():
    prior = Recorder(Cosine(), gain=0.5)
    z = torch.zeros(2, 3, 4, 4, dtype=torch.bfloat16, requires_grad=True)
    sds.SDS(named(prior))(z, some_shot(0, 0), Step(0, 1, rng(1))).backward()
    assert z.grad is not None and z.grad.dtype == torch.bfloat16


def test_sds_finds_the_mode_where_the_true_spread_is_wider():
    """Particles of a prior of spread .3 all collapse to its mean: SDS seeks modes."""
    guide = sds.SDS(named(oracle(0.3)))
    z = torch.randn(16, 3, 4, 4, generator=rng(10)).requires_grad_()
    optimizer = torch.optim.Adam([z], lr=0.05)
    generator, shot = rng(11), some_shot(*[0] * 16)
    for i in range(300):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * (1 - i / 300)
        optimizer.zero_grad()
        guide(z, shot, Step(i, 300, generator)).backward()
        optimizer.step()
    assert (z - MU).abs().mean() < 0.05
    assert z.std(0).mean() < 0.1


def test_a_group_of_views_shares_its_t_and_not_its_noise():
    prior = Recorder(Cosine(), views=2)
    z = torch.zeros(6, 3, 4, 4)
    sds.SDS(named(prior))(z, some_shot(*[0] * 6), Step(0, 1, rng(12)))
    z_t, t, _ = prior.asked[0]
    assert t[0] == t[1] and t[2] == t[3] and len(set(t.tolist())) == 3
    noise = z_t / per_sample(prior.schedule.sigma(t), z_t)
    assert not torch.isclose(noise[0], noise[1]).all()
