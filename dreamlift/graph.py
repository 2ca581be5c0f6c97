"""What a caption means: things, and the relations that bind each to one before it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

FRONT = "in front of"
"""How a sentence may say "behind" from its other end; no graph that was read has it."""
BUILT = ("in the shape of", "made of")
"""Two things that are one body."""


@dataclass(frozen=True)
class Thing:
    """A noun and what is said of it; None: nothing is said."""

    noun: str
    colour: str | None = None
    size: str | None = None
    pattern: str | None = None
    lenses: tuple[str | None, str | None] = (None, None)
    """Colours of the left and the right lens of sunglasses."""


@dataclass(frozen=True)
class Link:
    """things[subject] `relation` things[object]."""

    relation: str
    subject: int
    object: int


@dataclass(frozen=True)
class Graph:
    """What a caption means; things[0] is its subject. "on stilts" links to a thing "stilts"."""

    things: tuple[Thing, ...]
    links: tuple[Link, ...] = ()
    view: str | None = None
    untextured: bool = False

    @property
    def subject(self) -> Thing:
        return self.things[0]


def clothed(things: Sequence[Thing], links: Sequence[Link]) -> list[Thing]:
    """Things of which those that are built of another have its colours, all that is seen of them:
    "a red avocado chair" is one of a red avocado."""
    out = list(things)
    for link in links:
        shape, body = out[link.subject], out[link.object]
        if link.relation in BUILT and not (body.colour or body.pattern):
            out[link.object] = replace(body, colour=shape.colour, pattern=shape.pattern)
            out[link.subject] = replace(shape, colour=None, pattern=None)
    return out


def turned(things: Sequence[Thing], links: Sequence[Link]) -> tuple[list[int], list[Link]]:
    """The order of things, and the links between them in that order, without "in front of": what
    is named first, with all that it has, is what the other thing is behind.

        a cat wearing a hat in front of a tree  ->  a tree behind a cat wearing a hat

    Raises ValueError where several things are behind, or what is behind has too much of its own
    to be said in one sentence with what is in front.
    """
    turns = [link for link in links if link.relation == FRONT]
    if not turns:
        return list(range(len(things))), list(links)
    back = turns[0].object
    own, at_back = list[Link](), {back}
    for link in links:
        if link.subject in at_back and link.relation != FRONT:
            own.append(link)
            at_back.add(link.object)
    rest = [link for link in links if link.relation != FRONT and link not in own]
    if len(turns) > 1 or (rest and own and own[-1].subject != back):
        one, other = things[0].noun, things[back].noun
        raise ValueError(
            f"What is in front of what? Say it the other way round, and less of it: '... {other} "
            f"behind ... {one}'."
        )
    behind = Link("behind", back, 0)
    said = [*own, behind, *rest] if rest else [behind, *own]
    order = [back, *(link.object for link in said)]
    place = {index: at for at, index in enumerate(order)}
    return order, [Link(k.relation, place[k.subject], place[k.object]) for k in said]
