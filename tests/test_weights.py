"""What ships inside: its size, its licence, how long it takes to load, and that it is all there."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WEIGHTS = ROOT / "dreamlift" / "weights"
FILES = sorted(WEIGHTS.rglob("*.safetensors"))
LOAD = """
import socket, time
from pathlib import Path

class Refused(socket.socket):
    def __init__(self, *_, **__):
        raise AssertionError("a socket was opened")

socket.socket = Refused
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from dreamlift.evaluate.judging import WHOLE, shipped_judge
from dreamlift.prior import Prompt
from dreamlift.learn.reader import embedded_reader
from dreamlift.priors.embedded import WEIGHTS, embedded

start = time.process_time()
prior, whole = embedded(), embedded(folder=WEIGHTS.with_name("whole"))
judge, other = shipped_judge(), shipped_judge(WHOLE)
reader = embedded_reader()
seconds = time.process_time() - start
prior.embed(Prompt("a red cube"))
reader.clip.embed_text(["a red cube"])
judge.embed_image(torch.rand(1, 64, 64, 3))
print(seconds)
"""


def test_no_file_is_over_40_mb_and_all_together_are_under_80() -> None:
    sizes = [file.stat().st_size for file in FILES]
    assert len(FILES) >= 4 and max(sizes) < 40e6 and sum(sizes) < 80e6


def test_every_model_has_a_card_that_says_its_licence() -> None:
    folders = [folder for folder in WEIGHTS.iterdir() if any(folder.rglob("*.safetensors"))]
    assert len(folders) >= 3
    for folder in folders:
        card = (folder / "README.md").read_text()
        assert "Licence" in card and "Command" in card, folder.name


@pytest.mark.weights
@pytest.mark.seconds
def test_everything_loads_in_two_seconds_without_a_network() -> None:
    """The libraries' own imports, which take longer, are not counted."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", LOAD], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout) < 2.0
