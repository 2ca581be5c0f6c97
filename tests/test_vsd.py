"""VSD in closed form: its value, its zeros, what it is of whom, and whom its gradients reach."""

import pytest
import torch
from conftest import rng
from test_scores import Recorder, some_shot
from torch import Tensor, nn

from dreamlift.diffusion import Cosine, add_noise
from dreamlift.guidance import Guidance, scores, sds, vsd
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import Mix, Score
from dreamlift.guidance.times import Uniform, uniform
from dreamlift.prior import Prior
from dreamlift.priors import mixture
from dreamlift.priors.oracle import Oracle, picture
from dreamlift.scene import Shot
from dreamlift.step import Step

RGB = torch.rand(4, 4, 3, generator=rng(1))
MU = (2 * RGB - 1).permute(2, 0, 1)
SHOWN = torch.rand(4, 4, 3, generator=rng(20))
T = (0.11, 0.33, 0.83)  # off the symmetric middle


def oracle(std: float = 0.3, rgb: Tensor = RGB) -> Oracle:
    return Oracle(picture(rgb), std, grey=0.4, size=4)


def named(prior: Prior) -> Mix:
    """The score of one prompt, unguided."""
    return Mix(prior, {Sentence(prior, "a thing"): 1.0})


def guided(prior: Prior, scale: float) -> Mix:
    return scores.cfg(prior, Sentence(prior, "a thing"), Sentence(prior, ""), scale)


def draw(b: int = 3) -> tuple[Tensor, Tensor, Tensor, Shot]:
    """Unlike samples and noises, their t and their shot."""
    z, noise = (torch.randn(b, 3, 4, 4, generator=rng(k)) for k in (2, 3))
    return z, torch.tensor(T[:b]), noise, some_shot(*[0] * b)


def levels(t: Tensor) -> tuple[Tensor, Tensor]:
    return Cosine().alpha(t)[:, None, None, None], Cosine().sigma(t)[:, None, None, None]


class Pupil(nn.Module):
    """A student of one number, which remembers what it was asked and what it was taught."""

    def __init__(self, prior: Prior) -> None:
        super().__init__()
        self._prior = prior
        self.gain = nn.Parameter(torch.tensor(0.7))
        self.asked: list[tuple[Tensor, Tensor]] = []
        self.taught: list[tuple[Tensor, Tensor, Tensor]] = []

    @property
    def prior(self) -> Prior:
        return self._prior

    def forward(self, z_t: Tensor, t: Tensor, shot: Shot) -> Tensor:
        self.asked.append((z_t, t))
        return self.gain * z_t

    def loss(self, z: Tensor, t: Tensor, noise: Tensor, shot: Shot, rng: torch.Generator) -> Tensor:
        self.taught.append((z, t, noise))
        z_t = add_noise(self._prior.schedule, z, t, noise)
        return (self.gain * z_t - noise).square().mean()


def check_value() -> None:
    """w sigma [(z_t - a mu_s) / V - (z_t - a m) / V_q], mu_s the guided mean, w = sigma^2."""
    (z, t, noise, shot), scale = draw(), 7.5
    teacher, student = oracle(0.3), oracle(0.5, SHOWN)
    grad = vsd.VSD(guided(teacher, scale), named(student)).gradient(z, t, noise, shot)
    alpha, sigma = levels(t)
    z_t = alpha * z + sigma * noise
    null, m = 2 * 0.4 - 1, (2 * SHOWN - 1).permute(2, 0, 1)
    wanted = sigma * (z_t - alpha * (null + scale * (MU - null))) / (alpha**2 * 0.09 + sigma**2)
    shown = sigma * (z_t - alpha * m) / (alpha**2 * 0.25 + sigma**2)
    torch.testing.assert_close(grad, sigma**2 * (wanted - shown), atol=2e-5, rtol=1e-5)


def check_perfect() -> None:
    """Nothing pulls a scene whose pictures are what the prior believes: exactly 0."""
    z, t, noise, shot = draw()
    prior = oracle()
    grad = vsd.VSD(guided(prior, 1.0), named(oracle())).gradient(z, t, noise, shot)
    assert torch.equal(grad, torch.zeros_like(z))


