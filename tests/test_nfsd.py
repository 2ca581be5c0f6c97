"""NFSD: where it subtracts a bad prompt, and what is left of the noise."""

import torch
from exact import MU, close, draw, numbers, oracle, said, times
from test_diffusion import at
from test_scores import Recorder, some_shot

from dreamlift.guidance import nfsd
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.times import uniform


def check_switch() -> None:
    """At entry 199 the bad prompt is nothing, at 200 it is subtracted, sample by sample."""
    prior, shot = Recorder(gain=0.4), some_shot(0, 0, 0)
    y, null, bad = (Sentence(prior, text) for text in ("y", "", nfsd.BAD))
    guide = nfsd.nfsd(prior, y, null, bad, scale=3.0, weight=uniform)
    z, t = torch.zeros(3, 3, 4, 4), at(199, 200, 950)
    found = guide.gradient(z, t, 0 * z, shot)
    common = prior.field("") + 3 * (prior.field("y") - prior.field(""))
    wanted = torch.stack([common, *2 * [common - prior.field(nfsd.BAD)]])
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=0)


def check_evaluations() -> None:
    """One call of three conditions; of two where no sample needs the bad prompt."""
    prior = Recorder()
    y, null, bad = (Sentence(prior, text) for text in ("y", "", "bad"))
    guide = nfsd.nfsd(prior, y, null, bad)
    for entries, conditions in (((100, 199), 2), ((100, 200), 3)):
        prior.asked.clear()
        z = torch.zeros(2, 3, 4, 4)
        guide.gradient(z, at(*entries), z, some_shot(0, 0))
        assert [n for *_, n in prior.asked] == [conditions]


def check_noise() -> None:
    """For t < .2 and y = null: the mean of SDS, and a spread over the noise of w sigma^2 / V."""
    prior, (z, noise), shot = oracle(0.7), draw(), some_shot(0, 0, 0)
    t = times(prior, 0.05, 0.1, 0.19)
    y = said(prior)
    guide = nfsd.nfsd(prior, y, said(prior), said(prior, 0.0))
    grads = [guide.gradient(z, t, k * noise, shot) for k in (1, -1)]
    alpha, sigma, variance = numbers(prior, t)
    close((grads[0] + grads[1]) / 2, sigma**3 * alpha * (z - MU) / variance)
    close((grads[0] - grads[1]) / 2, sigma**2 * sigma**2 / variance * noise)


def test_the_bad_prompt_enters_at_entry_200():
    check_switch()


def test_the_bad_prompt_is_asked_only_where_it_counts():
    check_evaluations()


def test_the_noise_of_small_times_is_that_of_a_clean_guess():
    check_noise()


def test_the_null_prompt_may_stand_for_bad_pictures():
    """Then nothing but the classifier's term is left where t >= .2; the rest is as ever."""
    prior, shot = Recorder(gain=0.4), some_shot(0, 0)
    y, null = (Sentence(prior, text) for text in ("y", ""))
    z, t = torch.randn(2, 3, 4, 4), at(100, 500)
    found = nfsd.nfsd(prior, y, null, null, weight=uniform).gradient(z, t, 0 * z, shot)
    pull = 7.5 * (prior.field("y") - prior.field(""))
    low = prior.gain.detach() * prior.schedule.alpha(t)[0] * z[0] + prior.field("")
    torch.testing.assert_close(found, torch.stack([low + pull, pull]), atol=1e-5, rtol=0)
