"""G-buffers against closed forms, a finer trace, and the scenes that once went wrong."""

import importlib.util
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from dreamlift.cameras import Cameras, orbit
from dreamlift.geometry.primitives import Program, Solid, ball, box, cylinder, ellipsoid, pack, rod
from dreamlift.render import twins
from dreamlift.render.trace import Traced, trace, trace_torch
from dreamlift.render.trace_warp import trace_warp

Tracer = Callable[[Program, Tensor, Cameras], Traced]
both = pytest.mark.parametrize("tracer", [trace_torch, trace_warp])

CENTRE, RADIUS = (0.25, -0.1, 0.15), 0.5
FIRST = torch.tensor([0])


def cameras(azimuth: float, elevation: float, *, size: int = 64, distance: float = 3.0) -> Cameras:
    angles = torch.tensor([float(azimuth)]), torch.tensor([float(elevation)])
    return orbit(*angles, distance=distance, size=size)


def scene(*parts: list[Solid]) -> Program:
    return pack([parts])


def a_ball() -> Program:
    return scene([ball(RADIUS).at(*CENTRE)])


def averaged(tracer: Tracer, program: Program, view: Cameras, times: int = 8) -> Tensor:
    """Coverage by the share of hits among times x times finer rays."""
    fine = view.resized(view.height * times, view.width * times)
    hits = (tracer(program, FIRST, fine).coverage >= 0.5).float()
    return F.avg_pool2d(hits[:, None], times)[:, 0]


@both
def test_a_balls_silhouette_has_the_area_of_its_cone(tracer: Tracer) -> None:
    view = cameras(30, 20)
    wide = Cameras(view.world_to_camera, view.K, 60, 64)  # not square
    seen = tracer(a_ball(), FIRST, wide)
    R, t = view.world_to_camera[0, :3, :3], view.world_to_camera[0, :3, 3]
    local = R @ torch.tensor(CENTRE) + t
    away = local.norm().item()
    cos2, sin2 = (local[2].item() / away) ** 2, (RADIUS / away) ** 2
    f = view.K[0, 0, 0].item()
    # A cone of half angle a around an axis at angle c off the optical one cuts an ellipse.
    long = f * math.sqrt(sin2 * (1 - sin2)) / (cos2 - sin2)
    short = f * math.sqrt(sin2) / math.sqrt(cos2 - sin2)
    assert seen.coverage.shape == (1, 60, 64)
    assert seen.coverage.sum().item() == pytest.approx(math.pi * long * short, rel=2e-3)


@both
def test_depth_and_normal_of_a_ball_in_closed_form(tracer: Tracer) -> None:
    view = cameras(30, 20)
    seen = tracer(a_ball(), FIRST, view)
    origin, direction = view.rays()
    offset = origin - torch.tensor(CENTRE)
    b = (offset * direction).sum(-1)
    inside = b**2 - offset.square().sum(-1) + RADIUS**2
    hit = inside > 0
    depth = -b - inside.clamp_min(0).sqrt()
    assert torch.equal(hit, seen.coverage >= 0.5)
    assert (seen.depth - depth)[hit].abs().max() < 1e-3
    assert (seen.depth - depth)[inside > 0.01].abs().max() < 2e-4
    radial = (offset + depth[..., None] * direction) / RADIUS
    assert (seen.normal - radial)[inside > 0.01].abs().max() < 3e-3
    covered = seen.coverage > 0
    torch.testing.assert_close(seen.normal[covered].norm(dim=-1), torch.ones(int(covered.sum())))


@both
def test_from_the_front_left_is_right_and_up_is_up(tracer: Tracer) -> None:
    program = scene([box(0.2, 0.3, 0.1).at(0, 0.5, 0)], [box(0.2, 0.1, 0.15).at(0, 0, 0.7)])
    seen = tracer(program, FIRST, cameras(0, 0, size=50))
    rows, columns = torch.meshgrid(torch.arange(50), torch.arange(50), indexing="ij")
    left, top = (((seen.part[0] == i) & (seen.coverage[0] > 0.5)) for i in range(2))
    assert columns[left].min() > 25
    assert abs(rows[left].float().mean() - 24.5) < 0.1
    assert rows[top].max() < 25
    assert abs(columns[top].float().mean() - 24.5) < 0.1
    assert (seen.normal[0][left][:, 0] > 0.99).float().mean() > 0.9  # its front faces +x