def check_one_picture() -> None:
    """A student that knows a single picture says eps: VSD is SDS."""
    prior, (z, t, noise, shot) = oracle(), draw()
    score = guided(prior, 7.5)
    z = z[:1].repeat(3, 1, 1, 1)
    student = mixture.Crowd(prior, lambda: z[:1])
    ours, theirs = (
        guide.gradient(z, t, noise, shot) for guide in (vsd.VSD(score, student), sds.SDS(score))
    )
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def check_start() -> None:
    """A student that is still the teacher leaves w (s - 1) (eps_y - eps_null): CSD's direction."""
    prior, (z, t, noise, shot), scale = oracle(), draw(), 7.5
    y, null = Sentence(prior, "a thing"), Sentence(prior, "")
    guide = vsd.VSD(scores.cfg(prior, y, null, scale), Mix(prior, {y: 1.0}))
    z_t = add_noise(prior.schedule, z, t, noise)
    eps_y, eps_null = prior.eps(z_t, t, y(shot), null(shot))
    wanted = levels(t)[1] ** 2 * (scale - 1) * (eps_y - eps_null)
    torch.testing.assert_close(guide.gradient(z, t, noise, shot), wanted, atol=2e-5, rtol=1e-5)


def check_shift() -> None:
    """A constant added to every prediction, the teacher's and the student's, changes nothing."""
    prior, (z, t, noise, shot) = Recorder(gain=0.4), draw()
    t = prior.schedule.snap(t)
    guide = vsd.VSD(guided(prior, 7.5), Mix(prior, {Sentence(prior, "shown"): 1.0}))
    before = guide.gradient(z, t, noise, shot)
    prior.shift = 0.9
    after = guide.gradient(z, t, noise, shot)
    torch.testing.assert_close(after, before, atol=1e-5, rtol=0)


def check_one_z_t() -> None:
    """Teacher and student are asked about one z_t at one t, and t is of the range asked for."""
    prior = Recorder(Cosine())
    pupil, z = Pupil(prior), torch.full((8, 3, 4, 4), 50.0)
    guide = vsd.VSD(guided(prior, 7.5), pupil, Uniform(0.4, 0.6))
    guide(z, some_shot(*[0] * 8), Step(0, 1, rng(7)))
    (z_t, t, _), (seen, at) = prior.asked[0], pupil.asked[0]
    assert torch.equal(z_t, seen) and torch.equal(t, at)
    assert len(set(t.tolist())) == 8 and 0.4 <= t.min() and t.max() <= 0.6
    alpha, sigma = levels(t)
    noise = (z_t - alpha * z) / sigma
    assert noise.mean().abs() < 0.2 and (noise.std() - 1).abs() < 0.2


def check_frozen() -> None:
    """The pull reaches neither network, and z by grad / b exactly."""
    prior = Recorder(gain=0.4)
    pupil, (z, _, _, shot) = Pupil(prior), draw()
    z.requires_grad_()
    guide = vsd.VSD(guided(prior, 7.5), pupil)
    guide(z, shot, Step(0, 1, rng(6))).backward()
    assert prior.gain.grad is None and pupil.gain.grad is None
    z_t, t, _ = prior.asked[0]
    alpha, sigma = (f(t)[:, None, None, None] for f in (prior.schedule.alpha, prior.schedule.sigma))
    noise = (z_t - alpha * z).detach() / sigma
    assert z.grad is not None
    wanted = guide.gradient(z.detach(), t, noise, shot) / 3
    torch.testing.assert_close(z.grad, wanted, atol=1e-5, rtol=1e-4)


def check_study() -> None:
    """The student learns from the scene's pictures, and the scene nothing from the student."""
    prior = Recorder(gain=0.4)
    pupil, (z, _, _, shot) = Pupil(prior), draw()
    scene = z.clone().requires_grad_()
    loss = vsd.Study(pupil)(2 * scene, shot, Step(0, 1, rng(6)))
    loss.backward()
    assert scene.grad is None, "the student's gradient reached the scene"
    assert pupil.gain.grad is not None and pupil.gain.grad.abs() > 0
    assert torch.equal(pupil.taught[0][0], 2 * z)


