"""Patterns and materials: solid textures, functions of the place within a thing.

Each takes places q, in coordinates that are drawn for every thing, to a share s in [-1, 1]: the
thing's base colour at 0, its first ink at 1 and its second at -1; a rainbow brings colours of its
own. As in K. Perlin's "An Image Synthesizer" (SIGGRAPH 1985) nothing depends on the picture: a
thing is the same from every side, and its pattern goes around corners without a seam.
"""

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from dreamlift.toybox.colours import NAMED, Colour, vary

RAINBOW = ("purple", "blue", "green", "yellow", "orange", "red")
"""From the bottom of a thing to its top."""
MARGIN = 0.08
"""How far within a square the faces of a checkered box lie, in squares."""
Array = NDArray[np.float64]
Places = Float[Tensor, "n 3"]
Share = Callable[[Places], Float[Tensor, " n"]]
Inks = tuple[Colour, Colour]
Dye = Callable[[random.Random], Callable[[Colour], Inks]]
Sides = Float[Array, "k 3"]
"""Of k boxes, world units."""
Turns = Float[Array, "k 3 4"]
"""For each box the affine map to q, from the place in it, each side from 0 to 1."""
Turn = Callable[[Sides, random.Random], Turns]
"""One draw for all the boxes."""


@dataclass(frozen=True)
class Pattern:
    """What a pattern word means."""

    paint: Callable[[Places, Float[Tensor, "n 3"], Float[Tensor, "n 2 3"]], Float[Tensor, "n 3"]]
    """The sRGB of n points from their q, base colours and inks."""
    turn: Turn
    inks: Dye
    """What goes with a base colour; all parts of a thing share one draw."""
    base: Colour | None = None
    """The colour where none is said; None: each part's own."""
    box: Literal["thing", "main", "part"] = "main"
    """Around what q is measured: the whole thing, its main parts, or each of these by itself."""

    def own(self, rng: random.Random) -> Colour | None:
        """The material's own colour, varied."""
        return None if self.base is None else vary(self.base, rng)


def rainbow(height: Float[Tensor, "*s"]) -> Float[Tensor, "*s 3"]:
    """The colour at a height in [0, 1] of a rainbow thing: six bands, softly joined."""
    bands = torch.tensor([NAMED[name] for name in RAINBOW], device=height.device)
    place = height.clamp(0, 1).float() * len(RAINBOW) - 0.5
    place = place.clamp(0, len(RAINBOW) - 1)
    low = place.floor().clamp_max(len(RAINBOW) - 2)
    share = ((place - low - 0.5) * 2.5 + 0.5).clamp(0, 1)[..., None]
    index = low.long()
    return bands[index] * (1 - share) + bands[index + 1] * share


def _rainbow(q: Places, base: Tensor, inks: Tensor) -> Tensor:
    return rainbow(q[:, 2])


def wooden(q: Places) -> Float[Tensor, " n"]:
    """Rings around the z axis, each darkening slowly and ending sharply, and fine fibres along."""
    bent = 0.10 * _waves(q * q.new_tensor([1.1, 1.1, 0.5]))
    ring = (torch.hypot(q[:, 0], q[:, 1]) + bent) * 2.7 % 1.0
    dark = torch.where(ring < 0.82, (ring / 0.82) ** 2.5, (1 - ring) / 0.18)
    return (0.3 - 1.25 * dark + 0.35 * _waves(q * q.new_tensor([7.0, 7.0, 0.6]))).clamp(-1, 1)


def stone(q: Places) -> Float[Tensor, " n"]:
    """Blotches of two sizes, lighter and darker."""
    coarse = _waves(q * 1.7)
    fine = _waves(q * 4.3 + coarse[:, None])
    return (0.9 * coarse + 0.9 * fine).clamp(-1, 1)


def golden(q: Places) -> Float[Tensor, " n"]:
    """Sheen: bands along z that brighten slowly and fall sharply, as a horizon in metal does."""
    t = (1.25 * q[:, 2] + 0.06 * _waves(q)) % 1.0
    return torch.where(t < 0.8, 2 * (t / 0.8) ** 1.3 - 1, 1 - (t - 0.8) / 0.1).clamp(-1, 1)


def striped(q: Places) -> Float[Tensor, " n"]:
    """Bands across z, one to a unit."""
    return _step((torch.sin(2 * math.pi * q[:, 2]) - 0.2) / (2 * math.pi), 0.05)


def spotted(q: Places) -> Float[Tensor, " n"]:
    """Balls around the points of a body-centred lattice."""
    corner, middle = ((q + 0.5) % 1.0 - 0.5).norm(dim=-1), (q % 1.0 - 0.5).norm(dim=-1)
    return _step(0.33 - torch.minimum(corner, middle), 0.04)


def checkered(q: Places) -> Float[Tensor, " n"]:
    """Cubes of one unit, alternating."""
    edge = (q - q.round()).abs()
    side = torch.where(q.floor().long() % 2 == 0, 1.0, -1.0).prod(-1)
    return _step(side * edge.amin(-1), 0.03)


def _step(depth: Tensor, soft: float) -> Tensor:
    """From 0 to 1 where a depth passes 0, over 2 `soft`."""
    return (depth / (2 * soft) + 0.5).clamp(0, 1)


_WAVES = torch.tensor([
    [2.1, 4.4, -1.3], [-3.2, 1.7, 3.9], [4.6, -2.5, 2.2], [1.2, -5.1, -3.0], [-4.9, -3.3, 4.1],
    [5.7, 3.6, 5.2],
])  # fmt: skip


