"""What can be seen to be wrong with an object: nothing there, fog, colours too strong, two faces.

Each detector looks at eight sides of the scene and is held against what true objects of the same
prompt show, where the embedded world has them. Nothing here asks the judge, whose verdict must not
be sought before the end. The thresholds, and what they were measured on, are in docs/runs.md.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.cameras import Cameras, turntable
from dreamlift.grammar import parse
from dreamlift.prior import Aligner
from dreamlift.priors.clip import embedded_clip
from dreamlift.scene import Scene, Shot
from dreamlift.toybox.drawable import drawable
from dreamlift.toybox.scenes import toy_scene
from dreamlift.words import FRONTED

SIDES = 8
"""Views that are looked at, evenly around, the first of the front."""
EMPTY = 0.01
"""Mean opacity of every side below which there is nothing; true objects have 0.09 and more."""
HAZE = 0.65
"""Of `haze`, above which an object is fog: true ones reach 0.47, finished runs 0.47 too."""
BORDER = 0.1
"""Mean opacity of the pictures' outermost pixels, where a true object never is."""
SATURATED = 0.1
"""How much more colourful than the most colourful true object is too much."""
BLOB = "begin with a blob (--init blob)"
TELLING = 0.01
"""The difference of backs and fronts of true objects from which the aligner can tell them."""
SHARE = 0.25
"""Of that difference; an object that shows less has two faces."""
TRUE_SEEDS = 8
"""True objects of a prompt that are looked at."""


