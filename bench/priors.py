"""Milliseconds and peak memory of a step of score distillation, by the size of the prior.

    python -m bench.priors [--out runs/priors] [--models sd15 sd21 sdxl sd3] [--pixels 64 256 512]
                           [--device cuda] [--repeats 10]

The networks have the models' real configurations and random weights: speed and memory do not
depend on the values, and nothing is downloaded. A step renders a field at so many pixels, asks the
prior under two sentences through DreamFusion's SDS, brings the gradient back and takes an Adam
step. Beside it, in the same run: the prior's share (the same with a plain picture for the scene),
and "incumbent", a minimal re-creation by us of what threestudio's step does with the same weights
(threestudio/models/guidance/stable_diffusion_guidance.py at 02d05b0): everything in half precision
on CUDA (configure, half_precision_weights = True), no channels_last (off by default), pictures
interpolated to the native side and a sample of the posterior (__call__, encode_images), the UNet
for both sentences in one batch (compute_grad_sds), and in every step a decoding of the denoised
latents, which only use_img_loss needs, and that is off by default (compute_grad_sds, image_denoised
= self.decode_latents(...)). It is our code, not theirs: no Lightning, logging or data loading.
"incumbent, no decoding" is the same without that. UNets of noise only.

`--models tiny` takes a second on a CPU and measures nothing of interest: it shows that it runs.
OUT/priors.json has every figure, OUT/priors.md the table.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dreamlift.cameras import Cameras, turntable
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import cfg
from dreamlift.guidance.sds import SDS
from dreamlift.guidance.times import Annealed
from dreamlift.prior import Embedding
from dreamlift.priors.flow import ask_sd3
from dreamlift.priors.latent import AskUNet, Latent
from dreamlift.priors.parts import placed
from dreamlift.priors.pixel import best_dtype
from dreamlift.priors.sdxl import AskXL
from dreamlift.priors.source import device_named
from dreamlift.priors.told import Sentences
from dreamlift.priors.vae import VAE
from dreamlift.scene import Shot
from dreamlift.scenes.field import Field
from dreamlift.schedules import Flow, scaled_linear
from dreamlift.step import Step

SD: Mapping[str, Any] = {"sample_size": 64, "in_channels": 4, "out_channels": 4}
UNETS: Mapping[str, Mapping[str, Any]] = {
    "tiny": {**SD, "sample_size": 8, "block_out_channels": (8, 16), "cross_attention_dim": 32,
             "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "layers_per_block": 1,
             "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"), "attention_head_dim": 4,
             "norm_num_groups": 4},
    "sd15": {**SD, "cross_attention_dim": 768, "attention_head_dim": 8},
    "sd21": {**SD, "cross_attention_dim": 1024, "attention_head_dim": (5, 10, 20, 20),
             "use_linear_projection": True},
    "sdxl": {**SD, "sample_size": 128, "cross_attention_dim": 2048,
             "block_out_channels": (320, 640, 1280), "attention_head_dim": (5, 10, 20),
             "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
             "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
             "transformer_layers_per_block": (1, 2, 10), "use_linear_projection": True,
             "addition_embed_type": "text_time", "addition_time_embed_dim": 256,
             "projection_class_embeddings_input_dim": 2816},
}  # fmt: skip
SD3: Mapping[str, Any] = {
    "sample_size": 128, "patch_size": 2, "in_channels": 16, "num_layers": 24, "out_channels": 16,
    "attention_head_dim": 64, "num_attention_heads": 24, "joint_attention_dim": 4096,
    "caption_projection_dim": 1536, "pooled_projection_dim": 2048, "pos_embed_max_size": 192,
}  # fmt: skip
WIDTHS = {"tiny": (8, 16)}
"""Of the autoencoder, where they are not Stable Diffusion's."""
MODELS = (*UNETS, "sd3")


@dataclass(frozen=True)
class Row:
    """One measurement."""

    model: str
    what: str
    pixels: int
    milliseconds: float
    gib: float  # at most, on CUDA; 0 elsewhere


def network(model: str) -> Any:
    """The denoiser, with random weights."""
    from diffusers import SD3Transformer2DModel, UNet2DConditionModel

    make: Any = SD3Transformer2DModel if model == "sd3" else UNet2DConditionModel
    return make(**(SD3 if model == "sd3" else UNETS[model]))


