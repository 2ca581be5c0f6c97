"""Which of our adapters reads a folder in the diffusers layout: its model_index.json says it."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.io.images import load_image
from dreamlift.prior import Prior
from dreamlift.priors.parts import settings, variant
from dreamlift.priors.pixel import TextEncoder

INDEX = "model_index.json"
NETWORKS: Mapping[str, tuple[str, ...]] = {
    "StableDiffusionPipeline": ("unet", "vae", "text_encoder"),
    "LatentConsistencyModelPipeline": ("unet", "vae", "text_encoder"),
    "StableDiffusionInstructPix2PixPipeline": ("unet", "vae", "text_encoder"),
    "StableDiffusionDepth2ImgPipeline": ("unet", "vae", "text_encoder"),
    "StableDiffusionControlNetPipeline": ("unet", "vae", "text_encoder", "controlnet"),
    "StableDiffusionXLPipeline": ("unet", "vae", "text_encoder", "text_encoder_2"),
    "IFPipeline": ("unet", "text_encoder"),
    "IFSuperResolutionPipeline": ("unet", "text_encoder"),
    "PixArtAlphaPipeline": ("transformer", "vae", "text_encoder"),
    "PixArtSigmaPipeline": ("transformer", "vae", "text_encoder"),
    "StableDiffusion3Pipeline": (
        "transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3",
    ),
    "FluxPipeline": ("transformer", "vae", "text_encoder", "text_encoder_2"),
    "MVDreamPipeline": ("unet", "vae", "text_encoder"),
    "Zero1to3StableDiffusionPipeline": ("unet", "vae", "image_encoder"),
    "Zero123Pipeline": ("unet", "vae", "image_encoder"),
}  # fmt: skip
"""The kinds of pipelines that are known, and the parts of each that have weights."""
TEXT = "text_encoder"
"""What the names of those parts begin with that read sentences."""
TURNING = ("Zero1to3StableDiffusionPipeline", "Zero123Pipeline")
"""Those that follow a picture, not words."""
TOGETHER = ("MVDreamPipeline",)
"""Those that denoise several views at once."""
STABLE_DIFFUSION = ("StableDiffusionPipeline", "LatentConsistencyModelPipeline")
"""Those that a ControlNet can be added to."""
PICTURED = ("StableDiffusionInstructPix2PixPipeline",)
"""Those that are told a picture beside the words."""
PICTURES = (".png", ".jpg", ".jpeg", ".webp")
FOURTH = "pose_fourth"
"""A key of ours in model_index.json: what the fourth number of a pose is (zero123.Fourth).

Without it a folder with stable-zero123 in its path is taken for Stable Zero123.
"""


def is_pipeline(folder: Path) -> bool:
    """Whether a folder holds other people's model, which reads any words."""
    return (folder / INDEX).is_file()


def kind(folder: Path) -> str:
    """What kind of pipeline a folder holds. Raises ValueError for one that is not known or whole.

    Nothing heavy is imported or read. Its text encoders may be missing: `speechless` says so.
    """
    name = str(settings(folder, INDEX).get("_class_name"))
    if name not in NETWORKS:
        raise ValueError(
            f"{folder} holds a {name}, which is not known here; known are {', '.join(NETWORKS)}."
        )
    settings(folder, "scheduler/scheduler_config.json")
    for part in NETWORKS[name]:
        if not part.startswith(TEXT):
            settings(folder, f"{part}/config.json")
            variant(folder / part)
    return name


def speechless(folder: Path) -> str | None:
    """What its text encoders lack, in a sentence; None where they are whole, or none are read.

    Raises ValueError as `kind`.
    """
    for part in NETWORKS[kind(folder)]:
        if part.startswith(TEXT):
            try:
                settings(folder, f"{part}/config.json")
                variant(folder / part)
            except ValueError as error:
                return str(error)
    return None