@both
def test_the_nearer_part_is_seen_and_each_camera_looks_at_its_scene(tracer: Tracer) -> None:
    two = [[ball(0.3)], [ball(0.2).at(0.6, 0.05, 0)], [ball(0.2).at(-0.6, 0, 0.02)]]
    program = pack([two, [[ball(0.5)]]])
    view = orbit(torch.tensor([0.0, 180.0, 0.0]), torch.tensor([0.0, 0.0, 0.0]), size=33)
    seen = tracer(program, torch.tensor([0, 0, 1]), view)
    assert seen.part[:, 16, 16].tolist() == [1, 2, 0]
    assert seen.coverage[2].sum() > 2 * seen.coverage[0].sum()
    torch.testing.assert_close(
        seen.depth[:, 16, 16], torch.tensor([3.206, 3.2, 3.5]), atol=2e-3, rtol=0
    )


@both
def test_empty_pixels_and_empty_scenes_are_nought(tracer: Tracer) -> None:
    seen = tracer(pack([[[ball(0.3)]], []]), torch.tensor([0, 1]), orbit(*torch.zeros(2, 2)))
    empty = seen.coverage == 0
    assert empty[1].all()
    assert 0 < empty[0].float().mean() < 1
    assert not seen.part[empty].any()
    assert not seen.depth[empty].any()
    assert not seen.normal[empty].any()
    assert seen.part.dtype == torch.uint8


@both
def test_coverage_is_that_of_a_finer_trace(tracer: Tracer) -> None:
    program = scene(
        [box(0.5, 0.4, 0.05).at(0, 0, 0.2)],
        [cylinder(0.3, 0.05).at(x, y, -0.15) for x in (-0.4, 0.4) for y in (-0.3, 0.3)],
        [ellipsoid(0.3, 0.1, 0.2).stretched(1, 1, 1.5).at(0.1, 0, 0.5)],
        [cylinder(0.2, 0.2).at(0, 0.6, -0.3), cylinder(0.2, 0.15).at(0, 0.6, -0.2).cutting()],
    )
    view = cameras(35, 25, size=48)
    coverage = tracer(program, FIRST, view).coverage
    truth = averaged(trace_warp, program, view)
    edge = ((coverage > 0) & (coverage < 1)) | ((truth > 0) & (truth < 1))
    error = (coverage - truth)[edge]
    assert 0.03 < edge.float().mean() < 0.12
    assert error.abs().mean() < 0.05
    assert error.mean().abs() < 0.02
    assert not torch.any(coverage[truth == 1] < 0.9)


@both
def test_a_rod_of_one_pixel_covers_its_area(tracer: Tracer) -> None:
    view = cameras(90, 0, size=64)
    pixel = 1.25 * 2 / 64
    seen = tracer(scene([rod((-0.6, 0, -0.3), (0.5, 0, 0.6), pixel / 2)]), FIRST, view)
    truth = averaged(trace_warp, scene([rod((-0.6, 0, -0.3), (0.5, 0, 0.6), pixel / 2)]), view)
    assert seen.coverage.sum().item() == pytest.approx(truth.sum().item(), rel=0.05)


@both
def test_solids_that_touch_show_no_seam(tracer: Tracer) -> None:
    program = scene([box(0.3, 0.4, 0.3).at(0, 0, -0.3)], [box(0.3, 0.3, 0.3).at(0, 0, 0.3)])
    seen = tracer(program, FIRST, cameras(0, 0, size=64))  # the seam lies in the rays' plane
    assert torch.all(seen.coverage[0, 22:42, 26:38] == 1)


@both
def test_thin_walls_seen_face_on_are_opaque(tracer: Tracer) -> None:
    seen = tracer(scene([box(0.004, 0.5, 0.4)]), FIRST, cameras(10, 5, size=64))
    assert torch.all(seen.coverage[0, 28:36, 28:36] == 1)


