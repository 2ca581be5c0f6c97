"""The compiled rasteriser against its specification: values, gradients, bits, the CUDA build."""

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import warp as wp
from conftest import rng
from test_raster import SQUARE, flat, lumpy, views
from torch import Tensor

from dreamlift.cameras import Cameras
from dreamlift.geometry.hinges import hinges
from dreamlift.render import raster_warp, silhouette_warp
from dreamlift.render.raster import (
    Raster,
    image_points,
    interpolate,
    interpolate_torch,
    rasterise,
    rasterise_torch,
)
from dreamlift.render.raster_warp import interpolate_warp, rasterise_warp
from dreamlift.render.silhouette import Crossings, antialias, crossings, crossings_torch
from dreamlift.render.silhouette_warp import crossings_warp

H, W = 63, 95
Drawn = tuple[Raster, Crossings, Tensor, list[Tensor]]


def single(cameras: Cameras) -> Cameras:
    return Cameras(cameras.world_to_camera.float(), cameras.K.float(), H, W)


def draw(how: str, device: str = "cpu", wall: bool = True) -> Drawn:
    """Coverage, crossings, picture and gradients (vertices, attributes) of a lumpy ball before a
    wall that reaches behind the camera."""
    vertices, faces = lumpy()
    if wall:
        more = torch.tensor([[-9.0, -40, -0.8], [30.0, 0.0, -0.5], [-10.0, 20.0, -0.6]])
        vertices = torch.cat([vertices, more.double()])
        faces = torch.cat([faces, torch.tensor([[0, 1, 2]]) + len(vertices) - 3])
    vertices = vertices.float().to(device).requires_grad_()
    faces = faces.to(device)
    paint = torch.rand(len(vertices), 5, generator=rng(2)).to(device).requires_grad_()
    views_ = single(views(H, W))
    cameras = Cameras(views_.world_to_camera.to(device), views_.K.to(device), H, W)
    points = image_points(vertices, cameras)
    cover, look, pass_ = {
        "torch": (rasterise_torch, interpolate_torch, crossings_torch),
        "warp": (rasterise_warp, interpolate_warp, crossings_warp),
    }[how]
    raster = cover(points, faces, H, W)
    found = pass_(points, hinges(faces), raster)
    image = torch.cat([look(paint, faces, raster), raster.depth[..., None]], -1)
    image = antialias(image, points, found)
    weight = torch.rand(image.shape, generator=rng(4)).to(device)
    gradients = torch.autograd.grad((image * weight).sum(), [vertices, paint])
    return raster, found, image.detach(), list(gradients)


def check(reference: Drawn, fast: Drawn) -> None:
    """All but one pixel in a thousand the same; those the same to rounding."""
    (one, crossed, image, slopes), (other, passed, picture, slants) = reference, fast
    same = one.face == other.face.cpu()
    assert float(same.float().mean()) >= 0.999
    assert 0.3 < float((one.face >= 0).float().mean()) < 0.95
    apart = (one.barycentric - other.barycentric.cpu()).detach()[same].abs()
    assert float(apart.quantile(0.999)) < 1e-4
    pairs = [set(zip(c.near.tolist(), c.far.tolist(), strict=True)) for c in (crossed, passed)]
    assert len(pairs[0] ^ pairs[1]) <= 0.01 * len(pairs[0]) and len(pairs[0]) > 200
    off = (image - picture.cpu()).abs().amax(-1)
    assert float((off > 1e-4).float().mean()) < 2e-3
    for ours, theirs in zip(slopes, slants, strict=True):
        assert float((ours - theirs.cpu()).norm()) < 1e-3 * float(ours.norm())


def test_the_twins_have_one_signature() -> None:
    for slow, quick in (
        (rasterise_torch, rasterise_warp),
        (interpolate_torch, interpolate_warp),
        (crossings_torch, crossings_warp),
    ):
        assert str(inspect.signature(slow)) == str(inspect.signature(quick))


@pytest.fixture
def three_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.seconds
def test_the_twins_draw_the_same() -> None:
    check(draw("torch"), draw("warp"))


@pytest.mark.seconds
@pytest.mark.usefixtures("three_threads")
def test_three_threads_draw_the_same_and_the_same_bits_every_time() -> None:
    runs = [draw("warp") for _ in range(3)]
    for raster, found, image, gradients in runs[1:]:
        assert torch.equal(raster.face, runs[0][0].face)
        assert torch.equal(found.near, runs[0][1].near)
        assert torch.equal(image, runs[0][2])
        assert all(torch.equal(a, b) for a, b in zip(gradients, runs[0][3], strict=True))
    torch.set_num_threads(1)
    one = draw("warp")
    assert torch.equal(one[2], runs[0][2])
    for a, b in zip(one[3], runs[0][3], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_corners_on_pixel_centres_belong_to_one_face_in_both() -> None:
    points = flat([[2.5, 1.5], [9.5, 1.5], [9.5, 8.5], [2.5, 8.5]], 2.0).float()
    slow, quick = (f(points, SQUARE, 10, 12) for f in (rasterise_torch, rasterise_warp))
    assert torch.equal(slow.face, quick.face)
    assert int((quick.face >= 0).sum()) == 49


def test_single_precision_goes_to_warp_and_double_to_torch() -> None:
    for dtype, name in ((torch.float32, "_RasteriseBackward"), (torch.float64, "IndexPut")):
        points = flat([[1.0, 1.0], [9.0, 2.0], [3.0, 8.0]]).to(dtype).requires_grad_()
        faces = torch.tensor([[0, 1, 2]])
        raster = rasterise(points, faces, 10, 12)
        assert name in type(raster.barycentric.grad_fn).__name__
        assert interpolate(points[0], faces, raster).dtype == dtype
        assert len(crossings(points, hinges(faces), raster).near) > 10


@pytest.mark.seconds
def test_the_kernels_compile_for_cuda(tmp_path: Path) -> None:
    for twin, names in (
        (raster_warp, ("cover", "settle", "unsettle", "blend", "unblend")),
        (silhouette_warp, ("cross",)),
    ):
        wp.compile_aot_module(twin, arch=[80, 90], use_ptx=True, module_dir=tmp_path)
        built = [path.read_text() for path in tmp_path.rglob("*.ptx")]
        assert len([ptx for ptx in built if all(name in ptx for name in names)]) >= 2


@pytest.mark.gpu
def test_a_gpu_draws_the_same() -> None:
    check(draw("warp"), draw("warp", "cuda"))
