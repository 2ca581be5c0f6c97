"""How a network's field is looked at: within a budget of samples, or where they count.

Field(body=Hashed(), marcher=Budget())                         so many samples at a time
Field(body=Hashed(), marcher=Budget(then=Importance()))        and those where the field is
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.lights import Light
from dreamlift.render.occupancy import occupied_at
from dreamlift.render.proposal import interlevel, placed
from dreamlift.render.volume import Marched, Points, Rays, along, march_at, sample_rays, weigh
from dreamlift.scenes.field import Field, Marcher

NAMES = tuple(field.name for field in fields(Marched))
SAID = ("not enough memory", "can't allocate memory")
log = logging.getLogger("dreamlift")


def out_of_memory(error: BaseException) -> bool:
    """Whether a device or the machine had no memory left."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in SAID)


@dataclass
class Budget:
    """At most so many samples at once, in pictures and in training steps; others wait.

    A step that needs more is rendered without a graph, chunk by chunk, and each chunk again when
    its gradient is asked for: about a third more time for a bounded memory, and the same values.
    Out of memory, the budget is halved, once, and what was begun goes on with smaller chunks.
    """

    samples: int = 1 << 20
    """Before empty cells are left out. A sample of a small network takes some 2 kB to learn from,
    under a light seven times that."""
    then: Marcher = Field.march
    """How each chunk is looked at."""
    halved: bool = False

    def __call__(self, field: Field, rays: Rays, light: Light | None) -> Marched:
        """What the rays gather. Gradients reach the field's body, not the cameras."""
        most = int(rays.count.sum(-1).sum())
        if most <= self.samples:
            try:
                return self.then(field, rays, light)
            except (RuntimeError, MemoryError) as error:
                self.halve(error, most)
        body = [p for p in field.body.parameters() if p.requires_grad]
        return Marched(*_Chunked.apply(self, field, rays, light, *body))

    def halve(self, error: BaseException, tried: int) -> None:
        """Go on with half as much. Raises `error` where it is no want of memory, or comes again."""
        if not out_of_memory(error) or self.halved:
            raise error
        self.samples = max(min(self.samples, tried) // 2, 1)
        self.halved = True
        log.warning(
            "Out of memory: going on with %d samples of the field at once, half as many. The "
            "pictures are the same; each step takes longer.",
            self.samples,
        )

    def each(self, rays: Rays, do: Callable[[slice, slice], None]) -> None:
        """`do` chunk after chunk of pictures and of their rays; one that fails is tried again in
        smaller ones."""
        b, r = rays.count.shape
        done, total = 0, b * r
        while done < total:
            picture, ray = divmod(done, r)
            here = rays.count[picture, ray:].cumsum(0)
            n = max(int((here <= self.samples).sum()), 1)
            chosen = slice(picture, picture + 1), slice(ray, ray + n)
            if ray == 0 and n == r:  # whole pictures, as many as will do
                whole = rays.count[picture:].sum(-1).cumsum(0)
                n = max(int((whole <= self.samples).sum()), 1)
                chosen = slice(picture, picture + n), slice(0, r)
                n *= r
            try:
                do(*chosen)
            except (RuntimeError, MemoryError) as error:
                self.halve(error, int(rays.count[chosen].sum()))
                continue
            done += n


def _part(rays: Rays, pictures: slice, some: slice) -> Rays:
    """Some rays of some pictures."""
    return Rays(*(getattr(rays, f.name)[pictures, some] for f in fields(Rays)))


class _Chunked(torch.autograd.Function):
    """A march that keeps no graph: chunks are rendered again for their gradients."""

    @staticmethod
    def forward(
        ctx: Any, budget: Budget, field: Field, rays: Rays, light: Light | None, *body: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.asked = budget, field, rays, light
        ctx.save_for_backward(*body)
        whole: list[Tensor] = []

        def do(pictures: slice, some: slice) -> None:
            with torch.no_grad():
                lamp = None if light is None else light[pictures]
                m = budget.then(field, _part(rays, pictures, some), lamp)
            if not whole:
                shape = rays.count.shape
                whole.extend(
                    getattr(m, n).new_zeros(*shape, getattr(m, n).shape[-1]) for n in NAMES
                )
            for to, name in zip(whole, NAMES, strict=True):
                to[pictures, some] = getattr(m, name)

        budget.each(rays, do)
        return tuple(whole)

    @staticmethod
    def backward(ctx: Any, *given: Tensor) -> Any:
        budget, field, rays, light = ctx.asked
        body: Sequence[Tensor] = ctx.saved_tensors
        total = [torch.zeros_like(p) for p in body]

        def do(pictures: slice, some: slice) -> None:
            with torch.enable_grad():
                lamp = None if light is None else light[pictures]
                m = budget.then(field, _part(rays, pictures, some), lamp)
                pairs = [
                    (getattr(m, n), g[pictures, some]) for n, g in zip(NAMES, given, strict=True)
                ]
                alive = [(x, g) for x, g in pairs if x.requires_grad]
                if not alive:  # no ray of these meets the ball
                    return
                xs, gs = zip(*alive, strict=True)
                found = torch.autograd.grad(xs, body, gs, allow_unused=True)
            for so_far, g in zip(total, cast("Sequence[Tensor | None]", found), strict=True):
                if g is not None:
                    so_far.add_(g)

        budget.each(rays, do)
        return None, None, None, None, *total


@dataclass
class Importance:
    """Two passes: `coarse` even samples along a diameter tell where `fine` ones are worth taking.

    The first pass asks for densities only and gives no gradient: those of the field itself (NeRF's,
    without a second network), or of a `proposal`, which has to learn from `loss` (mip-NeRF 360's).
    The fine sections fill each ray's way through the ball, and each holds the same share of the
    histogram; `padding` is what of it is spread evenly, so that nothing is never looked at.
    """

    coarse: int = 32
    fine: int = 32
    proposal: Callable[[Points], Tensor] | None = None
    """Density per world unit at points, such as a small field's `density`."""
    padding: float = 0.05

    def __call__(self, field: Field, rays: Rays, light: Light | None) -> Marched:
        """What the rays gather from the fine sections."""
        with torch.no_grad():
            edges, weights, near, way = self.histogram(self.proposal or field.density, field, rays)
            jitter = ((rays.first - near) / rays.step.clamp_min(1e-9)).clamp(0, 1)
            fine = self.sections(edges, weights, jitter, way)
        t, lengths = (fine[..., 1:] + fine[..., :-1]) / 2, fine.diff(dim=-1)
        kept = (lengths > 0) & occupied_at(field.occupied, along(rays, t))
        look = field.unlit if light is None else field.lit
        return march_at(look, rays, t, lengths, kept, light=light)

    def histogram(
        self, density: Callable[[Points], Tensor], field: Field, rays: Rays
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Edges (b r m+1) and weights (b r m) of even sections, where the way through the ball
        begins, and how long it is (b r); world units."""
        even = sample_rays(rays.origins, rays.directions, samples=self.coarse)
        near, way = even.first - even.step / 2, even.step * even.count
        i = torch.arange(int(even.count.max()) + 1, device=near.device)
        edges = near[..., None] + torch.minimum(i, even.count[..., None]) * even.step[..., None]
        t = (edges[..., 1:] + edges[..., :-1]) / 2
        points = along(rays, t)
        kept = (i[:-1] < even.count[..., None]) & occupied_at(field.occupied, points)
        found = density(points[kept])
        full = found.new_zeros(kept.shape).masked_scatter(kept, found)
        return edges, weigh(full * edges.diff(dim=-1)), near, way

    def sections(
        self,
        edges: Float[Tensor, "b r e"],
        weights: Float[Tensor, "b r m"],
        jitter: Float[Tensor, "b r"],
        way: Float[Tensor, "b r"],
    ) -> Float[Tensor, "b r f"]:
        """The edges of the fine ones; `jitter`, in [0, 1], shifts all but the first and last."""
        even = edges.diff(dim=-1) / way.clamp_min(1e-9)[..., None]
        total = weights.sum(-1, keepdim=True)
        share = weights / total.clamp_min(1e-9)
        padding = torch.where(total > 1e-9, self.padding, 1.0)
        k = torch.arange(self.fine + 1, device=edges.device)
        u = (k - 0.5 + jitter[..., None]) / self.fine
        u = torch.where(k == 0, 0.0, torch.where(k == self.fine, 1.0, u))
        return placed(edges, (1 - padding) * share + padding * even, u)

    def loss(self, field: Field, rays: Rays) -> Float[Tensor, ""]:
        """How far the proposal's histogram is from bounding the field's on these rays: to be
        minimised beside the picture's error, over the proposal's parameters alone."""
        if self.proposal is None:
            raise ValueError("Without a proposal there is nothing to teach: give Importance one.")
        coarse, proposed, _, _ = self.histogram(self.proposal, field, rays)
        with torch.no_grad():
            finer = replace(self, coarse=self.coarse + self.fine)
            edges, weights, _, _ = finer.histogram(field.density, field, rays)
        return interlevel(edges, weights, coarse, proposed)
