"""Drawings of what a scene shows: a ball in closed form, and edges of plain shapes."""

import math

import pytest
import torch
from conftest import rng
from torch import Tensor

from dreamlift.cameras import orbit
from dreamlift.errors import BadInput
from dreamlift.priors import control
from dreamlift.priors.control import FAR, canny, disparity, drawn, normals
from dreamlift.scene import Rendering, Shot

RADIUS = 0.8


def ball(*azimuths: float, size: int = 33, lit: bool = True) -> Shot:
    """A shot that shows a ball around the origin, exactly."""
    azimuth = torch.tensor(azimuths)
    cameras = orbit(azimuth, torch.full_like(azimuth, 25.0), size=size)
    o, d = cameras.rays()
    b = (o * d).sum(-1, keepdim=True)
    root = b**2 - (o * o).sum(-1, keepdim=True) + RADIUS**2
    hit = (root > 0).float()
    depth = -b - root.clamp_min(0).sqrt()
    normal = (o + depth * d) / RADIUS
    color = hit * torch.tensor([0.9, 0.5, 0.1])
    seen = Rendering(color, hit, None, depth * hit, hit * normal if lit else None)
    return Shot(cameras, seen=seen)


def seen_of(shot: Shot) -> Rendering[None]:
    assert shot.seen is not None
    return shot.seen


def check_disparity() -> None:
    """One over the depth along the axis, as `project` gives it: its greatest is 1, its least
    FAR, and in between it is linear."""
    shot = ball(40.0, -110.0)
    said = disparity(seen_of(shot), shot.cameras)[:, 0]
    o, d = shot.cameras.rays()
    assert seen_of(shot).depth is not None
    points = o + seen_of(shot).depth * d
    solid = seen_of(shot).alpha[..., 0] > 0
    assert said[~solid].eq(0).all()
    for i in range(2):
        depth = shot.cameras[i : i + 1].project(points[i].reshape(-1, 3))[1].reshape(33, 33)
        near = 1 / depth[solid[i]]
        wanted = FAR + (1 - FAR) * (near - near.min()) / (near.max() - near.min())
        torch.testing.assert_close(said[i][solid[i]], wanted, atol=1e-5, rtol=1e-5)


def test_disparity_is_of_the_depth_along_the_axis() -> None:
    check_disparity()


def check_normals() -> None:
    """Blue in the middle, red to the left, green above; as a mirror ball would show it."""
    shot = ball(40.0, -110.0)
    said = normals(seen_of(shot), shot.cameras)
    front = torch.tensor([0.5, 0.5, 1.0])
    torch.testing.assert_close(said[:, :, 16, 16], front.expand(2, 3), atol=1e-4, rtol=0)
    torch.testing.assert_close(said[:, :, 0, 0], front.expand(2, 3))
    assert (said[:, 0, 16, 9] > 0.7).all() and (said[:, 0, 16, 23] < 0.3).all()
    assert (said[:, 1, 9, 16] > 0.7).all() and (said[:, 1, 23, 16] < 0.3).all()
    length = (2 * said - 1).norm(dim=1)
    torch.testing.assert_close(length, torch.ones_like(length))


def test_normals_have_the_colours_of_scannet() -> None:
    check_normals()


def test_without_a_light_normals_are_those_of_the_depth() -> None:
    lit, dark = ball(40.0, size=65), ball(40.0, size=65, lit=False)
    one, other = (normals(seen_of(shot), shot.cameras) for shot in (lit, dark))
    inside = seen_of(lit).alpha[0, ..., 0].bool() & (
        disparity(seen_of(lit), lit.cameras)[0, 0] > 0.5
    )
    assert inside.sum() > 500
    assert (one - other)[0, :, inside].abs().max() < 0.02


def square(side: int = 40) -> Tensor:
    x = torch.full((1, 3, side, side), 0.1)
    x[:, :, 10:30, 12:28] = 0.9
    return x


def check_edges() -> None:
    edges = canny(square())[0]
    for row in range(13, 27):
        columns = edges[row].nonzero()[:, 0].tolist()
        assert len(columns) == 2 and columns[0] in (11, 12) and columns[1] in (27, 28)
    assert not edges[:9].any() and not edges[31:].any() and not edges[13:27, 14:26].any()
    assert canny(square().mT).sum() == edges.sum()


def test_edges_are_thin_and_where_the_step_is() -> None:
    check_edges()


def test_a_faint_edge_counts_only_where_a_strong_one_leads_to_it() -> None:
    faint, alone = torch.full((1, 3, 30, 30), 0.4), torch.full((1, 3, 30, 30), 0.4)
    faint[:, :, :, 15:], alone[:, :, :, 15:] = 0.4 + 0.15, 0.4 + 0.15
    assert not canny(alone).any()
    faint[:, :, :8, 15:] = 0.9
    assert canny(faint)[0, 10:, 13:17].sum() == 20
    assert not canny(torch.rand(1, 3, 1, 1).expand(1, 3, 9, 9)).any()


@pytest.mark.parametrize("kind", ["depth", "normal", "canny"])
def test_a_drawing_is_a_picture_of_the_models_size(kind: control.Kind) -> None:
    shot = ball(10.0, 200.0, -75.0, lit=False)
    picture = drawn(kind, shot, 24)
    assert picture.shape == (3, 3, 24, 24)
    assert picture.min() >= -1e-6 and picture.max() <= 1 + 1e-6 and picture.std() > 0.05


def test_what_cannot_be_drawn_is_told() -> None:
    cameras = orbit(torch.zeros(1), torch.zeros(1), size=8)
    with pytest.raises(BadInput, match="told what the scene shows, and here is none"):
        drawn("depth", Shot(cameras), 8)
    flat = Rendering(torch.rand(1, 8, 8, 3, generator=rng(1)), torch.ones(1, 8, 8, 1), None)
    with pytest.raises(BadInput, match="this scene shows neither"):
        drawn("normal", Shot(cameras, seen=flat), 8)
    latents = Rendering(torch.zeros(1, 8, 8, 4), torch.ones(1, 8, 8, 1), None)
    with pytest.raises(BadInput, match="this scene shows latents"):
        drawn("canny", Shot(cameras, seen=latents), 8)
    empty = Rendering(torch.zeros(1, 8, 8, 3), torch.zeros(1, 8, 8, 1), None,
                      torch.zeros(1, 8, 8, 1))  # fmt: skip
    nothing = drawn("depth", Shot(cameras, seen=empty), 8)
    assert not nothing.any()


def test_a_detached_view_has_no_gradient_and_the_same_pictures() -> None:
    color = torch.rand(1, 4, 4, 3, generator=rng(2)).requires_grad_()
    view = Rendering(2 * color, 3 * color[..., :1], math, 4 * color[..., :1]).detached()
    assert view.aux is None and view.normal is None and view.depth is not None
    assert torch.equal(view.depth, 4 * color[..., :1].detach())
    assert not view.color.requires_grad and not view.alpha.requires_grad


def along_the_ray(seen: Rendering[None], cameras: object) -> Tensor:
    return torch.where(seen.alpha > 0.5, 1 / control.distances(seen), 0).permute(0, 3, 1, 2)


def test_wrong_drawings_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "disparity", along_the_ray)
    with pytest.raises(AssertionError):
        check_disparity()
    monkeypatch.setitem(globals(), "normals", lambda *given: 1 - normals_of(*given))
    with pytest.raises(AssertionError):
        check_normals()
    monkeypatch.setattr(control, "_moved", lambda x, dy, dx: torch.zeros_like(x))
    with pytest.raises(AssertionError):
        check_edges()


normals_of = normals
