"""What shipped weights have seen in pictures: the rest is refused, early where it can be."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dreamlift.grammar import late, parse
from dreamlift.phrases import phrase
from dreamlift.words import (
    ELABORATE,
    LATER,
    MORE,
    MULTICOLORED,
    NOUNS,
    PATTERNS,
    RELATIONS,
    SIZED,
    SIZES,
    WORDS,
    UnknownWord,
    nearest,
    singular,
    split,
    strange,
)

UNTAUGHT = frozenset(
    {*MORE, *" ".join(LATER).split(), *ELABORATE, *MULTICOLORED, *SIZED, "bottom"} - {"3d"}
)
"""Words that came after the models had been taught."""


@dataclass(frozen=True)
class Seen:
    """The world of a model."""

    nouns: tuple[str, ...]
    relations: tuple[str, ...]
    patterns: tuple[str, ...]
    sizes: tuple[str, ...] = SIZES[:2]

    def refuse(self, text: str, who: str = "prior") -> None:
        """UnknownWord, ValueError for a caption that cannot be read, or names what `who` has not
        seen."""
        graph = parse(text)
        said = [(thing.noun, self.nouns, "object") for thing in graph.things]
        said += [(link.relation, self.relations, "relation") for link in graph.links]
        said += [(t.pattern, self.patterns, "pattern") for t in graph.things if t.pattern]
        said += [(t.size, self.sizes, "size") for t in graph.things if t.size]
        for word, known, kind in said:
            if word not in known:
                whole = "`--prior whole`, which has seen it, " if who == "prior" else ""
                raise UnknownWord(
                    f"The embedded {who} knows the word {word!r}, but has never seen such "
                    f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}. Nearest it has seen: "
                    f"{', '.join(nearest(word, known))}. Use one of these, {whole}or a {who} with "
                    "an open vocabulary."
                )


EVERYTHING = Seen(NOUNS, tuple(RELATIONS), PATTERNS, SIZES)
"""The whole world."""


@cache
def seen(folder: Path) -> Seen:
    """What the weights in a folder were shown."""
    known = json.loads((folder / "vocabulary.json").read_text())
    return Seen(**{kind: tuple(words) for kind, words in known.items()})


def unseen(folder: Path) -> frozenset[str]:
    """The words that the weights in a folder were never shown."""
    world = seen(folder)
    return strange(world.nouns, world.relations, world.patterns)


def plainly(text: str) -> str:
    """A caption with words or ways that came after the models had been taught, said plainly."""
    words = {singular(word) for word in split(text)}
    return phrase(parse(text)) if UNTAUGHT & words or late(text) else text


def refuse(text: str, strange: frozenset[str], who: str) -> None:
    """UnknownWord for a word of a text that a model, `who`, was never shown."""
    for word in split(text):
        if singular(word) in strange:
            known = [w for w in WORDS if w not in strange and len(w) > 2]
            raise UnknownWord(
                f"The embedded {who} knows the word {word!r}, but no picture has shown it. Nearest "
                f"it has seen: {', '.join(nearest(word, known))}. Use one of these, or a {who} "
                "with an open vocabulary."
            )
