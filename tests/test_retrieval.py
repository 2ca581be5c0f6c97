"""learn/retrieval.py: which graphs are asked about, and what counts as found."""

from collections.abc import Sequence

import pytest
import torch
from learned import any_held
from torch import Tensor

from dreamlift.learn import retrieval
from dreamlift.learn.reader import by
from dreamlift.learn.retrieval import CATEGORIES, examples, first
from dreamlift.phrases import phrase
from dreamlift.toybox.lists import among


def test_graphs_are_of_their_category_and_follow_from_the_seed() -> None:
    for category in CATEGORIES:
        graphs = examples(category, 24, 0)
        assert graphs == examples(category, 24, 0) != examples(category, 24, 1)
        for graph in graphs:
            assert bool(graph.links) == (category != "single")
            assert any_held(graph) == (category == "held-out pair")


def test_the_highest_sum_over_the_pictures_is_first() -> None:
    x = torch.zeros(2, 8, 8, 3)
    for scores, found in (([[3.0, 0.0], [-1.0, 1.0]], True), ([[3.0, 0.0], [-1.0, 2.5]], False)):
        assert first(lambda x, texts, s=scores: torch.tensor(s), x, ["a", "b"]) == found


def test_an_aligner_reads_by_inner_products() -> None:
    class Known:
        def embed_image(self, x: Tensor) -> Tensor:
            return x.mean((1, 2))

        def embed_text(self, texts: Sequence[str]) -> Tensor:
            return torch.eye(3)[: len(texts)]

    x = torch.rand(4, 8, 8, 3)
    assert torch.equal(by(Known())(x, ["a", "b"]), x.mean((1, 2))[:, :2])


@pytest.mark.seconds
def test_who_knows_finds_all_and_who_guesses_finds_few(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Sequence[str]] = []
    monkeypatch.setattr(retrieval, "pictures", lambda *_, **__: torch.zeros(4, 8, 8, 3))

    def knows(x: Tensor, captions: Sequence[str]) -> Tensor:
        asked.append(captions)
        return torch.eye(len(captions))[:1].expand(4, -1)

    found = retrieval.retrieval(knows, "trained pair", count=9)
    assert (found.count, found.textured, found.untextured) == (9, 1.0, 1.0)
    texts = [phrase(graph) for graph in examples("trained pair", 9, 0)]
    assert asked[::2] == [among(text) for text in texts]
    assert found.chance == pytest.approx(sum(1 / len(c) for c in asked[::2]) / 9)
    rng = torch.Generator().manual_seed(0)
    guessed = retrieval.retrieval(
        lambda x, captions: torch.rand(4, len(captions), generator=rng), "trained pair", count=9
    )
    assert guessed.textured < 0.3
