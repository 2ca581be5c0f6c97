"""What a toy is: named pieces in their own units, and where other toys meet it.

A noun is a short function from random numbers to a `Toy` that stands upright (z up) and faces +x.
Its units are its own: `compose` measures it and gives it its size.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dreamlift.geometry.primitives import Solid, Vector
from dreamlift.toybox.colours import Colour


@dataclass(frozen=True)
class Piece:
    """A named part of a toy."""

    name: str
    colour: Colour
    solids: tuple[Solid, ...]
    main: bool = False  # takes the toy's colour when one is said
    volume: bool = False  # one of the volumes that make the silhouette: imitation replaces these
    detail: bool = False  # the first to go where a scene has too many solids
    pokes: bool = False  # what sits on top sinks over it


@dataclass(frozen=True)
class Head:
    """Where a hat sits: the brim's plane, the head's radius there, and the head's top."""

    centre: Vector
    radius: float
    top: float


@dataclass(frozen=True)
class Brim:
    """How a hat is worn: its opening's radius at height z, and the room above it."""

    z: float
    radius: float
    room: float


@dataclass(frozen=True)
class Seat:
    """Where others sit other than on the highest point: the centre, and the half width of it."""

    centre: Vector
    half: float


@dataclass(frozen=True)
class Neck:
    """Where a scarf goes around: its middle, its radius in front and at the sides."""

    centre: Vector
    radius: float
    wide: float = 1.0  # the radius at the sides, relative to that in front
    lean: float = 0.0  # degrees from upright toward +x


@dataclass(frozen=True)
class Figure:
    """The build of an animal or of what is like a person: where it holds, eats, and is dressed."""

    neck: Neck
    hand: Vector  # the left one; with y = 0, the chest against which it holds things
    trunk: tuple[Solid, ...] = ()  # what a sweater goes around, and a backpack hangs on
    arms: tuple[Solid, ...] = ()  # what sleeves go around, on both sides; of four legs, the fore
    mouth: Vector | None = None  # where it is not at the end of a piece that is called one
    pitch: float = 0.0  # degrees that the trunk leans toward +x: 0 upright, 90 on all fours


@dataclass(frozen=True)
class Well:
    """An opening that others stand in: the middle of its rim, and half its length and width."""

    centre: Vector
    half: tuple[float, float]
    opened: tuple[Piece, ...] = ()  # the toy's pieces once it is open, where it mostly is not
    narrow: bool = False  # only stems go in


@dataclass(frozen=True)
class Toy:
    """An object of the toybox, in units of its own."""

    pieces: tuple[Piece, ...]
    head: Head | None = None
    brim: Brim | None = None
    seat: Seat | None = None
    stance: float = 0.4  # half the distance between its feet, along y
    rim: float = 0.0  # the circle where small things rest that would fall through its hole
    figure: Figure | None = None
    well: Well | None = None
    grip: Vector | None = None  # where a hand closes around it, if not just anywhere
    saddle: Vector | None = None  # where riders sit on what has neither figure nor seat


def piece(name: str, colour: Colour, *solids: Solid) -> Piece:
    """A part with a colour of its own, whatever is said of the toy."""
    return Piece(name, colour, solids)


def main(name: str, colour: Colour, *solids: Solid) -> Piece:
    """A part that takes the toy's colour when one is said."""
    return Piece(name, colour, solids, main=True)


def volume(name: str, colour: Colour, *solids: Solid) -> Piece:
    """A main part that makes the silhouette."""
    return Piece(name, colour, solids, main=True, volume=True)


def detail(name: str, colour: Colour, *solids: Solid) -> Piece:
    """A small part that a crowded scene can do without."""
    return Piece(name, colour, solids, detail=True)


def mirrored(solid: Solid) -> Solid:
    """The solid on the other side of the plane y = 0; primitives are their own mirror images."""
    flip = [1.0, -1.0, 1.0]
    linear = solid.linear.copy()
    linear[1] *= -1.0
    linear[:, 1] *= -1.0
    return replace(solid, linear=linear, offset=solid.offset * flip)


def both(*solids: Solid) -> tuple[Solid, ...]:
    """The solids and their mirror images at -y."""
    return (*solids, *(mirrored(solid) for solid in solids))


def count(pieces: Sequence[Piece]) -> int:
    """How many solids the pieces hold."""
    return sum(len(p.solids) for p in pieces)
