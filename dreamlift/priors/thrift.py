"""What a step of another people's model takes of memory, and how to take less: `--memory 8G`.

Weights are counted from the files. What a step holds beside them is counted by taking the step with
the model's own classes on torch's meta device, which has shapes and no numbers: every tensor that
is alive, at its peak. Torch's attention kernels never hold the matrix of weights, so it is not
counted; nor is what cuDNN takes for itself, nor the scene, which `RESERVE` stands for.
"""

import re
import weakref
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, cast
from unittest.mock import patch

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from dreamlift.errors import BadInput
from dreamlift.prior import Condition, Prompt
from dreamlift.priors import opening
from dreamlift.priors.ip_adapter import is_ip_adapter
from dreamlift.priors.latent import Latent
from dreamlift.priors.parts import hollow, placed
from dreamlift.priors.pipelines import told_apart
from dreamlift.priors.pixel import Pixel
from dreamlift.priors.source import DTYPES, Source
from dreamlift.priors.told import Sentences

GIB = 2**30
RESERVE = 1.5 * GIB
"""For the scene, its renderer and its optimiser, and for CUDA itself: assumed, not measured."""
CONDITIONS = 4
"""Sentences that a network is asked at once: two by plain guidance, up to four by others."""


@dataclass(frozen=True)
class Ways:
    """Ways to take less memory. None of them changes what is computed, but for rounding."""

    checkpoint: bool = False
    """Compute the encoder's inside again for its gradient, instead of keeping it."""
    one_by_one: bool = False
    """Ask the network one sentence at a time."""
    offload: bool = False
    """Keep the network in the main memory, and bring each layer when it is its turn. Slow."""

    def __str__(self) -> str:
        names = {
            "the encoder recomputed for its gradient": self.checkpoint,
            "one sentence at a time": self.one_by_one,
            "the network's layers brought from the main memory one by one": self.offload,
        }
        return ", ".join(name for name, chosen in names.items() if chosen) or "nothing saved"


LADDER = (
    Ways(),
    Ways(checkpoint=True),
    Ways(checkpoint=True, one_by_one=True),
    Ways(checkpoint=True, one_by_one=True, offload=True),
)
"""From the fastest to the smallest."""


@dataclass(frozen=True)
class Needs:
    """Bytes of a step with one way of taking it."""

    network: float  # of the denoiser's weights on the device
    encoder: float  # of the autoencoder's weights; 0 for models of pixels
    asked: float  # while the network is asked, beside its weights
    kept: float  # of the encoder's inside, while the network is asked
    encoding: float  # at most, while pictures are encoded and their gradient comes back

    @property
    def peak(self) -> float:
        """All of it at the worst moment."""
        return self.network + self.encoder + max(self.kept + self.asked, self.encoding) + RESERVE

    def __str__(self) -> str:
        parts = {"network": self.network, "autoencoder": self.encoder, "asking it": self.asked,
                 "encoder's inside": max(self.kept, self.encoding), "scene": RESERVE}  # fmt: skip
        said = ", ".join(f"{name} {size / GIB:.1f}" for name, size in parts.items() if size)
        return f"{self.peak / GIB:.1f} GiB ({said})"


@dataclass(frozen=True)
class Plan:
    """What was chosen, and why."""

    ways: Ways
    why: tuple[str, ...]


