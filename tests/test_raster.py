"""Rasterisation against closed forms, ray casting and finite differences of a finer picture."""

import pytest
import torch
from conftest import rng
from torch import Tensor

from dreamlift.cameras import Cameras, look_at, orbit
from dreamlift.geometry.hinges import hinges
from dreamlift.render.raster import (
    NEAR,
    Raster,
    image_points,
    interpolate_torch,
    rasterise_torch,
)
from dreamlift.render.raycast import raycast_torch
from dreamlift.render.silhouette import antialias, crossings_torch

SQUARE = torch.tensor([[0, 1, 2], [0, 2, 3]])


def lumpy(rows: int = 9, columns: int = 14) -> tuple[Tensor, Tensor]:
    """A closed ball of triangles with random radii; some of it hides some of it."""
    i, j = torch.meshgrid(torch.arange(1, rows), torch.arange(columns), indexing="ij")
    theta, phi = torch.pi * i / rows, 2 * torch.pi * j / columns
    unit = torch.stack([theta.sin() * phi.cos(), theta.sin() * phi.sin(), theta.cos()], -1)
    radius = 0.6 + 0.3 * torch.rand(rows - 1, columns, 1, generator=rng(3))
    number = (i - 1) * columns + j
    right = (i - 1) * columns + (j + 1) % columns
    a, b = number[:-1].flatten(), right[:-1].flatten()
    c, d = number[1:].flatten(), right[1:].flatten()
    top = torch.full((columns,), number.numel())
    faces = [torch.stack(t, -1) for t in ((a, c, b), (b, c, d), (top, number[0], right[0]))]
    faces.append(torch.stack([top + 1, right[-1], number[-1]], -1))
    poles = torch.tensor([[0.0, 0.0, 0.7], [0.0, 0.0, -0.75]])
    return torch.cat([(radius * unit).reshape(-1, 3), poles]).double(), torch.cat(faces)


def views(height: int = 37, width: int = 52, zoom: float = 1.0) -> Cameras:
    """Two cameras whose pixels are as high as wide."""
    there = orbit(torch.tensor([20.0, 200.0]), torch.tensor([-8.0, 61.0])).resized(height, width)
    K = there.K.double()
    K[:, 0, 0] = K[:, 1, 1] * zoom
    K[:, 1, 1] *= zoom
    return Cameras(there.world_to_camera.double(), K, height, width)


def flat(corners: list[list[float]], depth: float = 1.0) -> Tensor:
    """Points at these pixels, so many world units away."""
    xy = torch.tensor(corners, dtype=torch.float64)
    return (torch.cat([xy, torch.ones_like(xy[:, :1])], -1) * depth)[None]


def coverage(points: Tensor, faces: Tensor, height: int, width: int) -> Tensor:
    """The antialiased silhouette, 1 inside."""
    raster = rasterise_torch(points, faces, height, width)
    found = crossings_torch(points, hinges(faces), raster)
    return antialias((raster.face >= 0)[..., None].to(points), points, found)


def test_pixels_see_what_their_rays_meet() -> None:
    vertices, faces = lumpy()
    cameras = views()
    raster = rasterise_torch(image_points(vertices, cameras), faces, 37, 52)
    origins, directions = (x.reshape(-1, 3) for x in cameras.rays())
    hits = raycast_torch(origins, directions, vertices, faces)
    assert 0.2 < float((hits.face >= 0).double().mean()) < 0.8
    assert torch.equal(raster.face.flatten(), hits.face)
    torch.testing.assert_close(
        raster.barycentric.reshape(-1, 3), hits.barycentric, atol=1e-5, rtol=0
    )
    seen = hits.face >= 0
    point = origins + hits.distance[:, None] * directions
    there = interpolate_torch(vertices, faces, raster).reshape(-1, 3)
    torch.testing.assert_close(there[seen], point[seen], atol=1e-5, rtol=0)
    assert (there[~seen] == 0).all() and (raster.depth.flatten()[~seen] == 0).all()
    for i in range(2):
        depth = raster.depth[i].flatten()
        mine = seen.reshape(2, -1)[i]
        along = cameras.project(point.reshape(2, -1, 3)[i][mine])[1][i]
        torch.testing.assert_close(depth[mine], along, atol=1e-5, rtol=0)


