"""What the embedded world's captions mean.

A caption names a subject and at most three more things, each bound to an earlier one by a relation:

    a small red cube is sitting on top of a large blue cube, left side view
    a chair in the shape of an avocado
    a dog wearing a red hat, blue scarf

`parse` reads a sentence into a `Graph` (what is meant); `phrases.phrase` writes one.
"""

import itertools
import re
from dataclasses import dataclass, replace

from dreamlift.graph import FRONT, Graph, Link, Thing, clothed, turned
from dreamlift.words import (
    ARTICLES,
    BRACKETS,
    COLOURS,
    DECORATION,
    ELABORATE,
    LATER,
    MORE,
    MULTICOLORED,
    NEUTRAL,
    NOUNS,
    PATTERNS,
    RELATIONS,
    SIDES,
    SIZED,
    SIZES,
    SYNONYMS,
    UNTEXTURED,
    VIEWS,
    a,
    hint,
    singular,
    split,
    tokens,
)


def _matcher(table: dict[str, str]) -> list[tuple[list[str], str]]:
    rows = [(split(surface), meaning) for surface, meaning in table.items()]
    return sorted(rows, key=lambda row: -len(row[0]))


_NOUNS = _matcher({**{n: n for n in NOUNS}, **SYNONYMS, **LATER})
_RELATIONS = _matcher(
    {way: name for name, ways in RELATIONS.items() for way in ways} | SIDES | {FRONT: FRONT}
)
_VIEWS = _matcher({v: v for v in VIEWS} | {"top view": "overhead view"})
_BARE = tuple({n.removeprefix("a ").removeprefix("an ") for n in NEUTRAL} - set(NEUTRAL))
_SKIP = _matcher(
    dict.fromkeys(NEUTRAL + _BARE + DECORATION + MORE + ELABORATE, "")
    | {"highly detailed 3d model": ""}
)
_PAINTS = (*COLOURS, *PATTERNS, *MULTICOLORED)
_ADJECTIVES = (*_PAINTS, *SIZES, *SIZED)


def _take(words: list[str], at: int, table: list[tuple[list[str], str]]) -> tuple[str, int] | None:
    """The longest entry of a table that starts at `at`: (meaning, its length)."""
    for surface, meaning in table:
        if words[at : at + len(surface)] == surface:
            return meaning, len(surface)
    return None


STANDING = ("on top of", "on stilts", "with", "wearing", "riding")
"""What is said of who stands on stilts."""
PAIRS = ("sunglasses", "stilts")
"""Nouns of which two make one thing."""


def _slot(word: str) -> tuple[str, str]:
    """What an adjective says of a thing: which of its fields, and the value."""
    word = "rainbow" if word in MULTICOLORED else SIZED.get(word, word)
    return "colour" if word in COLOURS else "size" if word in SIZES else "pattern", word


def _one(slot: str, before: str | None, word: str) -> None:
    """ValueError for a second colour, size or pattern."""
    if before not in (None, word):
        raise ValueError(
            f"One thing is said to be {before} and {word}; it can have one {slot}. Say one of them."
        )