@pytest.mark.seconds
@both
def test_rays_that_graze_a_wall_get_past_it(tracer: Tracer) -> None:
    """A cylinder on a plate from above: its wall runs almost along the rays."""
    program = scene([cylinder(0.5, 0.2).at(0, 0, 0.1)], [cylinder(0.02, 0.9).at(0, 0, -0.42)])
    angles = torch.linspace(76, 84, 5)
    view = orbit(torch.arange(5) * 23.0, angles, size=96)
    coverage = tracer(program, torch.zeros(5, dtype=torch.long), view).coverage
    inside = -F.max_pool2d(-coverage[:, None], 3, 1, 1)[:, 0]
    holes = (coverage < 1) & (F.avg_pool2d(coverage[:, None], 9, 1, 4)[:, 0] > 0.97)
    assert inside.max() == 1
    assert not holes.any()


@both
def test_a_covered_miss_shows_the_surface_beside_it(tracer: Tracer) -> None:
    """The rim of a slab from above has the slab's normal, not one across the ray."""
    seen = tracer(scene([box(0.5, 0.4, 0.3)]), FIRST, cameras(20, 88, size=64))
    rim = (seen.coverage > 0) & (seen.coverage < 0.5)
    assert rim.sum() > 50
    assert (seen.normal[rim][:, 2] > 0.99).float().mean() > 0.8


@both
def test_nothing_is_drawn_outside_the_ball(tracer: Tracer) -> None:
    seen = tracer(scene([ball(0.2).at(1.9, 0, 0)]), FIRST, cameras(0, 0, distance=6.0))
    assert not seen.coverage.any()
    close = tracer(scene([ball(0.3)]), FIRST, cameras(0, 0, distance=1.0, size=33))
    assert close.depth[0, 16, 16].item() == pytest.approx(0.7, abs=1e-3)


@both
def test_slices_change_nothing(tracer: Tracer, monkeypatch: pytest.MonkeyPatch) -> None:
    program, view = a_ball(), cameras(30, 20, size=24)
    whole = tracer(program, FIRST, view)
    monkeypatch.setattr(sys.modules[tracer.__module__], "SLICE", 100)
    sliced = tracer(program, FIRST, view)
    assert torch.equal(whole.coverage, sliced.coverage)
    assert torch.equal(whole.depth, sliced.depth)


def test_cameras_and_scenes_come_in_pairs() -> None:
    with pytest.raises(ValueError, match="2 cameras came with 1 scene numbers"):
        trace(a_ball(), FIRST, orbit(*torch.zeros(2, 2)))


def test_other_dtypes_are_traced_by_torch() -> None:
    view = cameras(30, 20, size=16)
    doubled = Cameras(view.world_to_camera.double(), view.K.double(), 16, 16)
    program = a_ball()
    program = Program(
        *(getattr(program, name) for name in ("kind", "op", "part")),
        *(getattr(program, name).double() for name in ("size", "inverse", "scale", "blend")),
    )
    seen = trace(program, FIRST, doubled)
    assert seen.depth.dtype == torch.float64
    single = trace(a_ball(), FIRST, view)
    torch.testing.assert_close(seen.coverage.float(), single.coverage, atol=1e-3, rtol=0)


def test_without_warp_a_cpu_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(twins, "find_spec", lambda name: None if name == "warp" else real(name))
    twins.has_warp.cache_clear()
    try:
        with pytest.warns(UserWarning, match="pip install warp-lang"):
            first = trace(a_ball(), FIRST, cameras(30, 20, size=16))
        again = trace(a_ball(), FIRST, cameras(30, 20, size=16))  # a second warning is an error
        assert torch.equal(first.coverage, again.coverage)
    finally:
        twins.has_warp.cache_clear()


@pytest.mark.seconds
def test_the_torch_twin_needs_torch_numpy_and_jaxtyping_only() -> None:
    code = """
import sys
wanted = ("torch", "numpy", "jaxtyping")
for name in ("warp", "diffusers", "transformers", "trimesh", "skimage", "PIL", "scipy", "rich"):
    sys.modules[name] = None
import torch
from dreamlift.cameras import orbit
from dreamlift.geometry.primitives import ball, pack
from dreamlift.render.trace import trace_torch
angles = torch.zeros(1)
seen = trace_torch(pack([[[ball(0.5)]]]), torch.tensor([0]), orbit(angles, angles, size=8))
assert seen.coverage.sum() > 3, seen.coverage.sum()
"""
    root = Path(__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root, timeout=60)
