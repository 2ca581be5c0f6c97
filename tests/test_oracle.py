"""The closed-form prior is the exact denoiser of what it claims to believe."""

import torch
from conftest import rng
from torch import Tensor
from torch.distributions import Normal

from dreamlift.cameras import orbit
from dreamlift.diffusion import Cosine
from dreamlift.guidance.prompts import Directed, Sentence, sided
from dreamlift.guidance.scores import cfg
from dreamlift.lights import Light
from dreamlift.prior import Prior, Prompt
from dreamlift.priors import oracle
from dreamlift.priors.oracle import Oracle, picture
from dreamlift.scene import Rendering, Shot
from dreamlift.schedules import scaled_linear


def lamp(shot: Shot) -> Rendering[None]:
    """A truth that shows its azimuth in red and its ambient light in green, half transparent."""
    b, h, w = len(shot), shot.cameras.height, shot.cameras.width
    red = (shot.cameras.azimuth + 180) / 360
    green = torch.ones(b) if shot.light is None else shot.light.ambient
    color = torch.stack([red, green, torch.zeros(b)], -1)[:, None, None].expand(b, h, w, 3)
    return Rendering(0.5 * color, torch.full((b, h, w, 1), 0.5), None)


def some_light(*ambient: float) -> Light:
    b = len(ambient)
    a = torch.tensor(ambient)
    return Light(torch.ones(b, 3), a, 1 - a, torch.zeros(b, dtype=torch.bool))


def shots(*azimuths: float, light: Light | None = None, background: Tensor | None = None) -> Shot:
    azimuth = torch.tensor(azimuths)
    return Shot(orbit(azimuth, torch.full_like(azimuth, 20.0), size=3), light, background)


def check_exact() -> None:
    """eps* = -sigma grad log p(z_t), p the Gaussian of mean alpha mu, variance (as)^2 + sigma^2."""
    mu = torch.rand(4, 4, 3, generator=rng(1), dtype=torch.float64)
    prior = Oracle(picture(mu), std=0.3, schedule=scaled_linear())
    z_t = torch.randn(3, 3, 4, 4, generator=rng(2), dtype=torch.float64, requires_grad=True)
    t = prior.schedule.snap(torch.tensor([0.1, 0.45, 0.9], dtype=torch.float64))
    alpha = prior.schedule.alpha(t)[:, None, None, None]
    sigma = prior.schedule.sigma(t)[:, None, None, None]
    marginal = Normal(alpha * (2 * mu - 1).permute(2, 0, 1), (0.09 * alpha**2 + sigma**2).sqrt())
    (score,) = torch.autograd.grad(marginal.log_prob(z_t).sum(), z_t)
    told = Sentence(prior, "a thing")(shots(10.0, 20.0, 30.0))
    (eps,) = prior.eps(z_t.detach(), t, told)
    torch.testing.assert_close(eps, -sigma * score)


def check_knows_the_shot() -> None:
    """The mean has each camera, its light and its background: mean = color + (1 - alpha) bg."""
    background = torch.tensor([[0.2, 0.4, 0.6], [1.0, 0.0, 0.8]])[:, None, None]
    prior = Oracle(lamp)
    shot = shots(-90.0, 90.0, light=some_light(0.3, 0.9), background=background)
    mean = prior.decode(Sentence(prior, "a thing")(shot)["mean"])[:, 1, 2]
    expected = torch.tensor([[0.125 + 0.1, 0.15 + 0.2, 0.3], [0.375 + 0.5, 0.45, 0.4]])
    torch.testing.assert_close(mean, expected)


def test_the_oracle_is_the_exact_denoiser():
    check_exact()


def test_the_oracle_sees_camera_light_and_background():
    check_knows_the_shot()


def test_without_a_background_the_world_is_black():
    prior = Oracle(lamp)
    mean = prior.decode(Sentence(prior, "a thing")(shots(0.0))["mean"])
    torch.testing.assert_close(mean[0, 0, 0], torch.tensor([0.25, 0.5, 0.0]))


def test_the_null_prompt_is_grey_and_renders_nothing():
    def never(shot: Shot) -> Rendering[None]:
        raise AssertionError("the truth was rendered for the null prompt")

    prior = Oracle(never, grey=0.25)
    mean = Sentence(prior, "")(shots(0.0, 90.0))["mean"]
    assert torch.equal(mean, torch.full((2, 3, 3, 3), -0.5))


def test_by_default_guidance_of_any_scale_changes_nothing():
    """So that a recipe's own settings can be held against the truth."""
    prior = Oracle(lamp)
    shot = shots(30.0, -130.0, light=some_light(0.3, 0.9))
    y, null = Sentence(prior, "a thing"), Sentence(prior, "")
    z_t, t = torch.randn(2, 3, 3, 3, generator=rng(5)), torch.tensor([0.2, 0.9])
    plain, guided = (cfg(prior, y, null, scale)(z_t, t, shot) for scale in (1.0, 20.0))
    assert torch.equal(plain, guided)


def test_prompts_are_mixed_as_weighted():
    prior = Oracle(lamp, grey=0.5)
    shot = shots(0.0, 0.0)
    weights = torch.tensor([0.3, 0.9])
    mix = [(prior.embed(Prompt("a frog")), weights), (prior.embed(Prompt("")), 1 - weights)]
    mean = prior.decode(prior.condition(mix, shot)["mean"])[:, 0, 0]
    truth = torch.tensor([0.25, 0.5, 0.0])
    expected = weights[:, None] * truth + (1 - weights[:, None]) * 0.5
    torch.testing.assert_close(mean, expected)


def test_view_words_change_nothing_for_the_oracle():
    """Its cameras say more than any word, so interpolated prompts leave the truth whole."""
    prior = Oracle(lamp)
    shot = shots(30.0, -130.0, light=some_light(0.3, 0.9))
    whole = Sentence(prior, "a thing")(shot)["mean"]
    told = Directed(prior, sided("a thing"), untextured=sided("x"), interpolate=True)(shot)
    torch.testing.assert_close(told["mean"], whole)


def test_decode_inverts_encode():
    prior = Oracle(lamp)
    x = torch.rand(2, 3, 5, 3, generator=rng(3))
    torch.testing.assert_close(prior.decode(prior.encode(x)), x)
    assert prior.encode(torch.zeros(1, 2, 2, 3)).unique().tolist() == [-1]


def test_the_truth_is_never_differentiated():
    rgb = torch.rand(3, 3, 3, generator=rng(4), requires_grad=True)
    prior = Oracle(oracle.picture(rgb))
    assert not Sentence(prior, "a thing")(shots(0.0))["mean"].requires_grad


def test_the_oracle_is_a_prior():
    assert isinstance(Oracle(lamp, schedule=Cosine()), Prior)
