"""Toward reconstructions, and HiFA's two spaces."""

import pytest
import torch
from conftest import rng
from exact import MU, close, draw, numbers, oracle, plain, times
from exact import guided as scaled
from test_scores import Recorder, some_shot
from torch import Tensor

from dreamlift.diffusion import Cosine, add_noise
from dreamlift.geometry.squares import resize
from dreamlift.guidance import guided, hifa, reconstruct
from dreamlift.guidance.courses import HIFA
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import Mix
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.times import noise_to_signal, sigma_squared
from dreamlift.step import Step


class Seen(Recorder):
    """A prior that counts what it decodes."""

    def __init__(self) -> None:
        super().__init__(Cosine(), gain=0.4)
        self.decoded: list[Tensor] = []

    def decode(self, z: Tensor) -> Tensor:
        self.decoded.append(z)
        return super().decode(z)


def check_one_step() -> None:
    """Of one step: SDS with w = sigma / alpha."""
    prior, (z, noise), shot = oracle(0.4), draw(), some_shot(0, 0, 0)
    t, score = times(prior), scaled(prior, 4.0)
    one = reconstruct.Reconstruct(score, steps=1)
    wanted = SDS(score, weight=noise_to_signal).gradient(z, t, noise, shot)
    close(one.gradient(z, t, noise, shot), wanted, 1e-8)


def check_many_steps() -> None:
    """Of many: mu + S (z_t - alpha mu) / sqrt V, where the exact flow ends; error as 1 / steps."""
    prior, (z, noise), shot = oracle(0.6, Cosine()), draw(), some_shot(0, 0, 0)
    t, score = times(prior), plain(prior)
    alpha, _, variance = numbers(prior, t)
    exact = MU + 0.6 * (add_noise(prior.schedule, z, t, noise) - alpha * MU) / variance.sqrt()
    errors = [
        float((reconstruct.Reconstruct(score, n).target(z, t, noise, shot) - exact).norm())
        for n in (8, 16, 32)
    ]
    assert errors[2] < 0.05 * float((z - exact).norm())
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.2)
    assert errors[1] / errors[2] == pytest.approx(2, rel=0.2)


def check_weighted() -> None:
    """w(t) (z - target), each sample its own w."""
    prior, (z, noise), shot = oracle(0.6), draw(), some_shot(0, 0, 0)
    guide = reconstruct.Reconstruct(plain(prior), 3, weight=sigma_squared)
    t = times(prior)
    found = guide.gradient(z, t, noise, shot)
    _, sigma, _ = numbers(prior, t)
    close(found, sigma**2 * (z - guide.target(z, t, noise, shot)))


def two_spaces(rgb: float) -> tuple[Seen, hifa.HiFA]:
    prior = Seen()
    score = Mix(prior, {Sentence(prior, "y"): 1.0})
    return prior, hifa.HiFA(reconstruct.Reconstruct(score, 2, HIFA), rgb)


