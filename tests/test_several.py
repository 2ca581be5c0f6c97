"""Several things on one: in a row, on what is below, as large as their sizes say."""

import numpy as np
import pytest

from dreamlift.grammar import parse
from dreamlift.toybox.compose import build

TEXTS = (
    "a table with a mug and a book",
    "a surfboard with a cat and a dog",
    "a chair with a mug and a ball",
    "a cake with a strawberry, banana",
)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("seed", [0, 1])
def test_several_things_on_one_stand_beside_one_another(text: str, seed: int) -> None:
    built = build(parse(text), seed)
    below, one, other = (built.box(i) for i in range(3))
    apart = [one[1, k] < other[0, k] + 0.02 for k in (0, 1)]
    assert any(apart)
    for on in (one, other):
        assert below[0, 2] < on[0, 2] and abs(on[0, 2] - min(one[0, 2], other[0, 2])) < 0.15
        assert (below[0, :2] < on[:, :2].mean(0)).all() and (on[:, :2].mean(0) < below[1, :2]).all()
    if "chair" in text:
        assert max(one[0, 2], other[0, 2]) < below[:, 2].mean() + 0.1, "not on its back"


def test_they_keep_their_sizes() -> None:
    built = build(parse("a table with a large ball and a small ball"), 0)
    large, small = (np.ptp(built.box(i), axis=0)[2] for i in (1, 2))
    assert large > 1.3 * small
