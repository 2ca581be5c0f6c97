"""n scenes at once: a distribution over scenes, as its particles (ProlificDreamer, 2305.16213).

A shot is seen by one particle, drawn, or by all of them, a block of its views each. The scenes are
of one kind, begin unlike one another, and share nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeAlias, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dreamlift.scene import Aux, Rendering, Scene, Shot
from dreamlift.scenes.revival import Revivable
from dreamlift.step import Step

Who: TypeAlias = Literal["one", "all"]


@dataclass(frozen=True)
class Part(Generic[Aux]):
    """What one particle shows of a shot."""

    particle: int
    view: Rendering[Aux]


@final
class Particles(Scene[tuple[Part[Aux], ...]]):
    """n scenes; `aux` tells which of them were rendered, and what each has to say."""

    taken: Int[Tensor, " n"]

    def __init__(self, scenes: Sequence[Scene[Aux]], *, who: Who = "one") -> None:
        """`who` sees a shot: `one` particle, drawn anew for each, or `all`, the first b / n views
        the first particle, and so on."""
        super().__init__()
        if not scenes:
            raise ValueError("A distribution over scenes has at least one particle; got none.")
        self.scenes = nn.ModuleList(scenes)
        self._scenes = tuple(scenes)
        self.who: Who = who
        self.register_buffer("taken", torch.zeros(len(scenes), dtype=torch.long))

    def __len__(self) -> int:
        return len(self._scenes)

    def __getitem__(self, particle: int) -> Scene[Aux]:
        """One of the scenes, to be shown, exported or gone on with alone."""
        return self._scenes[particle]

    def revive(self) -> None:
        """Each begins again, where it can, and its clock with it; all but the first stirred."""
        rng = torch.Generator().manual_seed(0)
        for k, scene in enumerate(self._scenes):
            if isinstance(scene, Revivable):
                scene.revive()
                self.taken[k] = 0
                if k:
                    stir(scene, rng)

    def render(
        self, shot: Shot, *, rng: torch.Generator | None = None
    ) -> Rendering[tuple[Part[Aux], ...]]:
        """Without `rng` the first particle shows the whole shot."""
        if rng is None or len(self) == 1:
            return _together([Part(0, self[0].render(shot, rng=rng))])
        if self.who == "one":
            particle = int(torch.randint(len(self), (), generator=rng, device=rng.device))
            return _together([Part(particle, self[particle].render(shot, rng=rng))])
        share, rest = divmod(len(shot), len(self))
        if rest or not share:
            raise ValueError(
                f"{len(self)} particles share the views of a shot evenly; {len(shot)} views are no "
                f"multiple of that. Draw shots of {len(self)} k cameras, or let one particle see "
                "them all (who='one')."
            )
        blocks = [slice(k * share, (k + 1) * share) for k in range(len(self))]
        parts = [Part(k, self[k].render(shot[block], rng=rng)) for k, block in enumerate(blocks)]
        return _together(parts)

    def adapt(
        self,
        step: Step,
        view: Rendering[tuple[Part[Aux], ...]],
        optimizer: torch.optim.Optimizer,
    ) -> None:
        """Each particle that was rendered adapts by its own clock, which counts its own steps."""
        share = step.total if self.who == "all" else step.total // len(self)
        for part in view.aux:
            index = int(self.taken[part.particle])
            own = Step(index, max(share, index + 1), step.rng)
            self[part.particle].adapt(own, part.view, optimizer)
            self.taken[part.particle] += 1


@torch.no_grad()
def stir(scene: Scene[Any], rng: torch.Generator) -> None:
    """Faint colours of its own for a field on a grid, or a cloud: particles begin unlike."""
    for name, values in scene.named_parameters():
        if name == "dc" or name.startswith("body.levels."):
            color = values if name == "dc" else values[..., 1:]
            color += 0.1 * torch.randn(color.shape, generator=rng).to(color)


def _together(parts: Sequence[Part[Aux]]) -> Rendering[tuple[Part[Aux], ...]]:
    """The pictures of all parts, one after the other."""

    def joined(
        of: Callable[[Rendering[Aux]], Float[Tensor, "_ h w c"] | None],
    ) -> Float[Tensor, "b h w c"] | None:
        pictures = [x for x in (of(part.view) for part in parts) if x is not None]
        return torch.cat(pictures) if len(pictures) == len(parts) else None

    return Rendering(
        color=torch.cat([part.view.color for part in parts]),
        alpha=torch.cat([part.view.alpha for part in parts]),
        aux=tuple(parts),
        depth=joined(lambda view: view.depth),
        normal=joined(lambda view: view.normal),
    )
