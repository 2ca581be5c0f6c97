"""What a folder in the diffusers layout holds, by its model_index.json; nothing is loaded here."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from dreamlift.priors.parts import settings, variant

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
    "ImageDreamPipeline": ("unet", "vae", "text_encoder", "image_encoder"),
    "Zero1to3StableDiffusionPipeline": ("unet", "vae", "image_encoder"),
    "Zero123Pipeline": ("unet", "vae", "image_encoder"),
}  # fmt: skip
"""The kinds of pipelines that are known, and the parts of each that have weights."""
TEXT = "text_encoder"
"""What the names of those parts begin with that read sentences."""
TURNING = ("Zero1to3StableDiffusionPipeline", "Zero123Pipeline")
"""Those that follow a picture, not words."""
TOGETHER = ("MVDreamPipeline", "ImageDreamPipeline")
"""Those that denoise several views at once."""
STABLE_DIFFUSION = ("StableDiffusionPipeline", "LatentConsistencyModelPipeline")
"""Those that a ControlNet can be added to."""
PICTURED = ("StableDiffusionInstructPix2PixPipeline", "ImageDreamPipeline")
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
    if name == "MVDreamPipeline" and settings(folder, "unet/config.json").get("ip_dim"):
        name = "ImageDreamPipeline"  # published under the other's name
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

    pictures, nets, changes = told_apart(files)
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


def told_apart(files: Sequence[Path]) -> tuple[list[Path], list[Path], list[Path]]:
    """Pictures, folders of ControlNets, and files of weights."""
    nets = [file for file in files if file.is_dir()]
    pictures = [file for file in files if file.suffix.lower() in PICTURES]
    return pictures, nets, [file for file in files if file not in (*nets, *pictures)]
