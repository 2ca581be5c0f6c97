"""VSD's student: the prior's own network with low-rank additions, told where the camera stands.

ProlificDreamer (arXiv:2305.16213), Sec. 3 and App. B: eps_phi, the noise predictor of the pictures
that a scene shows now, is the frozen prior plus LoRA (arXiv:2106.09685) in its attention, and a
small network that adds the camera to the embedding of t.

The student's network is a second tree of modules over the prior's own tensors: nothing is copied,
and nothing of the prior is touched. The student itself owns the low-rank tensors and the camera's
network only, in float32 whatever the prior's dtype.
"""

import copy
from collections.abc import Callable
from typing import Literal, Protocol, TypeAlias, TypeVar, cast, final, runtime_checkable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from dreamlift.cameras import Cameras
from dreamlift.diffusion import add_noise, velocity
from dreamlift.errors import BadInput
from dreamlift.prior import Condition, Prior
from dreamlift.priors.prediction import Prediction, noise_of
from dreamlift.scene import Shot

Layer: TypeAlias = nn.Linear | nn.Conv2d
Where: TypeAlias = Literal["attention", "everywhere"]

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
"""The layers of diffusers' attention, as the paper adapts them."""


@runtime_checkable
class NetworkPrior(Prior, Protocol):
    """A prior that is a diffusers UNet: `priors.pixel.Pixel`, or `priors.latent.Latent` of one.

    `predict` gives `timestep_cond` the condition's "pose", where there is one.
    """

    network: nn.Module
    prediction: Prediction

    def predict(
        self, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], *conditions: Condition
    ) -> tuple[Float[Tensor, "b c y x"], ...]: ...


def teaching(prior: Prior) -> NetworkPrior:
    """A prior in whose network a student can be taught. Raises BadInput for others."""
    if isinstance(prior, NetworkPrior):
        return prior
    raise BadInput(
        "VSD's student is taught in the prior's own network, and this prior has none that can be "
        "reached. Choose another recipe or method, or a prior that is a UNet."
    )


class Factors(nn.Module):
    """The two factors of a low-rank addition; zero to begin with, for `up` is zero."""

    def __init__(self, layer: Layer, rank: int, rng: torch.Generator) -> None:
        super().__init__()
        inner = layer.weight.shape[1:]
        down = torch.randn(rank, *inner, generator=rng, device=rng.device) / rank
        up = torch.zeros(len(layer.weight), rank, *[1] * (len(inner) - 1))
        self.down = nn.Parameter(down.to(layer.weight.device))
        self.up = nn.Parameter(up.to(layer.weight.device))


class LowRank(nn.Module):
    """W x + B A x, W of a layer that others use too (Eq. 3 of arXiv:2106.09685)."""

    def __init__(self, layer: Layer, factors: Factors) -> None:
        super().__init__()
        self.layer, self.factors = layer, factors

    def forward(self, x: Float[Tensor, "b *z"]) -> Float[Tensor, "b *y"]:
        down, up = self.factors.down.to(x.dtype), self.factors.up.to(x.dtype)
        if isinstance(self.layer, nn.Linear):
            return self.layer(x) + F.linear(F.linear(x, down), up)
        inner = F.conv2d(x, down, None, self.layer.stride, self.layer.padding, self.layer.dilation)
        return self.layer(x) + F.conv2d(inner, up)


class Pose(nn.Module):
    """The camera's place in the embedding of t; nothing to begin with, for `out` is zero."""

    def __init__(self, width: int, rng: torch.Generator) -> None:
        super().__init__()
        self.first, self.out = nn.Linear(16, width), nn.Linear(width, width)
        with torch.no_grad():
            weight = torch.rand(width, 16, generator=rng, device=rng.device)
            self.first.weight.copy_((2 * weight - 1) / 4)
            for zero in (self.first.bias, self.out.weight, self.out.bias):
                zero.zero_()

    def forward(self, pose: Float[Tensor, "b 16"]) -> Float[Tensor, "b w"]:
        return self.out(F.silu(self.first(pose)))


class TimeAndPose(nn.Module):
    """A network's embedding of t, plus the camera's; in the place of diffusers' own."""

    def __init__(self, time: nn.Module, pose: Pose) -> None:
        super().__init__()
        self.time, self.pose = time, pose

    def forward(
        self, sample: Float[Tensor, "b s"], condition: Float[Tensor, "b c"]
    ) -> Float[Tensor, "b w"]:
        """`condition`: what the network itself is told beside t (distilled.py), then the pose."""
        own, pose = condition[:, :-16], condition[:, -16:]
        said = self.time(sample, own.to(sample.dtype)) if own.shape[1] else self.time(sample)
        return said + self.pose(pose).to(said.dtype)


