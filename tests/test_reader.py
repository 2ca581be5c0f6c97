"""What a CLIP is asked while it learns: what right and wrong answers cost."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from test_clip import SMALL
from test_exam import TEXTS, paper, perfect, sure
from torch import Tensor, nn

from dreamlift.grammar import parse
from dreamlift.graph import Thing
from dreamlift.learn.exam import Exam, asked, exam
from dreamlift.learn.pictures import Pool
from dreamlift.learn.reader import OTHER, Reader, embedded_reader, load_reader
from dreamlift.learn.retrieval import pictures
from dreamlift.learn.slots import BESIDE, BINS, BUILDS, LINKS, PAINTS, PLAYED, ROLES, WEAVES
from dreamlift.priors.clip import Clip, load_clip
from dreamlift.priors.seen import EVERYTHING
from dreamlift.priors.text import TextTower, TowerShape
from dreamlift.toybox.lists import among, read_as
from dreamlift.views import Views
from dreamlift.words import NOUNS, SIZES, UnknownWord

PARTS = {
    "relation": len(LINKS), "view": BINS, "noun": len(NOUNS), "colour": len(PAINTS),
    "size": len(BUILDS), "weave": len(WEAVES),
}  # fmt: skip
"""Of the answers here, which are the log-probabilities themselves."""
WRONG = -math.log(1e-9)


def part(name: str) -> slice:
    names = list(PARTS)
    start = sum(PARTS[other] for other in names[: names.index(name)])
    return slice(start, start + PARTS[name])


def read(name: str, answers: Tensor) -> Tensor:
    return answers[..., part(name)]


def known(truth: Exam) -> tuple[Tensor, Tensor, Tensor]:
    """Map, answers and looks of one who is certain of all that is asked, and vague of the rest."""
    b, (_, roles) = len(truth.slots), asked(truth)
    answers = torch.zeros(b, OTHER + 2, sum(PARTS.values()))
    looks = torch.full((b, OTHER + 2, truth.things.shape[-1]), 1 / truth.things.shape[-1])
    answers[:, 0, part("relation")] = sure(truth.slots[:, 2], len(LINKS))
    answers[:, 1, part("view")] = sure(truth.view, BINS)
    for i in range(b):
        for k in (1, 0):
            question = 2 + int(roles[i, k])
            question = OTHER if k and roles[i, k] == BESIDE else question
            for name, column in (("noun", 0), ("colour", 3), ("size", 5), ("weave", 7)):
                answer = truth.slots[i, column + k].clamp_max(PARTS[name] - 1)
                answers[i, question, part(name)] = sure(answer, PARTS[name])
            area = truth.things[i, k]
            looks[i, question] = area / area.sum().clamp_min(1e-6)
    read = perfect(truth)
    return torch.cat([read.noun, read.paint, read.role], -1), answers, looks


def cost(truth: Exam, answers: Tensor | None = None, looks: Tensor | None = None) -> float:
    """The marks of those answers, all else being known."""
    of_known = known(truth)
    answers = of_known[1] if answers is None else answers
    looks = of_known[2] if looks is None else looks
    return float(certain().marks(of_known[0], answers, looks, truth))


def certain() -> Reader:
    """One whose answers are the log-probabilities themselves."""
    reader = small()
    for name in PARTS:
        setattr(reader, name, Part(part(name)))
    reader.local = nn.Identity()  # pyright: ignore
    return reader


class Part(nn.Module):
    """Some of what it is given."""

    def __init__(self, at: slice) -> None:
        super().__init__()
        self.at = at

    def forward(self, answers: Tensor) -> Tensor:
        return answers[..., self.at]


def small() -> Reader:
    torch.manual_seed(2)
    return Reader(Clip(SMALL, TextTower(TowerShape(width=32, heads=2, layers=1))))


@pytest.mark.parametrize("text", TEXTS)
def test_who_knows_everything_pays_nothing(text: str) -> None:
    assert cost(paper(text)) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("name", PARTS)
def test_a_wrong_answer_costs_its_logarithm(name: str) -> None:
    truth = paper("a small striped red cube on top of a blue frog")
    _, answers, _ = known(truth)
    question = {"relation": 0, "view": 1}.get(name, 2 + ROLES.index("upper"))
    asked_for = answers[:, question, part(name)]
    answers[:, question, part(name)] = asked_for.roll(1, -1)
    assert cost(truth, answers) == pytest.approx(WRONG, rel=1e-3)


def test_looking_elsewhere_costs() -> None:
    truth = paper("a small red cube on top of a blue frog")
    _, _, looks = known(truth)
    at = 2 + ROLES.index("lower")
    looks[:, at] = 0.0
    looks[:, at, -1] = 1.0
    assert cost(truth, looks=looks) == pytest.approx(0.2 * -math.log(1e-3), rel=1e-3)


@pytest.mark.parametrize(
    ("text", "either"),
    [("a red mug next to a blue ball", True), ("a red mug on top of a blue ball", False)],
)
def test_only_of_things_side_by_side_either_order_is_right(text: str, either: bool) -> None:
    truth = paper(text)
    _, answers, looks = known(truth)
    _, roles = asked(truth)
    one, other = (2 + int(role) for role in roles[0])
    other = OTHER if either else other
    for each in (answers, looks):
        each[:, [one, other]] = each[:, [other, one]]
    assert (cost(truth, answers, looks) < 1e-3) == either


def test_the_two_of_one_answer_are_not_both_right() -> None:
    """Of a red mug beside a blue ball nobody may say twice that there is a mug."""
    truth = paper("a red mug next to a blue ball")
    _, answers, looks = known(truth)
    answers[:, OTHER] = answers[:, 2 + BESIDE]
    assert cost(truth, answers, looks) == pytest.approx(2 * WRONG, rel=0.1)


def test_a_clip_of_too_few_questions_cannot_read() -> None:
    tower = TextTower(TowerShape(width=32, heads=2, layers=1))
    with pytest.raises(ValueError, match="asked 23 questions at least, not 4"):
        Reader(Clip(replace(SMALL, questions=4), tower))


def test_of_two_of_one_noun_each_has_its_own_mask_where_no_colour_is_seen() -> None:
    """Bare, they are told apart by their sizes; the colours that they would have say nothing."""
    bare = Pool(
        24, seed=2, views=Views(shares=(0.0, 0.0, 1.0)), per_step=24,
        graphs=lambda rng: parse("a small ball next to a large ball"),
    )  # fmt: skip
    of = exam(bare, 24, 0, 0, roughly=False)
    sizes = of.slots[:, 5:7]
    assert all(graph.untextured for graph in of.graphs)
    assert sizes.tolist() == [[SIZES.index("large"), SIZES.index("small")]] * 24 or (
        sizes.tolist() == [[SIZES.index("small"), SIZES.index("large")]] * 24
    )
    large = (sizes[:, 0] == SIZES.index("small")).long()
    area = of.things.sum(-1)
    every = torch.arange(24)
    assert float((area[every, large] > area[every, 1 - large]).float().mean()) > 0.8


# -- captions -----------------------------------------------------------------------------------

CAPTIONS = (
    *TEXTS, "a red mug next to a blue ball", "a blue ball next to a red mug",
    "a red mug next to a red mug", "a mug", "an untextured mug, front view",
)  # fmt: skip


def slowly(reader: Reader, x: Tensor, text: str) -> Tensor:
    """The log-likelihood of one caption, word by word."""
    graph = read_as(parse(text))
    _, answers, _ = reader.clip.image.look(x)
    relation = graph.links[0].relation if graph.links else "nothing"
    total = reader.relation(answers[:, 0]).log_softmax(-1)[:, LINKS.index(relation)]

    def says(question: int, thing: Thing) -> Tensor:
        a = answers[:, question]
        out = reader.noun(a).log_softmax(-1)[:, NOUNS.index(thing.noun)]
        colour = thing.pattern if thing.pattern in PAINTS else thing.colour
        weave = thing.pattern if thing.pattern in WEAVES else None
        said = ((colour, PAINTS, reader.colour), (thing.size, BUILDS, reader.size),
                (weave, WEAVES, reader.weave))  # fmt: skip
        for word, words, head in said:
            if word is not None:
                out = out + head(a).log_softmax(-1)[:, words.index(word)]
        return out

    a, b = (2 + int(role) for role in PLAYED[LINKS.index(relation)])
    if not graph.links:
        return total + says(a, graph.things[0])
    one, two = graph.things
    if relation == "next to":
        straight = says(a, one) + says(OTHER, two)
        return total + torch.maximum(straight, says(a, two) + says(OTHER, one))
    return total + says(a, one) + says(b, two)


@torch.no_grad()
def test_a_caption_s_likelihood_is_the_sum_of_what_it_says() -> None:
    reader, x = small(), torch.rand(3, 64, 64, 3)
    found = reader.likelihood(x, CAPTIONS)
    assert found.shape == (3, len(CAPTIONS))
    wanted = torch.stack([slowly(reader, x, text) for text in CAPTIONS], 1)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[:, -5], found[:, -4])  # side by side
    torch.testing.assert_close(found[:, -2], found[:, -1])  # neither side nor bareness is read


def test_pictures_of_any_size_are_read_and_what_cannot_be_is_refused() -> None:
    reader, x = small(), torch.rand(1, 64, 64, 3)
    large = x.repeat_interleave(2, 1).repeat_interleave(2, 2)
    torch.testing.assert_close(reader.likelihood(large, TEXTS), reader.likelihood(x, TEXTS))
    with pytest.raises(ValueError, match="two things at most"):
        reader.likelihood(x, ["a dog wearing a red hat, blue scarf"])
    with pytest.raises(UnknownWord, match="xylophone"):
        reader.likelihood(x, ["a xylophone"])


def test_it_is_loaded_frozen_beside_its_clip(tmp_path: Path) -> None:
    reader, x = small(), torch.rand(2, 64, 64, 3)
    reader.save(tmp_path)
    (tmp_path / "vocabulary.json").write_text(json.dumps(asdict(EVERYTHING)))
    again = load_reader(tmp_path, load_clip(tmp_path, reader.clip.tower))
    torch.testing.assert_close(
        again.likelihood(x, TEXTS), reader.likelihood(x, TEXTS), atol=0.1, rtol=0.01
    )
    assert not any(p.requires_grad for p in again.parameters())


@pytest.mark.weights
@pytest.mark.parametrize(
    "text", ["a green frog", "a red ball on top of a blue cube", "a corgi wearing a red santa hat"]
)
def test_the_one_that_ships_tells_what_it_sees(text: str) -> None:
    """Four true pictures, among 256 captions."""
    x = pictures(parse(text), 7, views=4, untextured=False)
    scores = embedded_reader().likelihood(x, among(text)).sum(0)
    assert int(scores.argmax()) == 0
