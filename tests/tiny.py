"""The smallest scene with all that a fit must keep: noise, moments, a buffer, a companion."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dreamlift.cameras import orbit
from dreamlift.fit import Stage, Terms
from dreamlift.scene import Rendering, Scene, Shot
from dreamlift.step import Step


class Picture(Scene[None]):
    """One picture that every camera sees; `brightest` remembers across steps, like a grid."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.pixels = nn.Parameter(torch.full((size, size, 3), 0.2))
        self.register_buffer("brightest", torch.zeros(()))
        self.brightest: Tensor

    def render(self, shot: Shot, *, rng: torch.Generator | None = None) -> Rendering[None]:
        color = self.pixels.expand(len(shot), -1, -1, -1)
        if rng is not None:
            color = color + 0.1 * torch.randn(color.shape, generator=rng)
        return Rendering(color, torch.ones_like(color[..., :1]), None)

    def adapt(self, step: Step, view: Rendering[None], optimizer: torch.optim.Optimizer) -> None:
        self.brightest.mul_(0.9).copy_(torch.maximum(self.brightest, view.color.detach().max()))


@dataclass(frozen=True)
class Tiny:
    """A noisy quadratic: pixels follow a ramp, and a companion follows the pixels."""

    steps: int = 12
    seed: int = 3
    lr: float = 0.05

    def stage(self) -> Stage[None]:
        scene = Picture(5)
        companion = nn.Linear(3, 1)
        with torch.no_grad():
            for p in companion.parameters():
                p.fill_(0.3)
        ramp = torch.linspace(0.1, 0.9, 75).reshape(5, 5, 3)

        def shots(step: Step) -> Shot:
            u = torch.rand(2, generator=step.rng)
            return Shot(orbit(360 * u - 180, 30 * u, size=5))

        def objective(view: Rendering[None], shot: Shot, step: Step) -> Terms:
            weight = torch.rand(len(shot), 1, 1, 1, generator=step.rng)
            data = (weight * (view.color - ramp) ** 2).sum()
            said = companion(view.color.detach() * scene.brightest)
            return {"data": data, "companion": (said - 0.5).square().mean()}

        optimizer = torch.optim.Adam(
            [
                {"params": scene.parameters(), "name": "pixels", "lr": self.lr},
                {"params": companion.parameters(), "name": "companion", "lr": 0.01},
            ]
        )
        return Stage(
            scene,
            shots,
            objective,
            optimizer,
            self.steps,
            seed=self.seed,
            rates=lambda step: {"pixels": self.lr * (1 - 0.5 * step.progress)},
            keep={"companion": companion},
        )


def bits(stage: Stage[None]) -> dict[str, bytes]:
    """Everything that the steps changed, as bytes."""
    states = {"scene": stage.scene.state_dict()}
    states |= {name: kept.state_dict() for name, kept in stage.keep.items()}
    return {
        f"{part}.{name}": value.numpy().tobytes()
        for part, state in states.items()
        for name, value in state.items()
    }