def check_two_spaces() -> None:
    """w (z - z_hat) in z, and rgb w (x - x_hat) in x, of one reconstruction, decoded once."""
    prior, guide = two_spaces(0.3)
    z, x = torch.randn(2, 3, 4, 4, generator=rng(1)), torch.rand(2, 4, 4, 3, generator=rng(2))
    z.requires_grad_(), x.requires_grad_()
    shot, t = some_shot(0, 0), torch.tensor([0.4, 0.4])
    noise = torch.randn(2, 3, 4, 4, generator=rng(3))
    of_z, of_x = guide.gradients(z, x, t, noise, shot)
    assert len(prior.decoded) == 1 and not prior.decoded[0].requires_grad
    target = guide.latent.target(z, t, noise, shot)
    torch.testing.assert_close(of_z, z.detach() - target)
    seen = (target.permute(0, 2, 3, 1) + 1) / 2
    torch.testing.assert_close(of_x, 0.3 * (x.detach() - seen))
    guide(z, shot, Step(3, 10, rng(4)), x=x).backward()
    assert z.grad is not None and x.grad is not None
    z_t, at, _ = prior.asked[-2]
    alpha, sigma = prior.schedule.alpha(at)[0], prior.schedule.sigma(at)[0]
    of_z, of_x = guide.gradients(z, x, at, ((z_t - alpha * z) / sigma).detach(), shot)
    torch.testing.assert_close(z.grad, of_z / 2, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(x.grad, of_x / 2, atol=1e-4, rtol=1e-4)


def check_decodes_only_where_asked() -> None:
    """Without a weight for pictures nothing is decoded; nor does SDS ever."""
    prior, guide = two_spaces(0.0)
    z = torch.zeros(1, 3, 4, 4)
    guide(z, some_shot(0), Step(0, 10, rng(1)))
    SDS(guide.latent.score)(z, some_shot(0), Step(0, 10, rng(1)))
    assert not prior.decoded


def test_one_step_is_sds():
    check_one_step()


def test_many_steps_follow_the_exact_flow():
    check_many_steps()


def test_reconstructions_are_weighted_by_their_t():
    check_weighted()


def test_both_spaces_share_one_reconstruction():
    check_two_spaces()


def test_pictures_are_decoded_only_where_they_count():
    check_decodes_only_where_asked()


def test_pictures_of_pixels_only_scale_the_pull():
    """Where x = (z + 1) / 2 the second term is the first, times rgb / 4."""
    grads: list[Tensor] = []
    for rgb in (0.0, 0.4):
        _, guide = two_spaces(rgb)
        z = torch.randn(2, 3, 4, 4, generator=rng(1)).requires_grad_()
        guide(z, some_shot(0, 0), Step(2, 10, rng(2))).backward()
        assert z.grad is not None
        grads.append(z.grad)
    torch.testing.assert_close(grads[1], 1.1 * grads[0])


def test_pictures_of_another_size_are_refused():
    _, guide = two_spaces(0.4)
    z, x = torch.zeros(1, 3, 4, 4), torch.zeros(1, 8, 8, 3)
    with pytest.raises(ValueError, match="pictures are 4x4, those to be compared 8x8"):
        guide(z, some_shot(0), Step(0, 1, rng(1)), x=x)


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="at least 1 step; 0"):
        reconstruct.Reconstruct(plain(oracle(0.5)), 0)


class Lossy(Seen):
    """Its z forgets every second column of a picture, and is twice as far from grey."""

    def encode(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        z = 2 * super().encode(resize(x.permute(0, 3, 1, 2), 4).permute(0, 2, 3, 1))
        return z * torch.tensor([1.0, 0.0, 1.0, 0.0])

    def decode(self, z: Tensor) -> Tensor:
        return super().decode(z / 2)


def test_hifa_looks_at_the_rendered_picture_itself():
    prior = Lossy()
    score = Mix(prior, {Sentence(prior, "y"): 1.0})
    toward, shot = reconstruct.Reconstruct(score, 2, HIFA), some_shot(0)
    x = torch.rand(1, 4, 4, 3, generator=rng(2), requires_grad=True)

    def pulled(rgb: float) -> Tensor:
        guide = hifa.HiFA(toward, rgb)
        (of_x,) = torch.autograd.grad(guided(guide, prior, x, shot, Step(3, 10, rng(4))), x)
        return of_x

    prior.decoded.clear()
    more = pulled(0.3) - pulled(0.0)
    (half,) = prior.decoded
    seen = (half.permute(0, 2, 3, 1) + 1) / 2
    torch.testing.assert_close(more, 0.3 * (x.detach() - seen), atol=1e-5, rtol=1e-4)
    assert not pulled(0.0)[:, :, 1::2].any() and bool(more[:, :, 1::2].abs().min() > 0)
    plain = guided(SDS(score), prior, x, shot, Step(3, 10, rng(4)))
    torch.testing.assert_close(plain, SDS(score)(prior.encode(x), shot, Step(3, 10, rng(4))))


def test_a_picture_redrawn_is_compared_with_the_picture():
    prior = Lossy()
    guide = reconstruct.Reconstruct(Mix(prior, {Sentence(prior, "y"): 1.0}), 2, HIFA)
    x = torch.rand(2, 8, 8, 3, generator=rng(2), requires_grad=True)
    loss = guide.redrawn(x, some_shot(0, 0), Step(3, 10, rng(4)))
    (of_x,) = torch.autograd.grad(loss, x)
    (half,) = prior.decoded
    wanted = ((half.permute(0, 2, 3, 1) + 1) / 2).clamp(0, 1)
    small = x.detach().unflatten(1, (4, 2)).unflatten(3, (4, 2)).mean((2, 4))
    torch.testing.assert_close(loss.detach(), 0.5 * (small - wanted).square().sum() / 2)
    torch.testing.assert_close(of_x[:, ::2, ::2], (small - wanted) / 8, atol=1e-6, rtol=1e-5)
