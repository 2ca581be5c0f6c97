"""Rough pictures: what stands between true renders and what recipes make."""

import pytest
import torch

from dreamlift.grammar import parse
from dreamlift.learn.pictures import Pool
from dreamlift.learn.rough import Elsewhere, lumpy, rough
from dreamlift.views import Views


def test_rough_pictures_are_other_pictures_and_masks_only_move() -> None:
    x = torch.full((200, 4, 64, 64), 0.5)
    x[:, :, 20:40, 24:44] = 1.0
    y = rough(x, torch.Generator().manual_seed(1))
    spared = (x == y).flatten(1).all(1)
    assert float(spared.float().mean()) == pytest.approx(0.35, abs=0.1)
    assert y[:, :3].min() >= 0 and y[:, :3].max() <= 1
    assert y[:, 3].min() >= 0.5 - 1e-4 and y[:, 3].max() <= 1 + 1e-4
    area = (y[:, 3] > 0.75).float().sum((1, 2))
    assert area.min() > 0.75 * 400 and area.max() < 1.35 * 400
    shift = (y[:, 3] - x[:, 3]).abs().sum((1, 2))
    assert (shift[~spared] > 1).all()
    again = rough(x, torch.Generator().manual_seed(1))
    assert torch.equal(y, again)


def test_lumps_bend_normals_and_nothing_else() -> None:
    of = Pool(8, seed=1, views=Elsewhere(side=64), per_step=4, graphs=lambda _: parse("a ball"))
    traced, _, _ = of.seen(torch.arange(8))
    bent = lumpy(traced, torch.Generator().manual_seed(2), share=1.0)
    assert torch.equal(bent.depth, traced.depth) and torch.equal(bent.part, traced.part)
    covered = traced.coverage > 0.9
    torch.testing.assert_close(bent.normal[covered].norm(dim=-1), torch.ones(int(covered.sum())))
    cosine = (bent.normal * traced.normal).sum(-1)[covered]
    assert 0.3 < float(cosine.min()) < 0.999


def test_elsewhere_is_elsewhere() -> None:
    here, there = Views(), Elsewhere(side=32)
    rng = torch.Generator().manual_seed(3)
    cameras = there.cameras(400, rng)
    assert cameras.elevation.max() > here.elevation[1] and cameras.distance.min() < 3.2
    light = there.light(cameras, rng, textureless=torch.zeros(400, dtype=torch.bool))
    far = light.position.norm(dim=-1)
    assert far.min() < 2.5 and far.max() > 7
    behind = there.backgrounds(200, rng)
    assert behind.shape == (200, 32, 32, 3) and behind.min() >= 0 and behind.max() <= 1
    flat = (behind - behind[:, :1, :1]).abs().flatten(1).amax(1) < 1e-6
    assert float(flat.float().mean()) == pytest.approx(0.5, abs=0.12)