def words(folder: Path, dtype: torch.dtype) -> TextEncoder | None:
    """Its text encoders alone, loaded when they are asked; None where they are not known apart."""
    match kind(folder):
        case "StableDiffusionXLPipeline":
            from dreamlift.priors.sdxl import load_two_towers

            return load_two_towers(folder, dtype)
        case "StableDiffusion3Pipeline":
            from dreamlift.priors.flow_words import load_three_towers

            return load_three_towers(folder, dtype)
        case "FluxPipeline":
            from dreamlift.priors.flow_words import load_clip_and_t5

            return load_clip_and_t5(folder, dtype)
        case "IFPipeline":
            from dreamlift.priors.deepfloyd import load_t5_words

            return load_t5_words(folder, dtype)
        case "StableDiffusionPipeline" | "LatentConsistencyModelPipeline":
            from dreamlift.priors.encoders import load_clip_words

            return load_clip_words(folder, dtype)
        case _:
            return None


def weights(folder: Path) -> tuple[int, int]:
    """How many numbers a pipeline's networks have, and their bytes on the disk.

    From the headers of the files that would be loaded. Raises ValueError as `kind`.
    """
    of = [sized(folder, part) for part in NETWORKS[kind(folder)]]
    return sum(numbers for numbers, _ in of), sum(size for _, size in of)


def sized(folder: Path, part: str) -> tuple[int, int]:
    """`weights` of one network; of text encoders that are not there, nothing."""
    numbers = size = 0
    if part.startswith(TEXT) and not (folder / part).is_dir():
        return 0, 0
    chosen = variant(folder / part) or ""
    for file in (folder / part).glob("*.safetensors"):
        if file.name.removesuffix(".safetensors").split("-0")[0].partition(".")[2] != chosen:
            continue
        size += file.stat().st_size
        with file.open("rb") as content:
            header = json.loads(content.read(int.from_bytes(content.read(8), "little")))
        header.pop("__metadata__", None)
        numbers += sum(math.prod(tensor["shape"]) for tensor in header.values())
    return numbers, size


def refuse_files(folder: Path, files: Sequence[Path]) -> None:
    """Raise ValueError for a picture that is missing, or files too many. Nothing is loaded."""
    from dreamlift.priors.ip_adapter import is_ip_adapter

    pictures, nets, changes = _sorted(files)
    adapters = sum(map(is_ip_adapter, changes))
    wanted = (kind(folder) in PICTURED) + adapters
    if wanted > 1:
        raise ValueError("it would follow two pictures. Add one IP-Adapter, to a model of words.")
    if wanted and not pictures:
        raise ValueError(
            "it is told a picture beside the words. Add one to its name: --prior NAME+picture.png."
        )
    if len(pictures) > wanted:
        said = "one picture" if wanted else "no picture"
        raise ValueError(f"it is told {said}, not {len(pictures)}.")
    if len(nets) > (kind(folder) in STABLE_DIFFUSION):
        raise ValueError(
            f"{nets[-1].name} cannot be added: one ControlNet can, to Stable Diffusion 1.x or 2.x."
        )


def _sorted(files: Sequence[Path]) -> tuple[list[Path], list[Path], list[Path]]:
    """Pictures, folders of ControlNets, and files of weights."""
    nets = [file for file in files if file.is_dir()]
    pictures = [file for file in files if file.suffix.lower() in PICTURES]
    return pictures, nets, [file for file in files if file not in (*nets, *pictures)]


