"""Training pictures of the embedded world: traced once, then painted, lit and composited often.

A `Pool` holds what cameras saw of the last scenes (part numbers, normals, depth, coverage) and
replaces a few at every step, so that training is neither starved nor shown a fixed set. `draw`
gives captioned pictures: fresh colours, light, background and wording each time. Everything
follows from the seed and the step, so a resumed training sees what it would have seen.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dreamlift.cameras import Cameras
from dreamlift.geometry.primitives import pack
from dreamlift.graph import BUILT, Graph
from dreamlift.lights import Light, shade
from dreamlift.phrases import colourless
from dreamlift.priors.seen import Seen
from dreamlift.render.trace import Traced, trace
from dreamlift.toybox.captions import (
    DRAWN_RELATIONS,
    TAUGHT_NOUNS,
    TAUGHT_PATTERNS,
    coloured,
    shape_graph,
)
from dreamlift.toybox.compose import Built, build
from dreamlift.toybox.paint import coat, colour, look_up, stacked
from dreamlift.views import Views, direction

FIRST_WORLD = Seen(TAUGHT_NOUNS, DRAWN_RELATIONS, TAUGHT_PATTERNS)
"""What pictures of `shape_graph` show."""
THINGS = 2
"""Things of a drawn scene, at most."""


@dataclass(frozen=True)
class Pictures:
    """Captioned pictures."""

    x: Float[Tensor, "b h w 3"]  # sRGB in [0, 1]
    graphs: Sequence[Graph]  # view and untextured filled in
    cameras: Cameras
    things: Float[Tensor, "b things h w"]  # where each thing of the graph is seen, in [0, 1]


class Pool:
    """What cameras see of the latest scenes, on a device."""

    def __init__(
        self,
        capacity: int,
        *,
        seed: int,
        views: Views,
        first: int = 0,
        per_step: int = 16,
        size: int = 64,
        per_scene: int = 4,
        graphs: Callable[[random.Random], Graph] = shape_graph,
        paint: Callable[[Graph, random.Random], Graph] = coloured,
        device: torch.device | None = None,
    ) -> None:
        """Filled with the scenes that steps before `first` brought."""
        if capacity % per_step or per_step % per_scene:
            raise ValueError(
                f"The pool's capacity ({capacity}) must be a multiple of the pictures per step "
                f"({per_step}), and that of the pictures per scene ({per_scene})."
            )
        self.capacity, self.per_step, self.per_scene = capacity, per_step, per_scene
        self.seed, self.views, self.size = seed, views, size
        self.graphs, self.paint = graphs, paint
        self.device = device or torch.device("cpu")
        shape = (capacity, size, size)
        self.part = torch.zeros(shape, dtype=torch.uint8, device=self.device)
        self.normal = torch.zeros(*shape, 3, dtype=torch.int8, device=self.device)
        self.depth = torch.zeros(shape, dtype=torch.float16, device=self.device)
        self.coverage = torch.zeros(shape, dtype=torch.uint8, device=self.device)
        self.pose = torch.zeros(capacity, 4, 4, device=self.device)
        self.K = torch.zeros(capacity, 3, 3, device=self.device)
        self.scenes: list[Built | None] = [None] * (capacity // per_scene)
        for step in range(first - capacity // per_step, first):
            self.bring(step)

    def bring(self, step: int) -> None:
        """Trace the scenes of a step, in place of the oldest."""
        n = self.per_step // self.per_scene
        slot = (step * self.per_step) % self.capacity
        built = [self._scene(step, i) for i in range(n)]
        self.scenes[slot // self.per_scene : slot // self.per_scene + n] = built
        rng = torch.Generator().manual_seed(_number(self.seed, step, "cameras"))
        cameras = self.views.cameras(self.per_step, rng, size=self.size)
        moved = _to(cameras, self.device)
        scene = torch.arange(n, device=self.device).repeat_interleave(self.per_scene)
        seen = trace(pack([b.solids for b in built]).to(self.device), scene, moved)
        where = slice(slot, slot + self.per_step)
        self.part[where] = seen.part
        self.normal[where] = (seen.normal * 127).round().to(torch.int8)
        self.depth[where] = seen.depth.half()
        self.coverage[where] = (seen.coverage * 255).round().to(torch.uint8)
        self.pose[where], self.K[where] = moved.world_to_camera, moved.K

    def _scene(self, step: int, index: int) -> Built:
        rng = random.Random(_number(self.seed, step, index))
        return build(self.graphs(rng), rng.randrange(1 << 30))

    def seen(self, index: Int[Tensor, " b"]) -> tuple[Traced, Cameras, list[Built]]:
        """Some of the pool's pictures, unpainted."""
        index = index.to(self.device)
        normal = F.normalize(self.normal[index].float(), dim=-1)
        traced = Traced(
            self.part[index],
            normal,
            self.depth[index].float(),
            self.coverage[index].float() / 255,
        )
        cameras = Cameras(self.pose[index], self.K[index], self.size, self.size)
        scenes = [self.scenes[i // self.per_scene] for i in index.tolist()]
        return traced, cameras, [scene for scene in scenes if scene is not None]

    def draw(self, n: int, step: int, *, said: float = 0.65) -> Pictures:
        """n captioned pictures; the view is said in the share `said` of the captions."""
        rng = random.Random(_number(self.seed, step, "draw"))
        index = torch.tensor([rng.randrange(self.capacity) for _ in range(n)])
        traced, cameras, scenes = self.seen(index)
        graphs = [self.paint(scene.graph, rng) for scene in scenes]
        draws = torch.Generator().manual_seed(_number(self.seed, step, "light"))
        return compose(traced, cameras, scenes, graphs, self.views, rng, draws, said=said)


def compose(
    traced: Traced,
    cameras: Cameras,
    scenes: Sequence[Built],
    graphs: Sequence[Graph],
    views: Views,
    rng: random.Random,
    draws: torch.Generator,
    *,
    said: float,
) -> Pictures:
    """Paint, light and composite traced scenes over the backgrounds of `views`."""
    n, device = len(scenes), traced.depth.device
    origin, ray = cameras.rays()
    point = origin + traced.depth[..., None] * ray
    coats = stacked([coat(b, g, rng) for b, g in zip(scenes, graphs, strict=True)])
    albedo = colour(traced.part, point, coats.to(device), traced.coverage > 0)
    lights, textureless = _lights(cameras, views, draws)
    x = shade(albedo, traced.normal, point, lights)
    background = views.backgrounds(n, draws).to(device)
    alpha = traced.coverage[..., None]
    x = alpha * x + (1 - alpha) * background
    owner = pad_sequence([torch.tensor([p.thing for p in b.parts]) for b in scenes], True)
    shaped = [any(k.relation in BUILT for k in g.links) for g in graphs]
    things = _masks(traced, owner[..., None].to(device), torch.tensor(shaped, device=device))
    captioned = _captions(graphs, cameras, textureless.tolist(), rng, said)
    return Pictures(x.clamp(0, 1), captioned, cameras, things)


def _lights(
    cameras: Cameras, views: Views, draws: torch.Generator
) -> tuple[Light, Bool[Tensor, " b"]]:
    """A light per picture: albedo pictures have nothing but ambient light."""
    n, device = len(cameras), cameras.K.device
    u = torch.rand(n, generator=draws)
    albedo, lit, _ = views.shares
    textureless = (u >= albedo + lit).to(device)
    light = views.light(_to(cameras, torch.device("cpu")), draws, textureless=textureless.cpu())
    flat = (u < albedo).to(device)
    ambient, diffuse = light.ambient.to(device), light.diffuse.to(device)
    return Light(
        light.position.to(device),
        torch.where(flat, torch.ones_like(ambient), ambient),
        torch.where(flat, torch.zeros_like(diffuse), diffuse),
        textureless,
    ), textureless


def _masks(
    traced: Traced, owner: Int[Tensor, "b parts 1"], shaped: Bool[Tensor, " b"]
) -> Float[Tensor, "b things h w"]:
    """Coverage by each thing; an imitated silhouette belongs to both its things."""
    thing = look_up(traced.part, owner)[..., 0]
    masks = [traced.coverage * ((thing == k) | shaped[:, None, None]) for k in range(THINGS)]
    return torch.stack(masks, 1)


def _captions(
    graphs: Sequence[Graph],
    cameras: Cameras,
    textureless: Sequence[bool],
    rng: random.Random,
    said: float,
) -> list[Graph]:
    azimuth, elevation = cameras.azimuth.tolist(), cameras.elevation.tolist()
    out: list[Graph] = []
    for graph, blank, az, el in zip(graphs, textureless, azimuth, elevation, strict=True):
        shown = colourless(graph) if blank else graph
        view = f"{direction(az, el)} view" if rng.random() < said else None
        out.append(Graph(shown.things, shown.links, view, blank))
    return out


def _number(*parts: object) -> int:
    """A seed from anything that names a draw."""
    return random.Random("|".join(map(str, parts))).getrandbits(62)


def _to(cameras: Cameras, device: torch.device) -> Cameras:
    return Cameras(
        cameras.world_to_camera.to(device),
        cameras.K.to(device),
        cameras.height,
        cameras.width,
    )
