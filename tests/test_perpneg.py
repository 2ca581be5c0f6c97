"""Perp-Neg: golden weights, orthogonality, and the scale that plain guidance has."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import rng
from test_scores import Recorder, some_shot
from torch import Tensor

from dreamlift.guidance import perpneg, prompts, scores
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.sds import SDS
from dreamlift.lights import Light
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.recipes.perpneg import PerpNeg as Recipe
from dreamlift.run import Run
from dreamlift.scene import Shot
from dreamlift.scenes.field import Field

GOLDEN = {  # azimuth: (front, side), from Perp-Neg's code
    0.0: (0.0, -2.0), 17.0: (0.0, -0.3025), 19.0: (-0.4129, -0.2422), 30.0: (-0.5272, -0.0713),
    45.0: (-0.7358, -0.0135), 60.0: (-1.0268, -0.0025), 89.0: (-1.9560, 0.0),
    120.0: (-2.0, -0.0013), 150.0: (-2.0, -0.0357), 179.0: (-2.0, -0.8948),
    -30.0: (-0.5272, -0.0713), -150.0: (-2.0, -0.0357),
}  # fmt: skip


def three(
    *weights: float, scale: float = 7.5
) -> tuple[Recorder, perpneg.PerpNeg, Tensor, Tensor, Shot]:
    """A prior, guidance away from sentences of these weights, a sample, its t and shot."""
    prior, shot = Recorder(gain=0.5), some_shot(10, -130)
    y, null, *others = (Sentence(prior, text) for text in ("y", "", *"abc"[: len(weights)]))
    away = {
        told: (lambda shot, w=w: torch.full((len(shot),), w))
        for told, w in zip(others, weights, strict=True)
    }
    z_t = torch.randn(2, 3, 4, 4, generator=rng(1))
    t = prior.schedule.snap(torch.tensor([0.31, 0.77]))
    return prior, perpneg.PerpNeg(prior, y, null, away, scale), z_t, t, shot


def check_weights() -> None:
    azimuth = torch.tensor([*GOLDEN])
    low = torch.full_like(azimuth, 10.0)
    found = [w(azimuth, low) for w in (perpneg.from_front, perpneg.from_side)]
    wanted = torch.tensor([*GOLDEN.values()]).T
    torch.testing.assert_close(torch.stack(found), wanted, atol=1e-4, rtol=0)


def check_orthogonal() -> None:
    """What is taken away, sample by sample, has no part along eps_y - eps_null."""
    prior, guide, z_t, t, shot = three(-1.3)
    delta, main = torch.randn(2, 3, 3, 4, 4, generator=rng(2))
    across = perpneg.perpendicular(delta, main)
    assert (across * main).flatten(1).sum(1).abs().max() < 1e-4
    along = perpneg.perpendicular(delta, main) - delta
    for i in range(3):  # a multiple of main, and nothing else
        ratio = along[i] / main[i]
        torch.testing.assert_close(ratio, ratio.mean().expand_as(ratio), atol=1e-3, rtol=1e-3)
    eps = guide(z_t, t, shot)
    e_y, e_null, e_a = (0.5 * z_t + prior.field(text) for text in ("y", "", "a"))
    cut = perpneg.perpendicular(e_a - e_null, e_y - e_null)
    wanted = e_null + 7.5 * (e_y - e_null - 1.3 * cut)
    torch.testing.assert_close(eps, wanted, atol=1e-4, rtol=1e-4)


def check_like_cfg() -> None:
    """Without weights, and away from what points the same way, it is cfg of the same scale."""
    for weights in ((0.0,), (0.0, -1e-5), ()):
        prior, guide, z_t, t, shot = three(*weights)
        plain = scores.cfg(prior, guide.y, guide.null, 7.5)(z_t, t, shot)
        assert torch.equal(guide(z_t, t, shot), plain)
    _, guide, z_t, t, shot = three(-2.0)
    parallel = perpneg.PerpNeg(
        guide.prior, guide.y, guide.null, {guide.y: lambda shot: -torch.ones(2)}, 7.5
    )
    plain = scores.cfg(guide.prior, guide.y, guide.null, 7.5)(z_t, t, shot)
    torch.testing.assert_close(parallel(z_t, t, shot), plain, atol=1e-4, rtol=1e-4)


def check_one_evaluation() -> None:
    """One batched call, without the negatives that no camera has."""
    for weights, conditions in (((-1.0, -0.5), 4), ((-1.0, 0.0), 3), ((0.0, -5e-5), 2)):
        prior, guide, z_t, t, shot = three(*weights)
        guide(z_t, t, shot)
        assert [n for *_, n in prior.asked] == [conditions]


def check_alone() -> None:
    """A sample's prediction is the one it has without the others in its batch."""
    prior, shot = Recorder(gain=0.5), some_shot(10, -130)
    fields = torch.randn(3, 2, 3, 4, 4, generator=rng(3))
    y, null, a = (lambda shot, f=f: {"field": f[-len(shot) :]} for f in fields)
    guide = perpneg.PerpNeg(prior, y, null, {a: lambda shot: torch.full((len(shot),), -1.3)}, 7.5)
    z_t, t = torch.randn(2, 3, 4, 4, generator=rng(1)), torch.tensor([0.31, 0.77])
    both, one = guide(z_t, t, shot), guide(z_t[1:], t[1:], Shot(shot.cameras[1:]))
    torch.testing.assert_close(both[1:], one, atol=1e-5, rtol=1e-5)