def _waves(q: Places) -> Float[Tensor, " n"]:
    """Smooth noise of about one blotch to a unit, mostly within [-1, 1]: six waves, all ways."""
    return torch.sin(q @ _WAVES.to(q).T + torch.arange(6.0, device=q.device)).mean(-1) * 1.7


def _inked(share: Share) -> Callable[[Places, Tensor, Tensor], Tensor]:
    """The paint of a pattern that mixes its base colour with its inks."""

    def paint(q: Places, base: Tensor, inks: Tensor) -> Tensor:
        s = share(q)[:, None]
        return base + s.abs() * (torch.where(s > 0, inks[:, 0], inks[:, 1]) - base)

    return paint


def _mixed(a: Colour, b: Colour, share: float) -> Colour:
    """From a (share 0) to b (share 1)."""
    red, green, blue = (x + share * (y - x) for x, y in zip(a, b, strict=True))
    return red, green, blue


def _tones(light: Colour, lighter: float, dark: Colour, darker: float) -> Dye:
    """Inks that are the base colour mixed with a light and with a dark one."""

    def dye(rng: random.Random) -> Callable[[Colour], Inks]:
        return lambda base: (_mixed(base, light, lighter), _mixed(base, dark, darker))

    return dye


def _contrast(rng: random.Random) -> Callable[[Colour], Inks]:
    """White ink on what is dark, dark ink on what is light; on what is between, either."""
    either, depth = rng.random() < 0.6, rng.choice((0.85, 0.95))

    def inks(base: Colour) -> Inks:
        luma = 0.30 * base[0] + 0.59 * base[1] + 0.11 * base[2]
        white = luma < 0.45 or (luma < 0.62 and either)
        second = NAMED["white"] if white else _mixed(base, NAMED["black"], depth)
        return second, second

    return inks


def _upright(sides: Sides, rng: random.Random) -> Turns:
    return np.eye(3, 4)[None]


def _scaled(linear: Array, sides: Sides, rng: random.Random) -> Turns:
    """One box: q = linear @ (place from its middle, its longest side 2), shifted at random."""
    linear = linear @ np.diag(2 * sides[0] / sides.max())
    shift = np.array([rng.uniform(-8, 8) for _ in range(3)])
    return np.column_stack([linear, shift - linear @ np.full(3, 0.5)])[None]


def _onto_z(axis: Array, rng: random.Random) -> Array:
    """A rotation that takes an axis to z, and is random around it."""
    z = axis / np.linalg.norm(axis)
    x = np.cross(z, [rng.gauss(0, 1) for _ in range(3)])
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(z, x), z])


def _anyhow(scale: float) -> Turn:
    def turn(sides: Sides, rng: random.Random) -> Turns:
        axis = np.array([rng.gauss(0, 1) for _ in range(3)])
        return _scaled(scale * _onto_z(axis, rng), sides, rng)

    return turn


def _along(scale: float, power: float, upright: float) -> Turn:
    """z more or less along the longest side; for equal sides as much more along the upright one."""

    def turn(sides: Sides, rng: random.Random) -> Turns:
        weights = (sides[0] / sides.max()) ** power * np.array([1.0, 1.0, upright])
        axis = [w * rng.choice((-1, 1)) * rng.uniform(0.4, 1.0) for w in weights]
        return _scaled(scale * _onto_z(np.array(axis), rng), sides, rng)

    return turn


def _trunk(sides: Sides, rng: random.Random) -> Turns:
    """z along a trunk whose heart lies beside the thing's middle."""
    turns = _along(1.0, 4.0, 5.0)(sides, rng)
    away, around = rng.uniform(0.3, 0.8), rng.uniform(0, 2 * math.pi)
    heart = away * np.array([math.cos(around), math.sin(around)])
    turns[:, :2, 3] = heart - turns[:, :2, :3].sum(-1) / 2
    return turns


def _squares(sides: Sides, rng: random.Random) -> Turns:
    """Whole squares along every side, four or five along the longest; faces just within them."""
    n = np.maximum(1, np.round(rng.choice((4, 5)) * sides / sides.max()))
    scale = n - 2 * MARGIN
    turns = np.zeros((len(sides), 3, 4))
    turns[:, [0, 1, 2], [0, 1, 2]] = scale
    turns[:, :, 3] = MARGIN
    turns[:, 0, 3] += rng.randrange(2)
    return turns


_WHITE, _BLACK = (1.0, 1.0, 1.0), (0.0, 0.0, 0.0)
PATTERNS: Mapping[str, Pattern] = {
    "rainbow": Pattern(_rainbow, _upright, _tones(_WHITE, 0, _BLACK, 0), box="thing"),
    "wooden": Pattern(_inked(wooden), _trunk, _tones((1, 0.9, 0.7), 0.35, (0.12, 0.04, 0), 0.62),
                      (0.68, 0.44, 0.22)),
    "stone": Pattern(_inked(stone), _anyhow(1.0), _tones(_WHITE, 0.45, _BLACK, 0.4),
                     (0.54, 0.54, 0.52)),
    "golden": Pattern(_inked(golden), _along(1.0, 1.0, 1.5),
                      _tones((1, 0.97, 0.6), 0.75, _BLACK, 0.42), (0.97, 0.75, 0.06)),
    "striped": Pattern(_inked(striped), _along(2.5, 1.0, 1.5), _contrast),
    "spotted": Pattern(_inked(spotted), _anyhow(1.7), _contrast),
    "checkered": Pattern(_inked(checkered), _squares, _contrast, box="part"),
}  # fmt: skip
"""Every pattern word of the vocabulary."""
