"""The token-grounding loss in closed form, and attention that keeps its maps."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from dreamlift.learn.grounding import Attend, grounding

LEFT, RIGHT = torch.zeros(4, 4), torch.zeros(4, 4)
LEFT[:, :1], RIGHT[:, 2:] = 1, 1
MASKS = torch.stack([LEFT, RIGHT])[None]
OWNER = torch.tensor([[0, 1, -1]])
TOLD = torch.tensor([True])


def maps(*columns: torch.Tensor) -> torch.Tensor:
    """One picture's attention over 16 places: a column of shares for each word."""
    return torch.stack([c.flatten() / c.sum() for c in columns], -1)[None]


def test_attention_inside_costs_nothing_and_outside_costs_one() -> None:
    inside = maps(LEFT, RIGHT, torch.ones(4, 4))
    outside = maps(RIGHT, LEFT, torch.ones(4, 4))
    assert float(grounding(inside, MASKS, OWNER, TOLD)) == pytest.approx(0, abs=1e-6)
    assert float(grounding(outside, MASKS, OWNER, TOLD)) == pytest.approx(1, abs=1e-6)


def test_spread_attention_costs_the_squared_share_outside() -> None:
    even = maps(torch.ones(4, 4), RIGHT, torch.ones(4, 4))
    assert float(grounding(even, MASKS, OWNER, TOLD)) == pytest.approx(0.75**2 / 2)


def test_words_of_nothing_dropped_captions_and_unseen_things_do_not_count() -> None:
    outside = maps(RIGHT, LEFT, torch.ones(4, 4))
    none = torch.full_like(OWNER, -1)
    assert float(grounding(outside, MASKS, none, TOLD)) == 0
    assert float(grounding(outside, MASKS, OWNER, ~TOLD)) == 0
    assert float(grounding(outside, 0.2 * MASKS, OWNER, TOLD)) == 0
    two = torch.cat([outside, maps(LEFT, RIGHT, torch.ones(4, 4))])
    told = torch.tensor([False, True])
    both = MASKS.repeat(2, 1, 1, 1), OWNER.repeat(2, 1)
    assert float(grounding(two, *both, told)) == pytest.approx(0, abs=1e-6)
    assert float(grounding(two, *both, ~told)) == pytest.approx(1, abs=1e-6)


def test_finer_masks_are_averaged_to_the_map() -> None:
    fine = MASKS.repeat_interleave(3, -1).repeat_interleave(3, -2)
    even = maps(torch.ones(4, 4), RIGHT, torch.ones(4, 4))
    coarse = grounding(even, MASKS, OWNER, TOLD)
    torch.testing.assert_close(grounding(even, fine, OWNER, TOLD), coarse)


def test_its_gradient_moves_attention_inside() -> None:
    scores = torch.zeros(1, 16, 3, requires_grad=True)
    grounding(scores.softmax(-1), MASKS, OWNER, TOLD).backward()
    assert scores.grad is not None
    left = LEFT.flatten() > 0
    assert scores.grad[0, left, 0].max() < 0 < scores.grad[0, ~left, 0].min()


def test_attention_is_attention_and_its_maps_are_shares() -> None:
    torch.manual_seed(0)
    layer = SimpleNamespace(
        heads=2, scale=4**-0.5, to_q=nn.Linear(6, 8), to_k=nn.Linear(5, 8), to_v=nn.Linear(5, 8),
        to_out=[nn.Linear(8, 6), nn.Identity()],
    )  # fmt: skip
    places, words = torch.randn(3, 9, 6), torch.randn(3, 4, 5)
    mask = torch.zeros(3, 1, 4)
    mask[:, :, 3] = -1e4
    keep = Attend(True)
    out = keep(layer, places, words, mask)
    q, k, v = (
        f(x).unflatten(-1, (2, 4)).transpose(1, 2)
        for f, x in ((layer.to_q, places), (layer.to_k, words), (layer.to_v, words))
    )
    fused = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None])
    expected = layer.to_out[0](fused.transpose(1, 2).flatten(2))
    torch.testing.assert_close(out, expected, rtol=1e-5, atol=1e-5)
    assert keep.maps is not None
    torch.testing.assert_close(keep.maps.sum(-1), torch.ones(3, 9))
    assert float(keep.maps[..., 3].detach().max()) < 1e-6
    forget = Attend(False)
    forget(layer, places, words)
    assert forget.maps is None
