"""Parts of other people's pipelines: networks and settings in a folder of the diffusers layout.

Only safetensors are read, only from the disk, and a network that lacks a weight is refused: the
libraries would fill it with random numbers and say so in a log.
"""

import json
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import safe_open
from torch import Tensor, nn

WEIGHT_NAMES = ("diffusion_pytorch_model", "model")
"""What diffusers and transformers call the files of a network's weights."""


_HOLLOW: ContextVar[bool] = ContextVar("hollow", default=False)


@contextmanager
def hollow() -> Generator[None]:
    """Within: networks are made as their config.json says, without reading their weights."""
    token = _HOLLOW.set(True)
    try:
        yield
    finally:
        _HOLLOW.reset(token)


def shapes_alone() -> bool:
    """Whether this is within `hollow()`."""
    return _HOLLOW.get()


def shapes(file: Path) -> dict[str, Tensor]:
    """A .safetensors file's tensors by its header, on torch's meta device."""
    with safe_open(file, "pt") as content:
        kept = {key: content.get_slice(key).get_shape() for key in content.keys()}
    return {key: torch.empty(shape, device="meta") for key, shape in kept.items()}


def settings(folder: Path, name: str) -> Mapping[str, Any]:
    """A JSON file of a pipeline. Raises ValueError where it is missing or no object."""
    file = folder / name
    if not file.is_file():
        raise ValueError(
            f"{folder} has no {name}. Give a whole folder in the diffusers layout, as "
            "`hf download ID --local-dir FOLDER` leaves it."
        )
    said = json.loads(file.read_text(encoding="utf-8-sig"))
    if not isinstance(said, dict):
        raise ValueError(f"{file} is no JSON object.")
    return cast("dict[str, Any]", said)


def variant(part: Path) -> str | None:
    """Which of its weights a folder holds: None for the plain ones, else "fp16" or the like.

    Raises ValueError where there are none that we read.
    """
    names = {file.name for file in part.glob("*.safetensors")}
    stems = [name.removesuffix(".safetensors").split("-0")[0] for name in sorted(names)]
    if any(stem in WEIGHT_NAMES for stem in stems):
        return None
    for stem in stems:
        name, _, kind = stem.partition(".")
        if name in WEIGHT_NAMES and kind.isalnum():
            return kind
    pickled = any(part.glob("*.bin"))
    raise ValueError(
        f"{part} has no safetensors"
        + (", only .bin files, which may hold programs and are not read." if pickled else ".")
        + " Get the model's .safetensors files."
    )


def network(
    load: Callable[..., Any], folder: Path, part: str, *, dtype: torch.dtype
) -> tuple[Any, Mapping[str, Any]]:
    """A frozen network of a pipeline, on the CPU, and its config.json.

    `load` is its class's `from_pretrained`. Raises ValueError where a weight is missing. Within
    `hollow()` it has shapes alone, on torch's meta device.
    """
    config = settings(folder, f"{part}/config.json")
    if shapes_alone():
        return nn.Module.to(_empty(cast(Any, load).__self__, config), dtype), config
    made, report = load(
        str(folder / part),
        variant=variant(folder / part),
        dtype=dtype,
        local_files_only=True,
        use_safetensors=True,
        output_loading_info=True,
    )
    missing = sorted(report["missing_keys"])
    if missing:
        raise ValueError(
            f"{folder / part} lacks {len(missing)} weights, {missing[0]} the first. Get it again."
        )
    cast(nn.Module, made).requires_grad_(False).eval()
    return made, config


def _empty(kind: Any, config: Mapping[str, Any]) -> nn.Module:
    """A network of diffusers or of transformers on the meta device, frozen."""
    from transformers import PreTrainedModel

    with torch.device("meta"):
        if issubclass(kind, PreTrainedModel):
            made: nn.Module = kind(cast(Any, kind).config_class.from_dict(dict(config)))
        else:
            made = kind.from_config(dict(config))
    return made.requires_grad_(False).eval()


def placed(made: Any, device: torch.device | str, dtype: torch.dtype | None = None) -> nn.Module:
    """A network moved by torch's own `to`: that of diffusers warns of layers it does not have."""
    moved = nn.Module.to(cast(nn.Module, made), device, dtype)
    return nn.utils.convert_conv2d_weight_memory_format(moved, torch.channels_last)
