"""bench/fidelity.py: what is asked of the prior, and how the figures are told."""

import torch
from conftest import rng

from bench.fidelity import apart, farthest, shown, table, wordings
from dreamlift.learn.pictures import FIRST_WORLD
from dreamlift.phrases import phrase
from dreamlift.words import held


def test_captions_are_trained_compositions_of_what_was_shown() -> None:
    for name in ("frog", "wearing", "in the shape of"):
        graphs = wordings(name, FIRST_WORLD, 6)
        assert graphs == wordings(name, FIRST_WORLD, 6)
        for graph in graphs:
            assert shown(FIRST_WORLD, phrase(graph))
            nouns = [thing.noun for thing in graph.things]
            assert name in nouns or [link.relation for link in graph.links] == [name]
            assert len(nouns) == 1 or not held(*nouns)
    assert not shown(FIRST_WORLD, "a corgi") and not shown(FIRST_WORLD, "a striped cube")


def test_distances_are_taken_caption_by_caption() -> None:
    """Captions that are far from each other add nothing to it."""
    far = 3 * torch.tensor([[0.0], [1.0]]).expand(2, 8)
    some = [x + 0.1 * torch.randn(20, 8, generator=rng(i)) for i, x in enumerate(far)]
    others = [x + 0.1 * torch.randn(20, 8, generator=rng(9 + i)) for i, x in enumerate(far)]
    assert abs(apart(some, others)) < 0.05 * apart(some, others[::-1])


def test_the_farthest_comes_first() -> None:
    rows = {
        "cube": {"distance": 3.0, "floor": -1.0, "right": 1.0, "true": None},
        "frog": {"distance": 9.0, "floor": 1.0, "right": None, "true": None},
    }
    assert farthest(rows, ["cube", "frog"]) == ["frog", "cube"]
    assert table(rows, ["cube", "frog"]).splitlines()[2:] == [
        "| mean of 2 | 6.0 | 0.0 | 100 % |  |",
        "| frog | 9.0 | 1.0 |  |  |",
        "| cube | 3.0 | -1.0 | 100 % |  |",
    ]
