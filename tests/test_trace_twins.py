"""The compiled tracer against its specification in torch."""

import inspect
from pathlib import Path

import pytest
import torch
import warp as wp
from torch import Tensor

from dreamlift.cameras import Cameras, orbit
from dreamlift.geometry.primitives import (
    Program,
    Solid,
    ball,
    box,
    cone,
    cylinder,
    distance,
    ellipsoid,
    pack,
    pyramid,
    rod,
    torus,
)
from dreamlift.render import trace_warp as compiled
from dreamlift.render.trace import Traced, trace_torch
from dreamlift.render.trace_warp import trace_warp

SNOWMAN = [
    [ball(0.4).at(0, 0, -0.4), ball(0.3).at(0, 0, 0.15).melted(0.1), ball(0.2).at(0, 0, 0.55)],
    [cone(0.1, 0.04, 0).turned("y", 90).at(0.28, 0, 0.54)],
    [rod((0, 0.25, 0.2), (0.1, 0.7, 0.5), 0.04), rod((0, -0.25, 0.2), (0, -0.7, 0.4), 0.04, 0.02)],
    [cylinder(0.15, 0.15).at(0, 0, 0.85), cylinder(0.02, 0.25, 0.01).at(0, 0, 0.72)],
]
MUG = [
    [
        cylinder(0.4, 0.4, 0.02),
        cylinder(0.4, 0.33).at(0, 0, 0.08).cutting(),
        torus(0.25, 0.06).turned("x", 90).at(0, 0.45, 0).melted(0.03),
    ],
    [box(0.5, 0.5, 0.2).at(0, 0, -0.8), ball(0.6).at(0.1, 0, -0.8).keeping().melted(0.05)],
]
ODD = [
    [ellipsoid(0.6, 0.15, 0.3).turned("z", 30).at(0, 0, -0.6)],
    [pyramid(0.3, 0.3).stretched(1, 2, 1).turned("x", 20).at(0.2, 0, 0.4)],
    [torus(0.5, 0.08).stretched(1.5, 1, 1).at(0, 0, -0.1)],
    [ball(0.1).keeping().at(0.9, 0.9, 0)],  # keeps nothing of nothing
    [box(0.2, 0.2, 0.2).at(0, -0.7, 0.2), ball(0.1).at(0, 0.8, 0.6).keeping()],
]

BRIDGE = [[ball(0.3).at(0, -0.38, 0), ball(0.3).at(0, 0.38, 0.1).melted(0.8)]]


def views(size: int = 48) -> Cameras:
    azimuth = torch.tensor([13.0, 95.0, 200.0, 301.0])
    return orbit(azimuth, torch.tensor([25.0, 78.0, -8.0, 0.0]), size=size)


def shares(a: Traced, b: Traced) -> dict[str, float]:
    """The shares of pixels on which two traces differ, by more than what a rounding explains."""
    covered = (a.coverage > 0) & (b.coverage > 0)
    full = (a.coverage == 1) & (b.coverage == 1)

    def share(different: Tensor, among: Tensor) -> float:
        return different[among].float().mean().item()

    return {
        "coverage": share((a.coverage - b.coverage).abs() > 1e-3, covered | True),
        "depth": share((a.depth - b.depth).abs() > 1e-3, full),
        "normal": share((a.normal - b.normal).abs().amax(-1) > 1e-2, full),
        "part": share(a.part != b.part, covered),
    }


@pytest.mark.seconds
@pytest.mark.parametrize(
    "parts", [SNOWMAN, MUG, ODD, BRIDGE], ids=["snowman", "mug", "odd", "bridge"]
)
def test_the_twins_see_the_same(parts: list[list[Solid]]) -> None:
    """But for a few pixels at creases and silhouettes, where other samples find another point."""
    program, cameras = pack([parts]), views()
    scene = torch.zeros(len(cameras), dtype=torch.long)
    torch_, warp_ = trace_torch(program, scene, cameras), trace_warp(program, scene, cameras)
    differ = shares(torch_, warp_)
    assert differ["coverage"] < 0.01
    assert differ["depth"] < 0.01
    assert differ["normal"] < 0.02
    assert differ["part"] < 0.005
    assert (torch_.coverage - warp_.coverage).abs().mean() < 2e-4
    assert 0.03 < (warp_.coverage > 0).float().mean() < 0.6


def test_the_twins_agree_on_a_ball_everywhere() -> None:
    program, cameras = pack([[[ball(0.5).at(0.2, 0.1, 0)]]]), views()
    scene = torch.zeros(len(cameras), dtype=torch.long)
    torch_, warp_ = trace_torch(program, scene, cameras), trace_warp(program, scene, cameras)
    torch.testing.assert_close(torch_.coverage, warp_.coverage, atol=1e-3, rtol=0)
    torch.testing.assert_close(torch_.depth, warp_.depth, atol=1e-3, rtol=0)
    torch.testing.assert_close(torch_.normal, warp_.normal, atol=5e-3, rtol=0)


def test_the_twins_have_one_signature() -> None:
    assert str(inspect.signature(trace_torch)) == str(inspect.signature(trace_warp))


def test_threads_change_nothing() -> None:
    program: Program = pack([SNOWMAN, MUG])
    scene = torch.tensor([0, 1, 1, 0])
    one = trace_warp(program, scene, views())
    torch.set_num_threads(3)
    try:
        three = trace_warp(program, scene, views())
    finally:
        torch.set_num_threads(1)
    for name in ("part", "normal", "depth", "coverage"):
        assert torch.equal(getattr(one, name), getattr(three, name))


def test_boxes_hold_their_solids() -> None:
    """What lies outside a solid's box is outside the solid: or the ray would skip it."""
    solids = [ellipsoid(0.6, 0.2, 0.3), box(0.3, 0.4, 0.2, 0.05), cone(0.3, 0.2, 0.4)]
    solids += [torus(0.4, 0.1), pyramid(0.4, 0.3)]
    program = pack([[[solid]] for solid in solids])
    half = compiled.boxes(program)[:, 0]
    points = 0.8 * torch.randn(5, 4000, 3, generator=torch.Generator().manual_seed(0))
    outside = (points.abs() > half[:, None]).any(-1)
    d, _ = distance(program, points)
    assert torch.all(d[outside] > -1e-6)
    for i in range(5):  # and no looser than needed: near each face there is some of the solid
        inside = points[i][d[i] < 0].abs().amax(0)
        assert torch.all(inside > 0.7 * half[i])


@pytest.mark.seconds
def test_the_kernel_compiles_for_cuda_without_a_gpu(tmp_path: Path) -> None:
    files = wp.compile_aot_module(compiled, arch=[80, 90], use_ptx=True, module_dir=str(tmp_path))
    assert len(files) == 2
    assert all("march" in file.read_text() for file in files)


@pytest.mark.gpu
def test_a_gpu_sees_what_the_cpu_sees() -> None:
    program, cameras = pack([SNOWMAN]), views()
    scene = torch.zeros(len(cameras), dtype=torch.long)
    moved = Cameras(cameras.world_to_camera.cuda(), cameras.K.cuda(), cameras.height, cameras.width)
    here = trace_warp(program, scene, cameras)
    for tracer in (trace_torch, trace_warp):
        there = tracer(program.to("cuda"), scene.cuda(), moved)
        fields = (getattr(there, name).cpu() for name in ("part", "normal", "depth", "coverage"))
        differ = shares(here, Traced(*fields))
        assert max(differ.values()) < 0.02