@dataclass(frozen=True)
class Look:
    """Eight sides of a scene, albedo; sRGB in [0, 1], times alpha, or a prior's latents."""

    color: Float[Tensor, "s h w c"]
    alpha: Float[Tensor, "s h w 1"]

    @staticmethod
    @torch.no_grad()
    def at(scene: Scene[Any], *, size: int = 64) -> "Look":
        """Rendered without randomness, so that a run keeps its bits."""
        some: Tensor | None = next(scene.parameters(), None)
        around = turntable(SIDES, size=size)
        if some is not None:
            pose, lens = around.world_to_camera.to(some.device), around.K.to(some.device)
            around = Cameras(pose, lens, around.height, around.width)
        view = scene.render(Shot(around))
        return Look(view.color.detach().float().cpu(), view.alpha.detach().float().cpu())

    @property
    def white(self) -> Float[Tensor, "s h w 3"]:
        """In front of nearly white."""
        return (self.color + (1 - self.alpha) * 0.95).clamp(0, 1)


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, in words."""

    what: Literal["empty", "fog", "saturation", "two faces"]
    said: str
    """What was seen."""
    advice: str
    """What to do next."""

    def __str__(self) -> str:
        return f"{self.said} {self.advice}"


def haze(look: Look) -> float:
    """4 sum a (1 - a) / sum a: 0 is solid, a plain fog of opacity a has 4 (1 - a). Edges of pixels
    count, so thin things have some."""
    a = look.alpha
    return float((4 * a * (1 - a)).sum() / a.sum().clamp_min(1e-6))


def border(look: Look) -> float:
    """Mean opacity of the outermost pixels, in [0, 1]."""
    inner = torch.zeros_like(look.alpha)
    inner[:, 1:-1, 1:-1] = 1
    return float((look.alpha * (1 - inner)).sum() / (1 - inner).sum())


def colourfulness(look: Look) -> float:
    """Mean of the greatest less the least channel over solid pixels, in [0, 1]; 0 where none is."""
    solid = look.alpha[..., 0] > 0.9
    if not solid.any():
        return 0.0
    color = look.color[solid] / look.alpha[solid]
    return float((color.amax(-1) - color.amin(-1)).mean())


def facing(look: Look, prompt: str, aligner: Aligner) -> float:
    """How much more the backs look like "PROMPT, back view" than the fronts do; 0 where they are
    the same, which is to have two faces (or two backs)."""
    with torch.no_grad():
        back, front = aligner.embed_text([f"{prompt}, back view", f"{prompt}, front view"])
        seen = aligner.embed_image(look.white.to(back.device)) @ (back - front)
    n = SIDES // 2
    return float(seen[[n - 1, n, n + 1]].mean() - seen[[-1, 0, 1]].mean())


@dataclass(frozen=True)
class Truth:
    """What true objects of a prompt show."""

    colourful: float
    """The most of them."""
    facing: float | None
    """The least of them; None where the aligner cannot tell their backs from their fronts."""


def truth(prompt: str, aligner: Aligner | None) -> Truth | None:
    """None for what the embedded world has not got."""
    try:
        graph = parse(prompt)
        drawable(graph)
    except ValueError:
        return None
    looks = [Look.at(toy_scene(graph, seed)) for seed in range(TRUE_SEEDS)]
    turned: float | None = None
    if aligner is not None and any(thing.noun in FRONTED for thing in graph.things):
        turned = min(facing(look, prompt, aligner) for look in looks)
    told = turned if turned is not None and turned >= TELLING else None
    return Truth(max(map(colourfulness, looks)), told)


class Examiner:
    """All detectors, for one prompt."""

    def __init__(
        self,
        prompt: str,
        aligner: Aligner | None = None,
        *,
        world: bool = True,
        numbers: Collection[str] = (),
    ) -> None:
        """`world`: whether the prompt is of the embedded world, so that its true objects say what
        is usual; an aligner that knows its words makes it see faces. `numbers`: those that the
        recipe has, so that nothing else is advised."""
        self.prompt, self.aligner, self.world, self.numbers = prompt, aligner, world, numbers

    def _advice(self, ways: Mapping[str, str], *, always: str) -> str:
        """The ways that the recipe's numbers leave, and one that is always open."""
        open_ = [said for number, said in ways.items() if number in self.numbers]
        said = ", or ".join([*open_, always])
        return f"{said[0].upper()}{said[1:]}."

    @cached_property
    def truth(self) -> Truth | None:
        """Made when it is first needed."""
        return truth(self.prompt, self.aligner) if self.world else None

    def __call__(self, look: Look, *, finished: bool) -> Sequence[Finding]:
        """What is wrong; fog and colours are looked at once it is finished, for a run begins so."""
        covers = look.alpha.mean((1, 2, 3))
        if float(covers.max()) < EMPTY:
            return [
                Finding(
                    "empty",
                    "The scene is empty: from no side is anything to be seen.",
                    self._advice(
                        {"opacity": "lower --opacity", "lr": "lower --lr", "init": BLOB},
                        always="take another --seed or --recipe",
                    ),
                )
            ]
        found = [*self._faces(look)]
        return [*self._fog(look), *self._colours(look), *found] if finished else found

    def _fog(self, look: Look) -> Sequence[Finding]:
        spread, edge = haze(look), border(look)
        if spread <= HAZE and edge <= BORDER:
            return []
        where = "fills the frame" if edge > BORDER else "is half transparent"
        seen = f"it {where} (haze {spread:.2f}, at most {HAZE:g}; {edge:.2f} opaque at the border)"
        firmer = {"entropy": "raise --entropy", "opacity": "raise --opacity", "init": BLOB}
        advice = self._advice(firmer, always="take more --steps or another --recipe")
        return [Finding("fog", f"This is fog more than an object: {seen}.", advice)]

    def _colours(self, look: Look) -> Sequence[Finding]:
        if self.truth is None:
            return []
        here, most = colourfulness(look), self.truth.colourful
        if here <= most + SATURATED:
            return []
        said = f"Its colours are over-saturated: {here:.2f}, true objects have up to {most:.2f}."
        paler = {"scale": "lower --scale", "clamp": "keep --clamp"}
        advice = self._advice(paler, always="take another --seed or --recipe")
        return [Finding("saturation", said, advice)]

    def _faces(self, look: Look) -> Sequence[Finding]:
        if self.aligner is None or self.truth is None or self.truth.facing is None:
            return []  # not to be told
        here, true = facing(look, self.prompt, self.aligner), self.truth.facing
        if here >= SHARE * true:
            return []
        said = (
            "It seems to have two faces, or none: its back looks as much like a front as that does "
            f"({here:.3f}, true objects have at least {true:.3f})."
        )
        advice = "Try --recipe perpneg, or with it a greater --strength, or another --seed."
        return [Finding("two faces", said, advice)]


def examiner(prompt: str, *, world: bool = True, numbers: Collection[str] = ()) -> Examiner:
    """That of a run of a recipe with these numbers; the embedded CLIP is asked where the prompt has
    a front and can be read."""
    aligner = None
    if world and any(noun in prompt for noun in FRONTED):
        try:
            aligner = embedded_clip()
            aligner.embed_text([prompt])
        except (FileNotFoundError, ValueError):
            aligner = None
    return Examiner(prompt, aligner, world=world, numbers=numbers)
