"""Binding tells right pictures from swapped ones, on true renders."""

import pytest
import torch
from conftest import rng
from learned import any_held

from dreamlift.cameras import orbit
from dreamlift.grammar import parse
from dreamlift.graph import Graph, Thing
from dreamlift.learn.binding import PROMPTS, binding
from dreamlift.scene import Shot
from dreamlift.toybox.scenes import toy_scene
from dreamlift.views import Views


def swapped(graph: Graph) -> Graph:
    a, b = graph.things
    return Graph((Thing(a.noun, b.colour, a.size), Thing(b.noun, a.colour, b.size)), graph.links)


def renders(graphs: list[Graph], *, lit: bool = False) -> torch.Tensor:
    n = len(graphs)
    cameras = orbit(torch.zeros(1), torch.tensor([15.0]), size=64)
    light = Views().light(cameras, rng(1), textureless=torch.tensor([False])) if lit else None
    background = torch.full((1, 1, 1, 3), 0.45)
    shot = Shot(cameras, light, background)
    return torch.cat([toy_scene(graphs[i], 40 + i).render(shot).over(background) for i in range(n)])


@pytest.fixture(scope="module")
def true() -> torch.Tensor:
    return renders([parse(p) for p in PROMPTS])


def test_true_renders_are_bound(true: torch.Tensor) -> None:
    score = binding(true, PROMPTS)
    assert score.bound >= 0.9 and score.bound == pytest.approx(score.both * score.order)


def test_lit_renders_are_mostly_bound() -> None:
    assert binding(renders([parse(p) for p in PROMPTS], lit=True), PROMPTS).bound >= 0.7


def test_swapped_colours_show_both_in_the_wrong_order() -> None:
    score = binding(renders([swapped(parse(p)) for p in PROMPTS]), PROMPTS)
    assert score.both >= 0.9 and score.order <= 0.1


def test_pictures_upside_down_are_in_the_wrong_order(true: torch.Tensor) -> None:
    score = binding(true.flip(1), PROMPTS)
    assert score.both >= 0.9 and score.order <= 0.1


def test_other_colours_and_flat_pictures_score_nothing(true: torch.Tensor) -> None:
    assert binding(true.roll(1, 0), PROMPTS).bound <= 0.25
    grey = torch.full_like(true, 0.5)
    assert (binding(grey, PROMPTS).both, binding(grey, PROMPTS).order) == (0, 0)


def test_its_prompts_are_trained_compositions() -> None:
    assert not any(any_held(parse(p)) for p in PROMPTS)