def check_sides() -> None:
    """From behind the front is negated; at the front both sides, as one prompt, alike."""
    prior = Recorder()
    front, sides = perpneg.unlike(prior, prompts.sided("a frog"))
    shot = some_shot(170, 0, 30, -60)
    front(shot), sides(shot)
    assert [{text for text, w in mix if w.any()} for mix in prior.told] == [
        {"a frog, front view"}, {"a frog, left side view", "a frog, right side view"},
    ]  # fmt: skip
    left, right = (
        next(w for text, w in prior.told[1] if side in text) for side in ("left", "right")
    )
    torch.testing.assert_close(left + right, torch.ones(4))
    wanted = torch.tensor([0.5868, 0.5, 0.75, 0.0670])
    torch.testing.assert_close(left, wanted, atol=1e-4, rtol=0)


def test_golden_weights():
    check_weights()


def test_only_what_is_perpendicular_is_negated():
    check_orthogonal()


def test_without_weights_it_is_plain_guidance_of_the_same_scale():
    check_like_cfg()


def test_all_conditions_are_asked_at_once():
    check_one_evaluation()


def test_samples_of_a_batch_do_not_see_one_another():
    check_alone()


def test_sides_are_negated_together():
    check_sides()


def test_weights_mirror_left_to_right_and_jump_only_at_18_degrees():
    azimuth = torch.arange(-180.0, 180.5, 0.5)
    low = torch.zeros_like(azimuth)
    for weight in (perpneg.from_front, perpneg.from_side):
        w = weight(azimuth, low)
        torch.testing.assert_close(w, weight(-azimuth, low), atol=1e-5, rtol=0)
        assert (w <= 0).all() and (w >= -2).all()
        jumps = azimuth[1:][w.diff().abs() > 0.15].abs()
        assert all(abs(jump - 18) <= 0.5 for jump in jumps.tolist())
    assert float(weight(torch.tensor([0.0]), torch.tensor([0.0]), strength=3.0)) == -3


def test_from_above_nothing_is_negated():
    azimuth, high = torch.tensor([0.0, 170.0]), torch.tensor([80.0, 76.0])
    for weight in (perpneg.from_front, perpneg.from_side):
        assert not weight(azimuth, high).any()
    half = perpneg.from_front(torch.tensor([170.0]), torch.tensor([60.0]))
    assert float(half) == pytest.approx(-1.0)


def test_negatives_of_textureless_pictures_have_no_colours():
    prior = Recorder()
    texts = prompts.sided("a red frog"), prompts.sided("untextured frog")
    front, _ = perpneg.unlike(prior, texts[0], untextured=texts[1])
    blank = torch.tensor([True, False])
    front(some_shot(180, 180, light=Light(torch.ones(2, 3), torch.ones(2), torch.zeros(2), blank)))
    said = {text: w.tolist() for text, w in prior.told[-1] if w.any()}
    assert said == {"untextured frog, front view": [1, 0], "a red frog, front view": [0, 1]}


def test_one_side_s_negative_can_be_overridden():
    prior = Recorder()
    texts = {**prompts.sided("a frog"), "front": "a face"}
    front, _ = perpneg.unlike(prior, texts)
    front(some_shot(180))
    assert [text for text, w in prior.told[-1] if w.any()] == ["a face"]


def test_a_prompt_that_says_nothing_leaves_numbers():
    """eps_y = eps_null: no direction to be perpendicular to, and no NaN."""
    prior = Recorder()
    null, a = Sentence(prior, ""), Sentence(prior, "a")
    guide = perpneg.PerpNeg(prior, null, null, {a: lambda shot: -torch.ones(1)}, 7.5)
    eps = guide(torch.zeros(1, 3, 4, 4), torch.tensor([0.5]), some_shot(0))
    assert eps.isfinite().all()


def test_positive_weights_are_refused():
    _, guide, z_t, t, shot = three(0.5)
    with pytest.raises(ValueError, match="Turn their sign"):
        guide(z_t, t, shot)


def test_the_recipe_is_as_firm_as_its_strength_has_become():
    """Two faces raise the strength in the middle of a run: what asks the prior must read it."""
    recipe, firm = Recipe("a frog", strength=1.0, clamp=False), perpneg.Strength(1.0)
    z_t, t, shot = torch.randn(1, 3, 4, 4, generator=rng(2)), torch.tensor([0.5]), some_shot(60)

    def eps(sds: SDS) -> Tensor:
        return sds.score(z_t, t, shot)

    sds = recipe.guidance(Recorder(), firm)
    before = eps(sds)
    firm.firmer()
    twice = eps(replace(recipe, strength=2.0).guidance(Recorder()))
    torch.testing.assert_close(eps(sds), twice)
    assert not torch.allclose(before, twice)


def test_a_strength_doubles_up_to_its_most():
    firm = perpneg.Strength(0.75, most=2.0)
    assert firm.firmer() and float(firm) == 1.5
    assert firm.firmer() and float(firm) == 2.0
    assert not firm.firmer() and float(firm) == 2.0
    free = perpneg.Strength(5.0)
    assert free.firmer() and float(free) == 10.0


def test_the_recipe_lets_its_strength_double_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[perpneg.Strength] = []

    def follow(
        self: DreamFusion, *_: object, keep: dict[str, perpneg.Strength], **__: object
    ) -> Field:
        kept.extend(keep.values())
        return Field(resolution=33)

    monkeypatch.setattr(DreamFusion, "follow", follow)
    Recipe("a frog", strength=0.75).run(Run(tmp_path), Recorder())
    (firm,) = kept
    assert firm.firmer() and float(firm) == 1.5
    assert not firm.firmer() and float(firm) == 1.5


def test_it_is_a_score():
    assert isinstance(three(-1.0)[1], scores.Score)
