"""Priors for tests of whole runs: one that only looks like one, an untrained one, the oracle."""

import json
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import torch

from dreamlift.cameras import orbit
from dreamlift.convert.finish import Finish
from dreamlift.grammar import parse
from dreamlift.io.images import save_png
from dreamlift.prior import Prior
from dreamlift.priors.oracle import Oracle
from dreamlift.priors.source import Source
from dreamlift.priors.text import TextTower, TowerShape
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.scene import Shot
from dreamlift.toybox.scenes import toy_scene

SCHEDULER = {
    "_class_name": "Cosine",
    "num_train_timesteps": 1000,
    "prediction_type": "v_prediction",
}
VOCABULARY = {
    "nouns": ["cube", "ball", "cone", "frog", "stilts"],
    "relations": ["on top of", "on stilts"],
    "patterns": ["rainbow"],
}
FINISH = Finish(resolution=32, faces=600, texture=64, frames=2, size=16)
"""An object brought out in a tenth of a second."""


def numbers(prompt: str = "a cone", seed: int = 0, steps: int = 8) -> DreamFusion:
    """A run of a tenth of a second, of a blob that is an object from the start."""
    return DreamFusion(prompt, seed, steps=steps, size=16, samples=24, init="blob")


def save_words(folder: Path) -> Path:
    """All that is looked at before a network is loaded; the networks' files are empty."""
    for name, content in (
        ("scheduler/scheduler_config.json", json.dumps(SCHEDULER)),
        ("vocabulary.json", json.dumps(VOCABULARY)),
        ("unet/config.json", ""),
        ("tower/config.json", ""),
        ("tower/model.safetensors", ""),
    ):
        file = folder / name
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
    return folder


def save(folder: Path) -> Path:
    """An untrained prior in the embedded one's layout; through diffusers, for `weights` tests."""
    from dreamlift.learn.denoiser import make_unet

    torch.manual_seed(0)
    make_unet((32, 32, 32)).save_pretrained(folder / "unet")
    TextTower(TowerShape(layers=1)).save(folder / "tower")
    return save_words(folder)


def load_oracle(source: Source, device: str) -> Prior:
    """In place of `Source.load`: an oracle that has a cone in mind, whatever it is told."""
    return Oracle(toy_scene(parse("a yellow cone"), 0).render, std=0.1)


@cache
def picture(prompt: str = "a yellow cone", azimuth: float = 0.0, elevation: float = 15.0) -> Path:
    """A picture file of a true object, cut out, seen from somewhere; 256 pixels."""
    cameras = orbit(torch.tensor([azimuth]), torch.tensor([elevation]), size=256)
    with torch.no_grad():
        view = toy_scene(parse(prompt), 0).render(Shot(cameras))
    color = view.color / view.alpha.clamp_min(1e-6)
    file = Path(mkdtemp(prefix="dreamlift-picture-")) / "cone.png"
    save_png(file, torch.cat([color, view.alpha], -1)[0])
    return file
