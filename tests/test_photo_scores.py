"""evaluate/photos.py: photographs are compared with what the scene shows in front of the same."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_reconstruct import CAPTION, some

from dreamlift.cli import main
from dreamlift.evaluate import photos
from dreamlift.recipes.reconstruct import Reconstruct


@pytest.mark.seconds
@pytest.mark.parametrize("scene", ["field", "gaussians"])
def test_photographs_on_black_are_scored_and_shown_on_black(
    scene: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photos, "FRAMES", 2)
    toys, run = tmp_path / "toys", tmp_path / "run"
    words = ["--views", "14", "--size", "40", "--outputs", "images"]
    assert main(["data", str(toys), "--captions", CAPTION, *words]) == 0
    for photo in (toys / "000000/images").glob("*.png"):
        with Image.open(photo) as cut:
            flat = Image.new("RGBA", cut.size, "black")
            flat.alpha_composite(cut.convert("RGBA"))
        flat.convert("RGB").save(photo)
    words = ["--background", "black", "--scene", scene, "--steps", "100", "--hold-out", "7"]
    grid = ["--resolution", "65", "--rays", "1024"] if scene == "field" else ["--gaussians", "2000"]
    assert main(["reconstruct", str(toys / "000000"), "--out", str(run), *words, *grid]) == 0
    report = json.loads((run / "report.json").read_text())
    assert report["psnr"] > 12 and report["learned_from"]["psnr"] > 12  # on white: 1 dB
    with Image.open(run / "previews/latest.png") as pair:
        assert np.asarray(pair.convert("RGB"))[:4].mean() < 64  # background, beside the photograph


def test_masked_photographs_are_scored_as_far_as_they_are_known() -> None:
    """Thin masks leave none of SSIM's windows whole, and some nothing at all."""
    posed = some()
    posed.known[:] = 0
    posed.known[1:, 4:12] = 1
    made = Reconstruct(resolution=65).start(posed)
    rows, seen = photos.scores(posed, made)
    assert [row["ssim"] for row in rows] == [None] * len(rows)
    assert rows[0]["psnr"] is None and all(row["psnr"] > 0 for row in rows[1:])
    assert photos.mean(rows, "ssim") is None and photos.mean(rows[1:], "psnr") is not None
    assert bool(torch.isfinite(photos.sheet(posed, seen, made)).all())
