"""A cloud of Gaussians as a scene: 3D Gaussian splatting (Kerbl et al., arXiv:2308.04079)."""

from dataclasses import dataclass
from typing import Any, final

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from dreamlift.geometry.clouds import in_ball
from dreamlift.geometry.gaussians import Gaussians
from dreamlift.geometry.harmonics import count, degree_of
from dreamlift.render.splat import Composite, Splats, fastest, projected
from dreamlift.scene import Rendering, Scene, Shot
from dreamlift.scenes.densify import Change, Densify, densified
from dreamlift.step import Step, exponential

PARAMETERS = ("means", "quaternions", "log_scales", "opacity_logits", "dc", "rest")
"""phi, and the names of the optimiser's groups."""


@dataclass(frozen=True)
class Rates:
    """Adam's learning rates (Sec. 5.1 of Kerbl et al. and its code)."""

    means: tuple[float, float] = (1.6e-4, 1.6e-6)
    """At the first and the last step, times the extent of the scene; geometric in between."""
    quaternions: float = 0.001
    log_scales: float = 0.005
    opacity_logits: float = 0.05
    dc: float = 0.0025
    """Of colours; what depends on the direction takes a twentieth."""
    rest: float = 0.0025 / 20

    def groups(self, scene: "Cloud", *, extent: float = 1.0) -> list[dict[str, Any]]:
        """Parameter groups of the scene, for torch.optim.Adam(..., eps=1e-15)."""
        rates = {name: getattr(self, name) for name in PARAMETERS[1:]}
        rates = {"means": self.means[0] * extent, **rates}
        parameters = dict(scene.named_parameters())
        return [{"params": [parameters[k]], "lr": lr, "name": k} for k, lr in rates.items()]

    def at(self, step: Step, *, extent: float = 1.0) -> dict[str, float]:
        """For Stage.rates: what changes with time is the rate of the means."""
        return {"means": extent * exponential(step.progress, *self.means)}


