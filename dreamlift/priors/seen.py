"""What a prior's weights have seen in pictures: the rest is refused before work starts."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dreamlift.grammar import parse
from dreamlift.priors.embedded import WEIGHTS
from dreamlift.words import UnknownWord, nearest


@dataclass(frozen=True)
class Seen:
    """The world of a prior."""

    nouns: tuple[str, ...]
    relations: tuple[str, ...]
    patterns: tuple[str, ...]

    def refuse(self, text: str) -> None:
        """UnknownWord, ValueError for a caption that cannot be read, or names what was not seen."""
        graph = parse(text)
        said = [(thing.noun, self.nouns, "object") for thing in graph.things]
        said += [(link.relation, self.relations, "relation") for link in graph.links]
        said += [(t.pattern, self.patterns, "pattern") for t in graph.things if t.pattern]
        for word, known, kind in said:
            if word not in known:
                raise UnknownWord(
                    f"The embedded prior knows the word {word!r}, but has never seen such "
                    f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}. Nearest it has seen: "
                    f"{', '.join(nearest(word, known))}. Use one of these, or a prior with an "
                    "open vocabulary."
                )


@cache
def seen(folder: Path = WEIGHTS) -> Seen:
    """What the weights in a folder were shown."""
    known = json.loads((folder / "vocabulary.json").read_text())
    return Seen(tuple(known["nouns"]), tuple(known["relations"]), tuple(known["patterns"]))