@dataclass
class _Reader:
    """The state of reading one caption from left to right."""

    words: list[str]
    owner: list[int]  # which thing each word describes; -1: none
    things: list[Thing]
    links: list[Link]
    said: dict[str, str]  # adjectives that wait for their noun
    waiting: list[int]  # where they stand
    relation: str | None = None
    subject: int = 0
    several: str = ""
    """The number that waits for its noun."""
    listed: str | None = None
    """The relation that a list goes on with: the last thing is one more of it."""
    end: int = 0
    """Where the words after the last noun begin."""
    view: str | None = None
    untextured: bool = False
    late: bool = False
    """Whether it is said in a way that came after the models had been taught."""

    def relate(self, relation: str, at: int, length: int) -> None:
        """After "and" or a comma it is of whom the last one was."""
        if not self.things or self.said or self.relation:
            before = " ".join(self.words[at : at + length])
            raise ValueError(f"A noun is missing before {before!r}.")
        again = bool(self.links) and self.words[at - 1] in ("and", ",")
        if relation == self.listed and not again:
            one, other = self.things[self.links[-1].subject].noun, self.things[-1].noun
            raise ValueError(
                f"How do {one!r} and {other!r} belong together? As it is said, one is {relation!r} "
                "the other. Say it with a relation: on top of, next to."
            )
        self.relation = relation
        self.subject = self.links[-1].subject if again else len(self.things) - 1
        if relation == "on stilts":
            self.add("stilts", at + length - 1, 1)

    def add(self, noun: str, at: int, length: int) -> None:
        if self.several and noun not in PAIRS:
            one = a(noun)
            raise ValueError(
                f"{self.several!r}: one of each thing is made. Say {one!r}, or name each one: "
                f"'{one} next to {one}'."
            )
        self.listed = None
        if self.things and self.relation is None:
            if not self.links or not {",", "and"} & set(self.words[self.end : at]):
                raise ValueError(
                    f"How do {self.things[-1].noun!r} and {noun!r} belong together? Say it with a "
                    "relation: on top of, next to, wearing, in the shape of."
                )
            self.relation, self.subject = self.links[-1].relation, self.links[-1].subject
            self.listed = self.relation
        if self.relation is not None:
            stands = noun == "stilts" and self.relation in STANDING
            relation = "on stilts" if stands else self.relation
            self.links.append(Link(relation, self.subject, len(self.things)))
        for place in [*self.waiting, *range(at, at + length)]:
            self.owner[place] = len(self.things)
        said = self.said.get
        self.things.append(Thing(noun, said("colour"), said("size"), said("pattern")))
        self.said, self.waiting, self.relation, self.several = {}, [], None, ""
        self.end = max(self.end, at + length)

    def describe(self, word: str, at: int) -> None:
        slot, word = _slot(word)
        _one(slot, self.said.get(slot), word)
        self.said[slot] = word
        self.waiting.append(at)

    def after(self, at: int) -> int:
        """Read what is said of a thing after its noun: "a frog, red", "a house of stone"; 1, or 0.

        Of several things it could be of any, and is read before its noun only.
        """
        word, before = self.words[at], self.words[at - 1]
        rest = self.words[at + 1 :]
        ends = not rest or rest[0] == "," or (self.relation and _take(rest, 0, _RELATIONS))
        more = list(itertools.dropwhile(lambda w: w in (",", *_ADJECTIVES), rest))
        if word not in _ADJECTIVES or self.said or not self.things or not ends:
            return 0
        if _take(more, 0, _NOUNS):
            return 0  # of striped, red flowers
        index = len(self.things) - 1
        if self.relation is not None:
            index = self.subject
            if before != "of" or self.relation not in ("made of", "with") or word not in PATTERNS:
                return 0
            self.relation = None
        elif self.links or not (at == self.end or before in ("is", ",")):
            return 0
        slot, word = _slot(word)
        thing = self.things[index]
        _one(slot, getattr(thing, slot), word)
        self.things[index] = replace(thing, **{slot: word})
        self.owner[at], self.late = index, True
        return 1

    def clothe(self) -> None:
        """See `clothed`; the words that moved belong to the other thing."""
        things = clothed(self.things, self.links)
        for link in self.links:
            if things[link.subject] != self.things[link.subject]:
                self.late = True
                for at, word in enumerate(self.words):
                    if self.owner[at] == link.subject and word in _PAINTS:
                        self.owner[at] = link.object
        self.things = things

    def turn(self) -> None:
        """See `turned`."""
        order, self.links = turned(self.things, self.links)
        self.late |= order != sorted(order)
        self.things = [self.things[index] for index in order]
        self.owner = [order.index(index) if index >= 0 else -1 for index in self.owner]

    def compound(self, at: int) -> int:
        """Read "an avocado chair", a chair in the shape of an avocado; its length, or 0."""
        shape = _take(self.words, at, _NOUNS)
        body = _take(self.words, at + shape[1], _NOUNS) if shape else None
        if shape and body and shape[0] == body[0]:  # a corgi puppy
            self.add(body[0], at, shape[1] + body[1])
            return shape[1] + body[1]
        if self.things or not shape or not body:
            return 0
        self.add(body[0], at + shape[1], body[1])
        self.relation = "in the shape of"
        self.add(shape[0], at, shape[1])
        return shape[1] + body[1]

    def lens(self, at: int) -> int:
        """Read "left lens is red", or then "right is blue"; how many words it was, or 0."""
        said = [w for w in self.words[at : at + 5] if w not in ("is", "lens", ",")][:2]
        if not self.things or len(said) < 2 or said[0] not in ("left", "right"):
            return 0
        last = self.things[-1]
        colour, side = said[1], ("left", "right").index(said[0])
        named = "lens" in self.words[at : at + 2] or last.lenses != (None, None)
        if last.noun != "sunglasses" or colour not in COLOURS or not named:
            return 0
        lenses = (colour, last.lenses[1]) if side == 0 else (last.lenses[0], colour)
        self.things[-1] = replace(last, lenses=lenses)
        length = self.words.index(colour, at) + 1 - at
        self.owner[at : at + length] = [len(self.things) - 1] * length
        return length

    def place(self, at: int) -> int:
        """Read "red on top" or "blue on bottom", said after both; how many words it was, or 0.

        The colour is of the upper or lower thing, which must not have been given another.
        """
        end = self.words[at + 1 : at + 4]
        if self.words[at] not in COLOURS or end[:2] not in (["on", "top"], ["on", "bottom"]):
            return 0
        stacked = [link for link in self.links if link.relation == "on top of"]
        if end[2:] == ["of"] or not stacked:
            return 0
        index = stacked[-1].subject if end[1] == "top" else stacked[-1].object
        thing = self.things[index]
        if thing.colour not in (None, self.words[at]):
            raise ValueError(
                f"The {thing.noun} at the {end[1]} is {thing.colour}, and then it is "
                f"{self.words[at]}. Say one of them."
            )
        self.things[index] = replace(thing, colour=self.words[at])
        self.owner[at] = index
        return 3

    def take(self, at: int) -> int:
        """Read what starts at word `at`; how many words it was."""
        word = self.words[at]
        for clause in (self.lens, self.place, self.compound, self.after):
            if length := clause(at):
                return length
        if found := _take(self.words, at, _RELATIONS):
            self.relate(found[0], at, found[1])
            self.late |= " ".join(self.words[at : at + found[1]]) in SIDES
        elif word == "of" and self.owner[at - 1] >= 0:  # a vase of flowers
            self.relate("with", at, 1)
        elif found := _take(self.words, at, _VIEWS):
            self.view = found[0]
        elif found := _take(self.words, at, _NOUNS):
            self.add(found[0], at, found[1])
        elif found := _take(self.words, at, _SKIP):
            self.late |= at == 0 and " ".join(self.words[: found[1]]) in _BARE
        elif word in _ADJECTIVES:
            self.describe(word, at)
        elif word == UNTEXTURED:
            self.untextured = True
        elif word in ("two", "pair"):
            if self.several:
                raise ValueError("'two pairs': one of each thing is made. Say 'a pair of'.")
            self.several = word
        elif self.words[at : at + 2] == ["that", "is"]:
            self.late = True
        elif word not in (*ARTICLES, "is", "and", ","):
            raise ValueError(f"{word!r} does not fit here: {' '.join(self.words)!r}.{hint(word)}")
        return found[1] if found else 1