@final
class Cloud(Scene[Splats]):
    """Gaussians that grow and are pruned as the paper's do; phi are their numbers."""

    means: nn.Parameter
    quaternions: nn.Parameter
    log_scales: nn.Parameter
    opacity_logits: nn.Parameter
    dc: nn.Parameter  # n 1 3
    rest: nn.Parameter  # n k-1 3
    degree: Int[Tensor, ""]
    push: Float[Tensor, " n"]
    views: Float[Tensor, " n"]
    largest: Float[Tensor, " n"]

    def __init__(
        self,
        gaussians: Gaussians,
        *,
        densify: Densify | None = None,
        degree_every: int | None = None,
    ) -> None:
        """`densify`: how the cloud grows (None: it does not). `degree_every`: steps after which
        one more degree of the harmonics is looked at (1,000 in the paper; None: all, always)."""
        super().__init__()
        values = (
            gaussians.means,
            gaussians.quaternions,
            gaussians.log_scales,
            gaussians.opacity_logits,
            gaussians.harmonics[:, :1],
            gaussians.harmonics[:, 1:],
        )
        for name, value in zip(PARAMETERS, values, strict=True):
            self.register_parameter(name, nn.Parameter(value.detach().clone()))
        self.densify = densify
        self.degree_every = degree_every
        degree = gaussians.degree if degree_every is None else 0
        self.register_buffer("degree", torch.tensor(degree))
        for name in ("push", "views", "largest"):
            self.register_buffer(name, torch.zeros_like(self.means[:, 0].detach()))
        self.register_load_state_dict_pre_hook(_resize)

    def __len__(self) -> int:
        return len(self.means)

    def gaussians(self) -> Gaussians:
        """All of them, to the degree that is looked at."""
        harmonics = torch.cat([self.dc, self.rest], 1)[:, : count(int(self.degree))]
        return Gaussians(
            self.means, self.quaternions, self.log_scales, self.opacity_logits, harmonics
        )

    def revive(self) -> None:
        """Begin again, as many Gaussians (1,000 or more) that are grey and in a ball."""
        rng, degree = torch.Generator().manual_seed(0), degree_of(1 + self.rest.shape[1])
        blob = in_ball(max(len(self), 1000), rng, degree=degree)
        self.load_state_dict(Cloud(blob, degree_every=self.degree_every).state_dict())

    @property
    def bounds(self) -> Float[Tensor, "2 3"]:
        """Two corners of a box that holds the means, in world units; of no Gaussians, 0."""
        means = self.means.detach()
        means = means if len(means) else means.new_zeros(1, 3)
        return torch.stack([means.amin(0), means.amax(0)])

    def render(
        self,
        shot: Shot,
        *,
        rng: torch.Generator | None = None,
        composite: Composite | None = None,
    ) -> Rendering[Splats]:
        """Depth is along the ray and of the means; normals, the thin axes, come with a light."""
        cameras = shot.cameras
        footprints = projected(self.gaussians(), cameras, light=shot.light)
        if footprints.center.requires_grad:
            footprints.center.retain_grad()
        composite = composite or fastest(footprints)
        out = composite(footprints, cameras.height, cameras.width)
        color, z, normal, alpha = out.split([3, 1, out.shape[-1] - 5, 1], -1)
        forward = cameras.world_to_camera[:, None, None, 2, :3]
        stretch = 1 / (cameras.rays()[1] * forward).sum(-1, keepdim=True)
        return Rendering(
            color=color,
            alpha=alpha,
            aux=Splats(footprints.center, footprints.radius, cameras.height, cameras.width),
            depth=z * stretch,
            normal=None if shot.light is None else normal,
        )

    @torch.no_grad()
    def adapt(self, step: Step, view: Rendering[Splats], optimizer: torch.optim.Optimizer) -> None:
        """Take down what the step says of each Gaussian; in its time, grow, prune and reset."""
        done = step.index + 1
        full = degree_of(1 + self.rest.shape[1])
        if self.degree_every is not None and done % self.degree_every == 0:
            self.degree.fill_(min(int(self.degree) + 1, full))
        rules = self.densify
        if rules is None or done >= rules.until:
            return
        self._watch(view.aux)
        if rules.grows(done):
            push = self.push / self.views.clamp_min(1)
            change = densified(
                self.gaussians(), push, self.largest, rules, step.rng, late=rules.late(done)
            )
            self._become(change, optimizer)
        if rules.resets(done):
            self.opacity_logits.clamp_(max=rules.reset_logit)
            for moment in _moments(optimizer, self.opacity_logits).values():
                moment.zero_()

    def _watch(self, splats: Splats) -> None:
        """Add up the gradients of centres, in INRIA's units, over the views that show each."""
        gradient = splats.center.grad
        if gradient is None:
            return
        # Half a picture is 1 there, and its loss is of one picture, ours a mean over b.
        half = gradient.new_tensor([splats.width / 2, splats.height / 2])
        seen = splats.radius > 0
        size = (gradient * half * len(gradient)).norm(dim=-1)
        self.push += (size * seen).sum(0)
        self.views += seen.sum(0)
        self.largest.copy_(torch.maximum(self.largest, splats.radius.amax(0).to(self.largest)))

    def _become(self, change: Change, optimizer: torch.optim.Optimizer) -> None:
        """New parameters: those kept with Adam's moments, those made with none; fresh counts."""
        made = change.made
        new = {
            "means": made.means,
            "quaternions": made.quaternions,
            "log_scales": made.log_scales,
            "opacity_logits": made.opacity_logits,
            "dc": self.dc[change.parent],
            "rest": self.rest[change.parent],
        }
        for name, value in new.items():
            old: nn.Parameter = getattr(self, name)
            parameter = nn.Parameter(torch.cat([old[change.kept], value]))
            moments = _moments(optimizer, old)
            state = optimizer.state.pop(old, {})
            for key, moment in moments.items():
                state[key] = torch.cat([moment[change.kept], torch.zeros_like(value)])
            if state:
                optimizer.state[parameter] = state
            for group in optimizer.param_groups:
                group["params"] = [parameter if p is old else p for p in group["params"]]
            setattr(self, name, parameter)
        self.forget()

    def forget(self) -> None:
        """Counts of as many Gaussians as there are, at zero."""
        for name in ("push", "views", "largest"):
            setattr(self, name, torch.zeros_like(self.means[:, 0].detach()))


def _resize(cloud: Cloud, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
    """Make room for a cloud of another size, in the parameters that an optimiser knows."""
    for name in PARAMETERS:
        saved, own = state_dict.get(prefix + name), getattr(cloud, name)
        if isinstance(saved, Tensor) and saved.shape[1:] == own.shape[1:]:
            own.data = torch.empty_like(saved, device=own.device, dtype=own.dtype)
            own.grad = None
    cloud.forget()


def _moments(optimizer: torch.optim.Optimizer, parameter: Tensor) -> dict[str, Tensor]:
    """What the optimiser remembers of each number of a parameter (Adam's two moments)."""
    state: dict[str, Any] = optimizer.state.get(parameter, {})
    return {
        key: value
        for key, value in state.items()
        if isinstance(value, Tensor) and value.shape == parameter.shape
    }
