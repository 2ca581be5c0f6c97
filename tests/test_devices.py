"""Devices: what each is asked of, and what Apple's GPUs must never be given. None was at hand."""

import ast
from pathlib import Path

import pytest
import torch

from dreamlift.errors import BadInput
from dreamlift.priors.pixel import best_dtype
from dreamlift.priors.source import device_named
from dreamlift.render import hashgrid, raster, volume
from dreamlift.render.volume import Rays

REPO = Path(__file__).parents[1]
IN_STEPS = ("render", "scenes", "guidance", "priors", "distil", "recipes", "views.py", "cameras.py",
            "lights.py", "diffusion.py", "schedules.py", "fit.py", "step.py")  # fmt: skip
ON_THE_CPU = {
    "guidance/courses.py", "guidance/pds.py", "priors/folder.py", "render/environment.py",
    "schedules.py", "scenes/hashed.py",
}  # fmt: skip
"""Files of steps with double precision, each looked at: tables, made on the CPU."""


def test_mps_is_a_device_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(BadInput, match="no device 'mps' here: torch sees no Apple GPU"):
        device_named("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert device_named("mps") == "mps"
    assert best_dtype("mps") == torch.float32
    with pytest.raises(BadInput, match="Choose auto, cpu, mps, cuda or cuda:N"):
        device_named("mps:1")


def test_other_devices_are_given_the_torch_twins() -> None:
    """Warp has CPUs and CUDA only; meta stands for what is neither."""
    grid = torch.zeros(3, 3, 3, 4, device="meta")
    three, one = (torch.zeros(1, 2, *more, device="meta") for more in ((3,), ()))
    rays = Rays(three, three, one, one, torch.zeros(1, 2, dtype=torch.int32, device="meta"))
    assert volume.fastest(grid, rays) is volume.march_grid
    assert not raster.fast(torch.zeros(2, 3, device="meta"))
    assert not hashgrid.fast(torch.zeros(8, 2), torch.zeros(2, 3, device="meta"))


def test_double_precision_stays_where_it_was_looked_at() -> None:
    """MPS has none: a new use is either on the CPU, and joins the list, or a mistake."""
    found: set[str] = set()
    for path in (REPO / "dreamlift").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            torchs = isinstance(node, ast.Attribute) and ast.unparse(node) == "torch.float64"
            if torchs or (isinstance(node, ast.Attribute) and node.attr == "double"):
                found.add(path.relative_to(REPO / "dreamlift").as_posix())
    found = {name for name in found if name.startswith(IN_STEPS)}
    assert found <= ON_THE_CPU, found - ON_THE_CPU


def test_no_device_is_written_into_the_package() -> None:
    """`cuda:0` or .cuda() in a file would shut out every other device."""
    for path in (REPO / "dreamlift").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and node.value == "cuda:0":
                pytest.fail(f"{path}: cuda:0")
            call = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            assert not (call and ast.unparse(node).endswith(".cuda()")), f"{path}: .cuda()"