def test_pixels_of_touching_faces_belong_to_one_of_them() -> None:
    """Corners and edges run through pixel centres; neither gaps nor doubles."""
    n = 6
    line = torch.arange(n, dtype=torch.float64)
    y, x = torch.meshgrid(line, line, indexing="ij")
    inside = (x > 0) & (x < n - 1) & (y > 0) & (y < n - 1)
    move = torch.randint(-1, 2, (n, n, 2), generator=rng(1)) * inside[..., None]
    corners = torch.stack([x, y], -1) * 4 + 2.5 + move  # pixel centres, all of them
    points = flat(corners.reshape(-1, 2).tolist(), 3.7)
    a = (torch.arange(n - 1)[:, None] * n + torch.arange(n - 1)).flatten()
    faces = torch.cat(
        [torch.stack([a, a + 1, a + n], -1), torch.stack([a + 1, a + n, a + n + 1], -1)]
    )
    count = torch.zeros(26, 26)
    for face in faces:
        count += rasterise_torch(points, face[None], 26, 26).face[0] >= 0
    assert int(count.max()) == 1
    assert int(count.sum()) == 4 * (n - 1) * 4 * (n - 1)
    whole = rasterise_torch(points, faces, 26, 26).face[0] >= 0
    assert torch.equal(whole, count > 0)


def test_of_equally_near_faces_the_first_is_seen() -> None:
    points = flat([[1, 1], [9, 1], [9, 8], [1, 8]], 2.0)
    faces = torch.tensor([[0, 2, 3], [0, 1, 2], [0, 1, 2]])
    seen = rasterise_torch(points, faces, 10, 10).face[0]
    assert set(seen.unique().tolist()) == {-1, 0, 1}


def test_a_floor_that_reaches_behind_the_camera_ends_at_the_horizon() -> None:
    """Seen from height 1, level: row y looks at distance f / (y - c) of the floor."""
    here = torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64)
    level = here + torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    cameras = look_at(here, level, fov_y=torch.tensor([60.0], dtype=torch.float64), size=40)
    far = 1e4
    vertices = torch.tensor([[-far, -far, 0.0], [far, -far, 0.0], [0.0, 2 * far, 0.0]])
    points = image_points(vertices.double(), cameras)
    assert float(points[..., 2].min()) < 0 < float(points[..., 2].max())
    raster = rasterise_torch(points, torch.tensor([[0, 1, 2]]), 40, 40)
    assert (raster.face[0, :20] == -1).all() and (raster.face[0, 20:] == 0).all()
    row = torch.arange(20, 40, dtype=torch.float64) + 0.5 - 20
    distance = float(cameras.K[0, 1, 1]) / row
    torch.testing.assert_close(raster.depth[0, 20:], distance[:, None].expand(20, 40))


def test_what_is_behind_or_too_near_is_not_seen() -> None:
    corners = [[1.0, 1.0], [18.0, 2.0], [9.0, 17.0]]
    for depth, seen in ((2.0, True), (0.9 * NEAR, False), (-2.0, False)):
        points = flat(corners, depth)
        raster = rasterise_torch(points, torch.tensor([[0, 1, 2]]), 20, 20)
        assert bool((raster.face >= 0).any()) == seen
        found = crossings_torch(points, hinges(torch.tensor([[0, 1, 2]])), raster)
        assert bool(len(found.near)) == seen


def test_gradients_inside_are_exact() -> None:
    vertices, faces = lumpy(4, 5)
    points = image_points(vertices, views(7, 9)).detach().requires_grad_()
    attributes = torch.rand(len(vertices), 2, generator=rng(2), dtype=torch.float64)

    def look(points: Tensor, attributes: Tensor) -> tuple[Tensor, Tensor]:
        raster = rasterise_torch(points, faces, 7, 9)
        return interpolate_torch(attributes, faces, raster), raster.depth

    assert torch.autograd.gradcheck(look, (points, attributes.requires_grad_()), eps=1e-7)


def test_a_rectangle_covers_its_area_and_its_gradient_is_its_sides() -> None:
    """Of a rectangle w x h: d area / d right side's x = h."""
    x0, x1, y0, y1 = 3.2, 14.9, 4.7, 10.05
    points = flat([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], 1.7).requires_grad_()
    picture = coverage(points, SQUARE, 16, 20)
    area = picture.sum()
    assert area.item() == pytest.approx((x1 - x0) * (y1 - y0), abs=1e-6)
    (slope,) = torch.autograd.grad(area, points)
    slope = slope[0] * 1.7  # per pixel
    assert float(slope[1, 0] + slope[2, 0]) == pytest.approx(y1 - y0, abs=1e-6)
    assert float(slope[2, 1] + slope[3, 1]) == pytest.approx(x1 - x0, abs=1e-6)
    assert float(slope[0, 0] + slope[3, 0]) == pytest.approx(y0 - y1, abs=1e-6)