def _read(text: str) -> _Reader:
    if found := re.search(r"\w+['’]s\b", text):
        raise ValueError(
            f"{found[0]!r}: whose a thing is cannot be read. Say it with a relation: wearing, "
            "holding, with, in the shape of."
        )
    tokens(text)
    words = [singular(word) for word in split(text)]
    reader = _Reader(words, [-1] * len(words), [], [], {}, [])
    at = 0
    while at < len(words):
        at += reader.take(at)
    if reader.things and reader.said and not reader.relation:
        said, noun = " ".join(reader.said.values()), reader.things[-1].noun
        raise ValueError(
            f"What is {said}, in {text!r}? Say it before its noun, as in '{a(said)} {noun}'."
        )
    if not reader.things or reader.said or reader.relation:
        raise ValueError(
            f"The caption {text!r} needs a noun{' at its end' if reader.things else ''}, for "
            "example 'a red cube on top of a blue ball'."
        )
    if len(reader.things) > 4:
        raise ValueError(f"The caption names {len(reader.things)} things; 4 is the most.")
    reader.clothe()
    reader.turn()
    return reader


def parse(text: str) -> Graph:
    """What a caption means; brackets at its end may say it again in other words.

    Raises UnknownWord or ValueError for what it cannot read.
    """
    reader = _read(text)
    graph = Graph(tuple(reader.things), tuple(reader.links), reader.view, reader.untextured)
    if found := BRACKETS.search(text):
        _refuse_news(found[1], graph)
    return graph


def _refuse_news(aside: str, graph: Graph) -> None:
    """ValueError for brackets that say something else than the sentence."""
    try:
        again = parse(aside)
    except ValueError:
        again = None
    if again is None or (again.things, again.links) != (graph.things, graph.links):
        raise ValueError(
            f"What stands in brackets at the end, {aside!r}, would not be read. Say it without "
            "brackets, or leave it out."
        )


def late(text: str) -> bool:
    """Whether a caption is said in a way that came after the models had been taught: a colour after
    its noun, or of what is built of another, "that is", "on the left of". False for no caption."""
    try:
        return _read(text).late
    except ValueError:
        return False


def owners(text: str) -> list[int]:
    """For each token of a caption, the index of the thing it names or describes; -1: neither."""
    return _read(text).owner
