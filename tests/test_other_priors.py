"""Whole runs with other people's models: a tiny pipeline on the disk, and the command line."""

import socket
from pathlib import Path
from typing import Any

import pytest
import tiny_others
import tiny_pipelines
import torch

from dreamlift.cli import main
from dreamlift.export import FILES
from dreamlift.io.images import save_png
from dreamlift.priors.latent import Latent
from dreamlift.priors.source import source_of
from dreamlift.scenes.mesh import load_mesh

pytestmark = pytest.mark.weights

QUICK = (
    "--steps 6 --size 16 --samples 24 --init blob --device cpu --finish.resolution 32 "
    "--finish.faces 600 --finish.texture 64 --finish.frames 2 --finish.size 16"
).split()


def no_socket(*_: Any) -> None:
    raise AssertionError("a socket was opened")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(socket.socket, "connect", no_socket)
    return tmp_path


def test_a_folder_of_a_pipeline_runs_the_recipe_to_a_glb(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_pipelines.stable_diffusion(here / "tiny-sd")
    prompt = "a DSLR photo of a delicious hamburger"
    assert main(["generate", prompt, "--prior", "./tiny-sd", "--out", "run", *QUICK]) == 0
    assert capsys.readouterr().out == "run\n"
    assert all((here / "run" / name).exists() for name in FILES)
    assert len(load_mesh(here / "run" / "asset.glb").faces) > 50
    source = source_of("tiny-sd", "cpu")
    assert isinstance(source.load("cpu"), Latent)
    tiny_pipelines.edit(here / "tiny-sd" / "vae" / "config.json", scaling_factor=0.5)
    assert main(["generate", prompt, "--prior", "tiny-sd", "--out", "run", *QUICK]) == 2


def test_a_picture_is_changed_as_a_sentence_says(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_others.pix2pix(here / "pix2pix")
    for name, side in (("photo", 16), ("wide", 20)):
        save_png(here / f"{name}.png", torch.rand(16, side, 4))
    run = ["image", "make it red", "--steps", "4", "--device", "cpu", "--prior"]
    assert main([*run, "pix2pix+photo.png", "--out", "a.png"]) == 0
    assert (here / "a.png").is_file()
    for prior, said in (
        ("pix2pix", "it is told a picture beside the words. Add one to its name"),
        ("pix2pix+photo.png+wide.png", "it is told one picture, not 2."),
        ("pix2pix+wide.png", "wide.png is 20x16 pixels; this prior wants a square picture."),
        ("pix2pix+none.png", "none.png is no .safetensors file. After + name a LoRA"),
    ):
        capsys.readouterr()
        assert main([*run, prior, "--out", "b.png"]) == 2
        assert said in " ".join(capsys.readouterr().err.split())


def test_models_that_are_told_what_a_scene_shows_run_a_recipe(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_others.depth(here / "depth")
    tiny_pipelines.stable_diffusion(here / "sd")
    tiny_others.control().save_pretrained(here / "sd15_normalbae")
    few = ["3" if word == "6" else word for word in QUICK]
    for i, prior in enumerate(("depth", "sd+sd15_normalbae")):
        assert main(["generate", "a frog", "--prior", prior, "--out", f"run{i}", *few]) == 0
    prior = source_of("sd+sd15_normalbae", "cpu")
    (here / "sd15_normalbae" / ".cache" / "huggingface").mkdir(parents=True)
    assert source_of("sd+sd15_normalbae", "cpu").sha256 == prior.sha256, "as a download leaves it"
    tiny_pipelines.edit(here / "sd15_normalbae" / "config.json", control="depth")
    assert source_of("sd+sd15_normalbae", "cpu").sha256 != prior.sha256
    capsys.readouterr()
    for name, said in (
        ("depth", "This prior is told what the scene shows, and here is none"),
        ("depth+sd15_normalbae", "cannot be added: one ControlNet can, to Stable Diffusion"),
    ):
        run = ["image", "a frog", "--steps", "2", "--device", "cpu", "--prior", name]
        assert main([*run, "--out", "a.png"]) == 2
        assert said in " ".join(capsys.readouterr().err.split())