@pytest.mark.parametrize("rows", [8, 60])
def test_outlines_of_coarse_and_of_fine_balls_have_their_gradient(rows: int) -> None:
    """A ball of radius r at distance d covers pi (f r)^2 / (d^2 - r^2) pixels.

    With 60 rows the triangles at its outline are a hundredth of a pixel wide; no pixel sees them.
    """
    directions, faces = lumpy(rows, 2 * rows)
    directions = torch.nn.functional.normalize(directions, dim=-1)
    there = views(67, 58)
    f, d, r = there.K[0, 0, 0].item(), there.distance[0].item(), 0.8
    radius = torch.tensor(r, dtype=torch.float64, requires_grad=True)
    area = coverage(image_points(radius * directions, there), faces, 67, 58).sum((1, 2, 3))
    (slope,) = torch.autograd.grad(area.sum(), radius)
    expected = torch.pi * (f * r) ** 2 / (d * d - r * r)
    steep = expected * (2 / r + 2 * r / (d * d - r * r))
    most = 0.08 if rows == 8 else 0.01  # a polyhedron is smaller than its ball
    assert area.mean().item() == pytest.approx(expected, rel=most)
    assert slope.item() / 2 == pytest.approx(steep, rel=2 * most)
    assert slope.item() / area.sum().item() == pytest.approx(steep / expected, rel=0.02)


def test_what_is_hidden_changes_nothing() -> None:
    """A small square behind a large one that is tilted, so that its colours and depths vary."""
    front, back = (
        flat([[a, a], [b, a], [b, c], [a, c]], 1.0)[0]
        for a, b, c in ((3.2, 27.4, 25.1), (8.3, 19.2, 18.4))
    )
    front = front * torch.tensor([1.0, 1.4, 1.5, 1.1], dtype=torch.float64)[:, None]
    points = torch.cat([front, 3 * back])[None]
    paint = torch.rand(8, 3, generator=rng(6), dtype=torch.float64)
    pictures = []
    for faces in (SQUARE, torch.cat([SQUARE, SQUARE + 4])):
        raster = rasterise_torch(points, faces, 30, 32)
        image = interpolate_torch(paint, faces, raster)
        pictures.append(antialias(image, points, crossings_torch(points, hinges(faces), raster)))
    assert torch.equal(*pictures)


def moved(vertices: Tensor, how: str, amount: Tensor) -> Tensor:
    """Shifted by `amount` world units, turned by as many radians, or scaled by 1 + `amount`."""
    if how == "scaled":
        return vertices * (1 + amount)
    if how == "turned":
        zero, one = torch.zeros_like(amount), torch.ones_like(amount)
        c, s = amount.cos(), amount.sin()
        return vertices @ torch.stack([c, -s, zero, s, c, zero, zero, zero, one]).reshape(3, 3).T
    return vertices + amount * torch.tensor([0.1, 0.9, 0.5], dtype=torch.float64)


def weigh(picture: Tensor) -> Tensor:
    """A number that changes smoothly with where things are in a picture, whatever its size."""
    h, w = picture.shape[1:3]
    y, x = (torch.arange(n, dtype=torch.float64)[:, None] + 0.5 for n in (h, w))
    y, x = y / h, (x / w).T
    weight = torch.stack([1 + torch.sin(4 * x + 1) * torch.cos(3 * y), torch.cos(5 * x * y)])
    return (picture * weight[..., None]).mean()


@pytest.mark.seconds
@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("how", ["shifted", "turned", "scaled"])
def test_silhouettes_move_as_a_finer_picture_does(how: str, color: bool) -> None:
    """Backward, and central differences of a picture 5 x finer: of alpha, and of colours, where
    the object hides parts of itself."""
    vertices, faces = lumpy()
    vertices = vertices * torch.tensor([1.0, 0.7, 0.85], dtype=torch.float64)
    paint = torch.sin(vertices @ torch.randn(3, 3, generator=rng(5)).double() * 3) + 1.2
    paint = paint if color else torch.ones(len(vertices), 1, dtype=torch.float64)
    h, w, fine, step = 79, 107, 4, 0.03

    def draw(amount: Tensor, scale: int) -> tuple[Tensor, Tensor, Raster]:
        there = moved(vertices, how, amount)
        points = image_points(there, views(h * scale, w * scale))
        raster = rasterise_torch(points, faces, h * scale, w * scale)
        return interpolate_torch(paint, faces, raster), points, raster

    def finer(amount: float) -> float:
        return weigh(draw(torch.tensor(amount, dtype=torch.float64), fine)[0]).item()

    values, slopes = [], []
    for k in (-0.8, -0.4, 0.0, 0.4, 0.8):
        amount = torch.tensor(k * step, dtype=torch.float64, requires_grad=True)
        image, points, raster = draw(amount, 1)
        smooth = weigh(antialias(image, points, crossings_torch(points, hinges(faces), raster)))
        (slope,) = torch.autograd.grad(smooth, amount)
        values.append(smooth.item())
        slopes.append(slope.item())
    assert values[2] == pytest.approx(finer(0.0), rel=1e-3)
    expected = (finer(step) - finer(-step)) / (2 * step)
    assert sum(slopes) / 5 == pytest.approx(expected, rel=0.02, abs=0.0015)
