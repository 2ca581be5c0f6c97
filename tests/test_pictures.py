"""Training pictures obey their captions, and follow from seed and step alone."""

import random
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from dreamlift.grammar import parse
from dreamlift.graph import Graph
from dreamlift.learn.pictures import Pictures, Pool
from dreamlift.toybox.colours import NAMED
from dreamlift.views import Views, direction

ALBEDO = Views(shares=(1.0, 0.0, 0.0))
LIT = Views(shares=(0.0, 1.0, 0.0))
BLANK = Views(shares=(0.0, 0.0, 1.0))


def only(text: str) -> Callable[[random.Random], Graph]:
    return lambda _: parse(text)


def pool(text: str = "a cube on top of a ball", views: Views = ALBEDO, first: int = 0) -> Pool:
    return Pool(
        8, seed=3, views=views, first=first, per_step=4, size=32, per_scene=2, graphs=only(text)
    )


def random_pool(first: int = 0) -> Pool:
    return Pool(8, seed=3, views=Views(), first=first, per_step=4, size=16, per_scene=2)


def inside(mask: torch.Tensor) -> torch.Tensor:
    """Pixels all of whose neighbours are covered, too."""
    return F.avg_pool2d(mask, 3, stride=1, padding=1) > 0.999


def drawn(of: Pool, n: int = 8, step: int = 0, said: float = 1.0) -> Pictures:
    return of.draw(n, step, said=said)


def test_a_pool_goes_on_as_if_it_had_never_stopped() -> None:
    whole = random_pool()
    for step in range(5):
        whole.bring(step)
    rest = random_pool(first=5)
    for name in ("part", "normal", "depth", "coverage", "pose", "K"):
        assert torch.equal(getattr(whole, name), getattr(rest, name)), name
    one, other = whole.draw(6, 5), rest.draw(6, 5)
    assert torch.equal(one.x, other.x) and one.graphs == other.graphs


def test_every_step_brings_new_scenes_and_every_draw_other_pictures() -> None:
    of = random_pool()
    before = of.depth.clone()
    of.bring(0)
    changed = (of.depth != before).flatten(1).any(1)
    assert changed.tolist() == [True] * 4 + [False] * 4
    assert not torch.equal(of.draw(6, 0).x, of.draw(6, 1).x)
    assert torch.equal(of.draw(6, 1).x, of.draw(6, 1).x)


def test_another_seed_is_another_pool() -> None:
    other = Pool(8, seed=4, views=Views(), per_step=4, size=16, per_scene=2)
    assert not torch.equal(random_pool().depth, other.depth)


def test_a_red_cube_is_red_where_it_is() -> None:
    seen = drawn(pool("a cube"), n=24)
    for x, graph, mask in zip(seen.x, seen.graphs, seen.things[:, 0], strict=True):
        colour = graph.subject.colour
        if colour is not None:
            shown = x[inside(mask[None])[0]]
            assert (shown.mean(0) - torch.tensor(NAMED[colour])).abs().max() < 0.13, colour
            assert shown.std(0).max() < 0.01


def test_things_are_painted_as_whoever_asks_for_it_paints() -> None:
    def paint(graph: Graph, rng: random.Random) -> Graph:
        return Graph((replace(graph.subject, colour=rng.choice(("red", "blue"))),))

    of = Pool(8, seed=3, views=ALBEDO, per_step=4, size=32, graphs=only("a cube"), paint=paint)
    seen = drawn(of, n=16)
    assert {graph.subject.colour for graph in seen.graphs} == {"red", "blue"}
    for x, graph, mask in zip(seen.x, seen.graphs, seen.things[:, 0], strict=True):
        shown = x[inside(mask[None])[0]].mean(0)
        assert (shown - torch.tensor(NAMED[graph.subject.colour or ""])).abs().max() < 0.13


def test_upper_and_lower_have_their_own_colours_and_masks() -> None:
    seen = drawn(pool("a cube on top of a ball"), n=16)
    for x, graph, masks in zip(seen.x, seen.graphs, seen.things, strict=True):
        for thing, mask in zip(graph.things, masks, strict=True):
            spot = inside(mask[None])[0]
            if thing.colour and int(spot.sum()) > 3:
                assert (x[spot].mean(0) - torch.tensor(NAMED[thing.colour])).abs().max() < 0.13
        rows = torch.arange(32.0)[:, None].expand(32, 32)
        upper, lower = ((m * rows).sum() / m.sum().clamp_min(1e-6) for m in masks)
        assert float(upper) < float(lower) or masks[0].sum() < 1


def test_untextured_pictures_have_no_colour_and_say_so() -> None:
    seen = drawn(pool("a frog", BLANK))
    for x, graph, mask in zip(seen.x, seen.graphs, seen.things[:, 0], strict=True):
        shown = x[inside(mask[None])[0]]
        assert (shown - shown[:, :1]).abs().max() < 1e-5 and shown.std() > 0.01
        assert graph.untextured and graph.subject.colour is None
    assert not any(g.untextured for g in drawn(pool("a frog", LIT)).graphs)


def test_albedo_is_flat_and_light_is_not() -> None:
    for views, flat in ((ALBEDO, True), (LIT, False)):
        seen = drawn(pool("a cylinder", views))
        spreads = [
            float(x[inside(m[None])[0]].std(0).max())
            for x, g, m in zip(seen.x, seen.graphs, seen.things[:, 0], strict=True)
            if g.subject.colour not in (None, "black")
        ]
        assert spreads and (max(spreads) < 0.01) == flat


def test_views_are_said_as_the_cameras_stand_and_as_often_as_asked() -> None:
    of = pool("a chair")
    seen = drawn(of, n=24)
    azimuth, elevation = seen.cameras.azimuth.tolist(), seen.cameras.elevation.tolist()
    for graph, az, el in zip(seen.graphs, azimuth, elevation, strict=True):
        assert graph.view == f"{direction(az, el)} view"
    assert not any(g.view for g in drawn(of, said=0.0).graphs)
    some = sum(g.view is not None for step in range(20) for g in drawn(of, 8, step, 0.65).graphs)
    assert some / 160 == pytest.approx(0.65, abs=0.12)


@pytest.mark.parametrize("text", ["a chair in the shape of a cube", "a cube made of a pumpkin"])
def test_what_is_built_of_another_is_where_both_are(text: str) -> None:
    seen = drawn(pool(text))
    assert seen.things[:, 0].amax() > 0.9
    assert torch.equal(seen.things[:, 0], seen.things[:, 1])
    apart = drawn(pool("a cube next to a ball"))
    assert float((apart.things[:, 0] * apart.things[:, 1]).max()) == 0
    assert float(apart.things.sum(1).max()) <= 1


def test_backgrounds_are_behind() -> None:
    seen = drawn(pool("a small ball"))
    corners = seen.x[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners - corners[:, :1]).abs().max() < 1e-5
    assert (seen.things.sum(1)[:, 0, 0] == 0).all()
    assert seen.x.min() >= 0 and seen.x.max() <= 1


def test_sizes_that_do_not_divide_are_refused() -> None:
    for capacity, per_step, per_scene in ((10, 4, 2), (12, 6, 4)):
        with pytest.raises(ValueError, match="must be a multiple"):
            Pool(capacity, seed=0, views=ALBEDO, per_step=per_step, per_scene=per_scene)