def bytes_of(said: str) -> float:
    """Bytes of "8G", "8.5GiB", "6000M". Raises BadInput."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([GM])(?:i?B)?", said.strip(), re.IGNORECASE)
    if not found or not float(found[1]):
        raise BadInput(f"--memory is a size such as 8G or 6000M; {said!r} was given.")
    return float(found[1]) * (GIB if found[2].upper() == "G" else 2**20)


def _key(storage: Any) -> int:
    """Tells one storage from all others that are alive."""
    return storage._cdata


class Alive(TorchDispatchMode):
    """Counts the bytes of all tensors that are made within it, while they live.

    Views of what was there before are not: of `there`, as of a network's weights.
    """

    def __init__(self, there: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known = {_key(tensor.untyped_storage()) for tensor in there}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        tree_map_only(Tensor, self._see, out)
        return out

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = _key(storage), storage.nbytes()
        if key not in self._known:
            self._known.add(key)
            self.now += size
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._gone, key, size)

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


@contextmanager
def counting(network: nn.Module) -> Generator[Alive]:
    """Within: what is alive beside a network's weights.

    Attention is what torch's kernels make of it: there is no matrix of weights.
    """

    def attention(query: Tensor, key: Tensor, value: Tensor, *_: object, **__: object) -> Tensor:
        return query.clone()

    there = [*network.parameters(), *network.buffers()]
    with patch.object(F, "scaled_dot_product_attention", attention), Alive(there) as alive:
        yield alive


@cache
def needs(source: Source, ways: Ways, *, batch: int = 1) -> Needs:
    """Of a step of `batch` views. Raises ValueError for a model whose step is not known."""
    pictures, nets, changes = told_apart(source.files)
    if nets:
        raise ValueError(f"what {nets[0].name}, a ControlNet, takes beside it is not known.")
    heavier = [*pictures, *filter(is_ip_adapter, changes)]  # a LoRA is merged: of no weight
    with hollow():
        prior: Any = opening.load(
            source.folder, device="meta", dtype=DTYPES[source.dtype], files=heavier
        )
    if not isinstance(prior, Latent | Pixel):
        raise ValueError(f"{source.name} is not followed by sentences alone.")
    batch = -(-batch // prior.views) * prior.views  # so many are asked about together
    layers = [sum(size(p) for p in m.parameters(recurse=False)) for m in prior.network.modules()]
    network = 2 * max(layers) if ways.offload else sum(map(size, prior.network.parameters()))
    encoder = 0.0
    x = torch.empty(batch, prior.size, prior.size, 3, device="meta", requires_grad=True)
    inner: nn.Module = nn.Identity()
    if isinstance(prior, Latent):
        inner = prior.vae.network
        encoder = sum(map(size, inner.parameters()))
        if ways.checkpoint:
            prior.vae.network.enable_gradient_checkpointing()
    with counting(inner) as alive:
        z = prior.encode(x)
        kept = alive.now
        z.backward(torch.empty_like(z))
        encoding = alive.peak
    told = imagined(prior, batch)
    conditions = 1 if ways.one_by_one else CONDITIONS
    with torch.no_grad(), counting(prior.network) as alive:
        prior.predict(z.detach(), torch.empty(batch, device="meta"), *[told] * conditions)
    return Needs(network, encoder, alive.peak, kept, encoding)


def size(tensor: Tensor) -> int:
    """Bytes."""
    return tensor.numel() * tensor.element_size()


def imagined(prior: Latent | Pixel, batch: int) -> Condition:
    """What a network is told, by its config: shapes alone."""
    config: Mapping[str, Any] = cast(Any, prior.network).config
    known = [config.get(key) for key in
             ("encoder_hid_dim", "joint_attention_dim", "cross_attention_dim")]  # fmt: skip
    width = next(one for one in known if one)
    added = config.get("projection_class_embeddings_input_dim")
    pooled = config.get("pooled_projection_dim")
    if pooled is None and config.get("addition_embed_type") == "text_time" and added:
        pooled = added - 6 * config["addition_time_embed_dim"]
    length = 77 if "cross_attention_dim" in config else 512
    told = {"tokens": torch.empty(batch, length, width, device="meta")}
    if pooled is not None:
        told["pooled"] = torch.empty(batch, pooled, device="meta")
    if prior.views > 1:
        camera = config["projection_class_embeddings_input_dim"]
        told["camera"] = torch.empty(batch, camera, device="meta")
    if not isinstance(prior, Latent):
        return told
    if isinstance(prior.tells, Sentences) and prior.tells.pictured is not None:
        nothing = prior.tells.pictured(Prompt(""))
        told |= {k: torch.empty(batch, *v.shape, device="meta") for k, v in nothing.items()}
    elif (more := config["in_channels"] - prior.vae.channels) > 0:
        cells = prior.size // prior.factor
        if "cross_attention_dim" in config and "joint_attention_dim" not in config:
            told["beside"] = torch.empty(batch, more, cells, cells, device="meta")
    return told


def planned(source: Source, memory: str, device: str, *, batch: int = 1) -> Plan:
    """The fastest way that fits, and why. Raises BadInput where none does, or nothing is known."""
    budget = bytes_of(memory)
    if not source.open:
        raise BadInput("The embedded prior takes 0.1 GB; --memory plans for other models.")
    why: list[str] = []
    for ways in LADDER:
        if ways.offload and not device.startswith("cuda"):
            continue  # the network is in the main memory as it is
        try:
            wanted = needs(source, ways, batch=batch)
        except (ValueError, KeyError, TypeError, RuntimeError, StopIteration) as error:
            reason = " ".join(str(error).split())
            raise BadInput(f"Nothing can be planned for {source.name}: {reason}") from error
        fits = wanted.peak <= budget
        why.append(f"{ways}: {wanted}, {'fits' if fits else 'too much'}")
        if fits:
            return Plan(ways, tuple(why))
    raise BadInput(
        f"{source.name} does not fit in {budget / GIB:.1f} GiB on {device}. Tried "
        f"{'; '.join(why)}. Use a smaller model, or give it more memory."
    )


def load(source: Source, device: str, ways: Ways) -> Latent | Pixel:
    """A prior that is asked in these ways. Raises BadInput."""
    prior = source.load("cpu" if ways.offload else device)
    if not isinstance(prior, Latent | Pixel):
        raise BadInput(f"{source.name} cannot be asked in less memory.")
    return spare(prior, device, ways)


def spare(
    prior: Latent | Pixel, device: str, ways: Ways, *, backend: str | Callable[..., Any] = ""
) -> Latent | Pixel:
    """Have a prior, on the CPU where it is to be offloaded, asked in these ways from now on.

    `backend`: of torch.compile, "inductor" being torch's own; empty: nothing is compiled.
    """
    prior.one_by_one = ways.one_by_one
    if isinstance(prior, Latent) and ways.checkpoint:
        prior.vae.network.enable_gradient_checkpointing()
    if ways.offload:
        from accelerate import cpu_offload

        if isinstance(prior, Latent):
            placed(prior.vae.network, device)
        network: nn.Module = prior.network
        cpu_offload(network, torch.device(device))
        prior.device = torch.device(device)
    if backend:
        prior.network.compile(backend=backend)
    return prior