def load(
    folder: Path, *, device: torch.device | str, dtype: torch.dtype, files: Sequence[Path] = ()
) -> Prior:
    """The prior in a folder, changed by files: LoRAs, a checkpoint of the original layout, an
    IP-Adapter, the folder of a ControlNet, and the picture that it is told.

    Raises ValueError, OSError where it cannot be.
    """
    refuse_files(folder, files)
    pictures, nets, changes = _sorted(files)
    picture = on_white(pictures[0]) if pictures else None
    if not nets and not changes:
        return _load(folder, device, dtype, picture)
    from dreamlift.priors.controlnet import controlnet
    from dreamlift.priors.ip_adapter import ip_adapter, is_ip_adapter
    from dreamlift.priors.latent import Latent
    from dreamlift.priors.loras import merge_lora
    from dreamlift.priors.original import is_checkpoint, single_file

    if nets:
        prior = controlnet(folder, nets[0], device=device, dtype=dtype)
    elif is_checkpoint(changes[0]) and kind(folder) == "StableDiffusionPipeline":
        prior = single_file(changes.pop(0), folder, device=device, dtype=dtype)
    else:
        prior = _load(folder, device, dtype, picture)
    for file in sorted(changes, key=is_ip_adapter):  # a LoRA is merged into the plain network
        if is_checkpoint(file) or not isinstance(prior, Latent):
            raise ValueError(
                f"{file} cannot change this kind of model; a LoRA can, of Stable Diffusion."
            )
        if is_ip_adapter(file):
            ip_adapter(prior, file, picture)
        else:
            merge_lora(prior, file)
    return prior


def on_white(file: Path) -> Float[Tensor, "h w 3"]:
    """A square picture file before white, sRGB in [0, 1]. Raises BadInput for another shape."""
    image = load_image(file)
    if image.shape[0] != image.shape[1]:
        raise BadInput(
            f"{file} is {image.shape[1]}x{image.shape[0]} pixels; this prior wants a square "
            "picture. Crop it."
        )
    alpha = image[..., 3:] if image.shape[2] == 4 else torch.ones_like(image[..., :1])
    return image[..., :3] * alpha + 1 - alpha


def _load(
    folder: Path,
    device: torch.device | str,
    dtype: torch.dtype,
    picture: Float[Tensor, "h w 3"] | None,
) -> Prior:
    match kind(folder):
        case "StableDiffusionPipeline" | "LatentConsistencyModelPipeline":
            from dreamlift.priors.latent import stable_diffusion

            return stable_diffusion(folder, device=device, dtype=dtype)
        case "StableDiffusionInstructPix2PixPipeline":
            from dreamlift.priors.pix2pix import instruct_pix2pix

            return instruct_pix2pix(folder, picture, device=device, dtype=dtype)
        case "StableDiffusionDepth2ImgPipeline":
            from dreamlift.priors.depth import stable_diffusion_depth

            return stable_diffusion_depth(folder, device=device, dtype=dtype)
        case "StableDiffusionControlNetPipeline":
            from dreamlift.priors.controlnet import controlnet

            return controlnet(folder, device=device, dtype=dtype)
        case "PixArtAlphaPipeline" | "PixArtSigmaPipeline":
            from dreamlift.priors.pixart import pixart

            return pixart(folder, device=device, dtype=dtype)
        case "IFSuperResolutionPipeline":
            from dreamlift.priors.superres import super_resolution

            return super_resolution(folder, device=device, dtype=dtype)
        case "MVDreamPipeline":
            from dreamlift.priors.mvdream import mvdream

            return mvdream(folder, device=device, dtype=dtype)
        case "StableDiffusionXLPipeline":
            from dreamlift.priors.sdxl import sdxl

            return sdxl(folder, device=device, dtype=dtype)
        case "StableDiffusion3Pipeline":
            from dreamlift.priors.flow import stable_diffusion_3

            return stable_diffusion_3(folder, device=device, dtype=dtype)
        case "FluxPipeline":
            from dreamlift.priors.flow import flux

            return flux(folder, device=device, dtype=dtype)
        case "Zero1to3StableDiffusionPipeline" | "Zero123Pipeline":
            from dreamlift.priors.zero123 import zero123

            said = settings(folder, INDEX).get(FOURTH)
            stable = said == "elevation" or (said is None and "stable-zero123" in str(folder))
            fourth = "elevation" if stable else "distance"
            return zero123(folder, device=device, dtype=dtype, fourth=fourth)
        case _:
            from dreamlift.priors.deepfloyd import deepfloyd

            return deepfloyd(folder, device=device, dtype=dtype)