def autoencoder(model: str) -> Any:
    """The VAE, with random weights."""
    from diffusers import AutoencoderKL

    widths = WIDTHS.get(model, (128, 256, 512, 512))
    wide = {"latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False,
            "shift_factor": 0.0609, "scaling_factor": 1.5305}  # fmt: skip
    make: Any = AutoencoderKL
    return make(
        block_out_channels=widths,
        layers_per_block=1 if model == "tiny" else 2,
        norm_num_groups=4 if model == "tiny" else 32,
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        **(wide if model == "sd3" else {"latent_channels": 4}),
    )


def prior(model: str, device: str) -> Latent:
    """Ours: the adapter's own parts, channels_last; best precision, VAE float32."""
    made = nn.Module.to(network(model), best_dtype(device)).requires_grad_(False).eval()
    vae = VAE(autoencoder(model).requires_grad_(False).eval(), device)
    config: Mapping[str, Any] = made.config
    width = config.get("joint_attention_dim") or config["cross_attention_dim"]
    tokens = torch.randn(333 if model == "sd3" else 77, width)
    said = {"tokens": tokens, "pooled": torch.randn(2048 if model == "sd3" else 1280)}

    def text(_: str) -> Embedding:
        return said if model in ("sd3", "sdxl") else {"tokens": tokens}

    size = int(config["sample_size"]) * vae.factor
    flow = model == "sd3"
    ask = ask_sd3 if flow else AskXL(size) if model == "sdxl" else AskUNet()
    schedule = Flow() if flow else scaled_linear(0.00085, 0.012, 1000)
    kind = "flow" if flow else "epsilon"
    return Latent(placed(made, device), ask, vae, Sentences(text), schedule, kind, size=size)


def ours(prior: Latent) -> Callable[[Tensor, Shot, Step], Tensor]:
    """SDS of DreamFusion with classifier-free guidance: two sentences."""
    score = cfg(prior, Sentence(prior, "a cone"), Sentence(prior, ""), 100.0)
    sds = SDS(score, Annealed((0.02, 0.98), (0.02, 0.98)))
    return lambda x, shot, step: sds(prior.encode(x), shot, step)


def incumbent(model: str, device: str, *, decodes: bool) -> Callable[[Tensor, Shot, Step], Tensor]:
    """Our re-creation of threestudio's step; see above."""
    dtype = torch.float16 if device.startswith("cuda") else torch.float32
    unet = nn.Module.to(network(model), device, dtype).requires_grad_(False).eval()
    vae: Any = nn.Module.to(autoencoder(model), device, dtype).requires_grad_(False).eval()
    scale, side = float(vae.config.scaling_factor), int(unet.config["sample_size"])
    size = side * 2 ** (len(vae.config.block_out_channels) - 1)
    alphas = scaled_linear(0.00085, 0.012, 1000).alpha
    tokens = torch.randn(2, 77, unet.config["cross_attention_dim"], device=device, dtype=dtype)
    more = {}
    if model == "sdxl":
        ids = torch.tensor([[size, size, 0, 0, size, size]] * 2, device=device, dtype=dtype)
        more = {"text_embeds": torch.randn(2, 1280, device=device, dtype=dtype), "time_ids": ids}

    def step(x: Tensor, shot: Shot, _: Step) -> Tensor:
        images = F.interpolate(x.permute(0, 3, 1, 2), (size, size), mode="bilinear") * 2 - 1
        latents = vae.encode(images.to(dtype)).latent_dist.sample().float() * scale
        t = torch.randint(20, 981, (1,), device=device)
        alpha = alphas(t.cpu() / 999.0).to(device)[:, None, None, None]
        sigma = (1 - alpha**2).sqrt()
        with torch.no_grad():
            noise = torch.randn_like(latents)
            noisy = alpha * latents + sigma * noise
            said = unet(noisy.to(dtype).repeat(2, 1, 1, 1), t.repeat(2), tokens,
                        added_cond_kwargs=more, return_dict=False)[0].float()  # fmt: skip
        y, null = said.chunk(2)
        guided = y + 100.0 * (y - null)
        if decodes:
            clean = (noisy - sigma * guided) / alpha
            _ = vae.decode((clean / scale).to(dtype)).sample
        target = (latents - sigma**2 * (guided - noise)).detach()
        return 0.5 * F.mse_loss(latents, target, reduction="sum")

    return step