def check_own_draws() -> None:
    """Its t is of its own range, U(0, 1), snapped, a sample; t and noise are not the pull's."""
    prior = Recorder()
    pupil, z = Pupil(prior), torch.randn(64, 3, 4, 4, generator=rng(5))
    shot, step = some_shot(*[0] * 64), Step(0, 1, rng(9))
    before = torch.get_rng_state()
    vsd.Study(pupil)(z, shot, step)
    vsd.VSD(guided(prior, 7.5), pupil, Uniform(0.0, 1.0))(z, shot, step)
    assert torch.equal(torch.get_rng_state(), before), "the global generator was used"
    (_, t, noise), (z_t, at) = pupil.taught[0], pupil.asked[0]
    assert not torch.isclose(t, at).any(), "the student learns at the scene's t"
    alpha, sigma = (f(at)[:, None, None, None] for f in (prior.schedule.alpha,
                                                         prior.schedule.sigma))  # fmt: skip
    assert not torch.isclose((z_t - alpha * z) / sigma, noise, atol=1e-3).all(1).any()
    assert t.min() < 0.1 and t.max() > 0.9 and len(set(t.tolist())) > 50
    torch.testing.assert_close(t * 999, (t * 999).round(), atol=1e-3, rtol=0)


def check_spread() -> None:
    """Particles of VSD with an exact student have the prior's mean and spread; SDS's collapse."""
    prior = Oracle(picture(RGB), 0.7, grey=0.4, size=4)
    ours, theirs = (settle(prior, fitted=fitted) for fitted in (True, False))
    torch.testing.assert_close(ours.mean(0), MU, atol=2e-3, rtol=0)
    spread = ours.var(0, correction=0).mean().sqrt()
    torch.testing.assert_close(spread, torch.tensor(0.7), atol=2e-3, rtol=0)
    assert theirs.std(0).mean() < 0.25


def settle(prior: Oracle, *, fitted: bool, n: int = 32, steps: int = 60) -> Tensor:
    """Where n particles end; the student is the Gaussian with their mean and one variance."""
    z = (3 + 0.1 * torch.randn(n, 3, 4, 4, generator=rng(10))).requires_grad_()

    class Fitted:
        def __init__(self) -> None:
            self.prior = prior

        def __call__(self, z_t: Tensor, t: Tensor, shot: Shot) -> Tensor:
            m, v = z.detach().mean(0), z.detach().var(0, correction=0).mean()
            return mixture.mixture_eps(
                prior.schedule, z_t, t, m[None], torch.ones(len(z_t), 1), v[None].sqrt()
            )

    score, times, shot = named(prior), Uniform(), some_shot(*[0] * n)
    guide = vsd.VSD(score, Fitted(), times, uniform) if fitted else sds.SDS(score, times, uniform)
    descend(guide, z, shot, steps)
    return z.detach()


def descend(guide: Guidance, z: Tensor, shot: Shot, steps: int) -> None:
    """Gradient descent with a rate of .8 a sample, falling to 0."""
    generator = rng(11)
    for i in range(steps):
        guide(z, shot, Step(i, steps, generator)).backward()
        assert z.grad is not None
        with torch.no_grad():
            z -= 0.8 * (1 - i / steps) * len(z) * z.grad
        z.grad = None


CHECKS = {
    check.__name__.removeprefix("check_"): check
    for check in (
        check_value, check_perfect, check_one_picture, check_start, check_shift, check_one_z_t,
        check_frozen, check_study, check_own_draws, check_spread,
    )
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKS)
def test_vsd(name: str):
    CHECKS[name]()


def test_the_double_is_a_student():
    pupil = Pupil(Recorder())
    assert isinstance(pupil, vsd.Student) and isinstance(pupil, Score)


def test_the_gradient_is_pure():
    (z, t, noise, shot), before = draw(), torch.get_rng_state()
    guide = vsd.VSD(named(oracle()), named(oracle(0.5, SHOWN)))
    z.requires_grad_()
    grads = [guide.gradient(z, t, noise, shot) for _ in range(2)]
    assert torch.equal(*grads) and not grads[0].requires_grad
    assert torch.equal(torch.get_rng_state(), before)


def test_a_group_of_views_shares_the_t_that_the_student_learns_at():
    prior = Recorder(Cosine(), views=2)
    pupil = Pupil(prior)
    vsd.Study(pupil)(torch.zeros(6, 3, 4, 4), some_shot(*[0] * 6), Step(0, 1, rng(12)))
    _, t, noise = pupil.taught[0]
    assert t[0] == t[1] and t[2] == t[3] and len(set(t.tolist())) == 3
    assert not torch.isclose(noise[0], noise[1]).all()
