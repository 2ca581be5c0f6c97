"""CFG rescale: the spread of what is guided."""

import torch
from conftest import rng
from test_scores import Recorder, some_shot
from torch import Tensor

from dreamlift.diffusion import x0_from_eps
from dreamlift.guidance import rescale, scores
from dreamlift.guidance.prompts import Sentence


def rescaled(phi: float, of: str = "eps", views: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    """Rescaled, plain and unguided predictions of four samples of unlike sizes."""
    prior, shot = Recorder(views=views, gain=0.5), some_shot(0, 90, 180, 270)
    y, null = Sentence(prior, "y"), Sentence(prior, "")
    sizes = torch.tensor([0.3, 1.0, 2.0, 5.0])[:, None, None, None]
    z_t = sizes * torch.randn(4, 3, 4, 4, generator=rng(6))
    t = prior.schedule.snap(torch.tensor([0.2, 0.2, 0.6, 0.6]))
    score = rescale.Rescaled(prior, y, null, 7.5, phi, of)  # type: ignore[arg-type]
    prior.asked.clear()
    found = score(z_t, t, shot)
    assert [n for _, _, n in prior.asked] == [2]
    plain, eps_y = (scores.cfg(prior, y, null, s)(z_t, t, shot) for s in (7.5, 1.0))
    if of == "x0":
        return tuple(x0_from_eps(prior.schedule, z_t, t, e) for e in (found, plain, eps_y))  # type: ignore[return-value]
    return found, plain, eps_y


def check_rescaled() -> None:
    """phi = 1: each sample has the spread of eps_y; 0: plain; between: between, and parallel."""
    found, plain, eps_y = rescaled(1.0)
    torch.testing.assert_close(found.flatten(1).std(1), eps_y.flatten(1).std(1))
    torch.testing.assert_close(rescaled(0.0)[0], plain)
    torch.testing.assert_close(rescaled(0.7)[0], 0.7 * found + 0.3 * plain)
    ratio = (found / plain).flatten(1)
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), atol=1e-5, rtol=1e-4)


def check_rescaled_groups() -> None:
    """Of clean samples the spread is that of a whole group of views, as MVDream has it."""
    found, plain, unguided = rescaled(1.0, "x0", views=2)
    both = [x.reshape(2, -1).std(1) for x in (found, unguided)]
    torch.testing.assert_close(*both, atol=1e-4, rtol=1e-3)
    ratio = (found / plain).reshape(2, -1)
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), atol=1e-3, rtol=1e-3)


def test_rescaled_guidance_has_the_spread_of_the_prompt():
    check_rescaled()


def test_rescaled_clean_samples_share_a_group_s_spread():
    check_rescaled_groups()


def test_rescaling_a_flat_prediction_gives_numbers():
    prior = Recorder()
    score = rescale.Rescaled(prior, lambda s: {"field": torch.zeros(1, 3, 4, 4)},
                            lambda s: {"field": torch.zeros(1, 3, 4, 4)}, 7.5)  # fmt: skip
    assert score(torch.zeros(1, 3, 4, 4), torch.tensor([0.5]), some_shot(0)).isfinite().all()