def pose_numbers(cameras: Cameras) -> Float[Tensor, "b 16"]:
    """Camera to world, the sixteen numbers of the matrix; zeros say that it is not told."""
    R = cameras.world_to_camera[:, :3, :3]
    matrix = torch.zeros_like(cameras.world_to_camera)
    matrix[:, :3, :3], matrix[:, :3, 3] = R.transpose(1, 2), cameras.position
    matrix[:, 3, 3] = 1
    return matrix.flatten(1)


P = TypeVar("P", bound=NetworkPrior)


def _place(network: nn.Module, name: str, module: nn.Module) -> None:
    """Put a module where another one was."""
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, module)


def _shadow(prior: P) -> P:
    """A prior that may be changed module by module, over the tensors of another."""
    shared = [*prior.network.parameters(), *prior.network.buffers()]
    shadow = copy.copy(prior)
    shadow.network = copy.deepcopy(prior.network, {id(tensor): tensor for tensor in shared})
    return shadow


@final
class Student(nn.Module):
    """eps_phi(z_t; t, c, y): the noise in pictures that a scene shows. A Score.

    Before it has learned anything it says what the prior says under `told`, bit for bit. Its
    state is what it owns.
    """

    def __init__(
        self,
        prior: NetworkPrior,
        told: Callable[[Shot], Condition],
        *,
        rng: torch.Generator,
        rank: int = 4,
        where: Where = "attention",
        dropout: float = 0.1,
    ) -> None:
        """`told`: the sentence, or those of the sides. `where`: all linear and convolutional layers
        of the blocks are adapted, or those of the attention, as in the paper. `dropout`: the share
        of samples whose camera is not told while it learns. `rng` draws what it starts from."""
        super().__init__()
        if not any(name == "time_embedding" for name, _ in prior.network.named_children()):
            raise BadInput(
                "VSD's student is told the camera beside the time, and this prior's network has no "
                "place for it. Take one with a UNet: Stable Diffusion 1.x, 2.x or XL."
            )
        self._prior, self.told, self.dropout = prior, told, dropout
        self._shadow = _shadow(prior)
        network = self._shadow.network
        adapted = [(n, m) for n, m in network.named_modules() if _adapted(n, m, where)]
        if not adapted:
            raise ValueError(
                "This network has no layer to adapt: none is called like those of diffusers' "
                f"attention ({', '.join(ATTENTION)}). Ask for where='everywhere'."
            )
        self.factors = nn.ModuleDict()
        for name, module in adapted:
            layer = cast(Layer, module)
            factors = Factors(layer, rank, rng)
            self.factors[name.replace(".", "/")] = factors
            _place(network, name, LowRank(layer, factors))
        time = network.get_submodule("time_embedding")
        width = cast(nn.Linear, time.get_submodule("linear_2")).out_features
        self.pose = Pose(width, rng).to(next(network.parameters()).device)
        _place(network, "time_embedding", TimeAndPose(time, self.pose))

    @property
    def prior(self) -> Prior:
        """The teacher, as it was."""
        return self._prior

    def forward(
        self, z_t: Float[Tensor, "b c y x"], t: Float[Tensor, " b"], shot: Shot
    ) -> Float[Tensor, "b c y x"]:
        """eps_phi, without guidance."""
        said = self._predict(z_t, t, shot, pose_numbers(shot.cameras))
        return noise_of(self._shadow.schedule, self._shadow.prediction, z_t, t, said)

    def loss(
        self,
        z: Float[Tensor, "b c y x"],
        t: Float[Tensor, " b"],
        noise: Float[Tensor, "b c y x"],
        shot: Shot,
        rng: torch.Generator,
    ) -> Float[Tensor, ""]:
        """Mean squared error of what the network predicts, eps or v (Eq. 9 of the paper).

        `rng` draws whose camera is not told.
        """
        schedule = self._shadow.schedule
        v = self._shadow.prediction == "v_prediction"
        wanted = velocity(schedule, z, t, noise) if v else noise
        kept = torch.rand(len(z), 1, generator=rng, device=rng.device) >= self.dropout
        pose = pose_numbers(shot.cameras)
        pose = pose * kept.to(pose)
        said = self._predict(add_noise(schedule, z, t, noise), t, shot, pose)
        return F.mse_loss(said, wanted)

    def _predict(
        self,
        z_t: Float[Tensor, "b c y x"],
        t: Float[Tensor, " b"],
        shot: Shot,
        pose: Float[Tensor, "b 16"],
    ) -> Float[Tensor, "b c y x"]:
        told = {**self.told(shot), "pose": pose}
        return self._shadow.predict(z_t, t, told)[0]


def _adapted(name: str, module: nn.Module, where: Where) -> bool:
    if where == "attention":
        return isinstance(module, nn.Linear) and name.endswith(ATTENTION)
    inside = any(part in name.split(".") for part in ("down_blocks", "mid_block", "up_blocks"))
    plain = isinstance(module, nn.Conv2d) and module.groups == 1 and module.padding_mode == "zeros"
    return inside and (isinstance(module, nn.Linear) or plain)