def measure(once: Callable[[], None], device: str, repeats: int) -> tuple[float, float]:
    """The median in milliseconds after two to warm up, and the most GiB that were held."""
    cuda, times = device.startswith("cuda"), list[float]()
    if cuda:
        torch.cuda.reset_peak_memory_stats(device)
    for _ in range(2 + repeats):
        start = time.perf_counter()
        once()
        if cuda:
            torch.cuda.synchronize(device)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[2:]), torch.cuda.max_memory_allocated(
        device
    ) / 2**30 if cuda else 0.0


def steps(
    guidance: Callable[[Tensor, Shot, Step], Tensor], pixels: int, device: str, *, field: bool
) -> Callable[[], None]:
    """A whole step with a field, or the guidance's alone with a plain picture."""
    cameras = turntable(1, offset=30.0, size=pixels)
    there = (cameras.world_to_camera.to(device), cameras.K.to(device))
    shot = Shot(Cameras(*there, cameras.height, cameras.width))
    rng = torch.Generator().manual_seed(0)
    scene = Field().to(device)
    picture = nn.Parameter(torch.rand(1, pixels, pixels, 3, device=device))
    parameters = list(scene.parameters()) if field else [picture]
    optimizer = torch.optim.Adam(parameters, lr=0.01)

    def once() -> None:
        x = scene.render(shot).color if field else picture
        loss = guidance(x, shot, Step(0, 100, rng))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return once


def rows(model: str, pixels: Sequence[int], device: str, repeats: int) -> list[Row]:
    """Every measurement of one model; what is measured is alone in memory."""
    found: list[Row] = []
    kinds: dict[str, Callable[[], Callable[[Tensor, Shot, Step], Tensor]]] = {
        "ours": lambda: ours(prior(model, device)),
    }
    if model != "sd3":
        kinds["incumbent"] = lambda: incumbent(model, device, decodes=True)
        kinds["incumbent, no decoding"] = lambda: incumbent(model, device, decodes=False)
    for what, make in kinds.items():
        guidance = make()
        for side in pixels:
            for name, field in ((what, True), (f"{what}: the prior alone", False)):
                once = steps(guidance, side, device, field=field)
                found.append(Row(model, name, side, *measure(once, device, repeats)))
        del guidance, once
    return found


def table(found: Sequence[Row]) -> str:
    """In Markdown, with the prior's share of a step."""
    lines = [
        "| model | step | pixels | ms | of it the prior | peak GiB |",
        "|---|---|---|---|---|---|",
    ]
    alone = {(r.model, r.what.partition(":")[0], r.pixels): r for r in found if ":" in r.what}
    for row in found:
        if ":" not in row.what:
            share = alone[row.model, row.what, row.pixels].milliseconds / row.milliseconds
            peak = f"{row.gib:.2f}" if row.gib else "-"
            lines.append(
                f"| {row.model} | {row.what} | {row.pixels} | {row.milliseconds:.0f} | {share:.0%} "
                f"| {peak} |"
            )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs/priors"))
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS[1:]))
    parser.add_argument("--pixels", nargs="+", type=int, default=[64, 256, 512])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--repeats", type=int, default=10)
    asked = parser.parse_args(arguments)
    device = device_named(asked.device)
    card = torch.cuda.get_device_name(device) if device.startswith("cuda") else "CPU"
    found: list[Row] = []
    asked.out.mkdir(parents=True, exist_ok=True)
    for model in asked.models:
        found += rows(model, asked.pixels, device, asked.repeats)
        said = {"device": card, "torch": torch.__version__, "rows": [asdict(r) for r in found]}
        (asked.out / "priors.json").write_text(json.dumps(said, indent=2) + "\n")
        (asked.out / "priors.md").write_text(f"{card}, torch {torch.__version__}\n\n{table(found)}")
    print((asked.out / "priors.md").read_text())


if __name__ == "__main__":
    main()
