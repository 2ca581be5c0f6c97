"""Which of our adapters reads a folder in the diffusers layout: pipelines.py says what it holds."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.io.images import load_image
from dreamlift.prior import Prior
from dreamlift.priors.parts import settings
from dreamlift.priors.pipelines import FOURTH, INDEX, PICTURED, kind, refuse_files, told_apart
from dreamlift.priors.pixel import TextEncoder


def load(
    folder: Path, *, device: torch.device | str, dtype: torch.dtype, files: Sequence[Path] = ()
) -> Prior:
    """The prior in a folder, changed by files: LoRAs, a checkpoint of the original layout, an
    IP-Adapter, the folder of a ControlNet, and the picture that it is told.

    Raises ValueError, OSError where it cannot be.
    """
    refuse_files(folder, files)
    pictures, nets, changes = told_apart(files)
    picture = on_white(pictures[0]) if pictures else None
    if not nets and not changes:
        return _alone(folder, device, dtype, picture)
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
        prior = _alone(folder, device, dtype, picture)
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
    """A square picture file before white, sRGB in [0, 1], turned as its EXIF says.

    Raises BadInput for another shape.
    """
    image = load_image(file, upright=True)
    if image.shape[0] != image.shape[1]:
        raise BadInput(
            f"{file} is {image.shape[1]}x{image.shape[0]} pixels; this prior wants a square "
            "picture. Crop it."
        )
    alpha = image[..., 3:] if image.shape[2] == 4 else torch.ones_like(image[..., :1])
    return image[..., :3] * alpha + 1 - alpha


def _alone(
    folder: Path,
    device: torch.device | str,
    dtype: torch.dtype,
    picture: Float[Tensor, "h w 3"] | None,
) -> Prior:
    if kind(folder) in PICTURED:
        return _pictured(folder, device, dtype, picture)
    match kind(folder):
        case "StableDiffusionPipeline" | "LatentConsistencyModelPipeline":
            from dreamlift.priors.latent import stable_diffusion

            return stable_diffusion(folder, device=device, dtype=dtype)
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


def _pictured(
    folder: Path,
    device: torch.device | str,
    dtype: torch.dtype,
    picture: Float[Tensor, "h w 3"] | None,
) -> Prior:
    """Those that are told a picture beside the words."""
    if kind(folder) == "ImageDreamPipeline":
        from dreamlift.priors.imagedream import imagedream

        return imagedream(folder, picture, device=device, dtype=dtype)
    from dreamlift.priors.pix2pix import instruct_pix2pix

    return instruct_pix2pix(folder, picture, device=device, dtype=dtype)


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
