"""A surface in tetrahedra renders as the solid it is, and moves where pictures pull it."""

import pytest
import torch

from dreamlift.cameras import orbit
from dreamlift.convert.finish import Finish
from dreamlift.export import bring_out
from dreamlift.geometry.mesh import volumes
from dreamlift.geometry.pieces import components, pieces
from dreamlift.lights import Light
from dreamlift.render.grid import vertices
from dreamlift.scene import Shot
from dreamlift.scenes.tetrahedra import Tetrahedra

CELLS, CELL = 24, 2.5 / 24


def ball(radius: float = 0.7, color: tuple[float, float, float] = (0.8, 0.3, 0.2)) -> Tetrahedra:
    points = Tetrahedra.points(CELLS)
    logits = torch.zeros(9, 9, 9, 4)
    logits[..., 1:] = torch.tensor(color).logit()
    return Tetrahedra((points.norm(dim=-1) - radius) / CELL, logits, resolution=CELLS)


def shot(size: int = 48) -> Shot:
    return Shot(orbit(torch.tensor([30.0, 200.0]), torch.tensor([20.0, -5.0]), size=size))


def test_a_ball_is_a_disc_of_its_colour() -> None:
    view = ball().render(shot())
    inside = view.alpha[..., 0] > 0.99
    assert torch.allclose(view.color[inside], torch.tensor([0.8, 0.3, 0.2]), atol=1e-4)
    # FRAME sees 2.5 units at the middle; from distance 4 the outline is wider by perspective.
    wide = 0.7 / (1 - (0.7 / 4) ** 2) ** 0.5
    area = torch.pi * (wide * 48 / 2.5) ** 2
    assert torch.allclose(view.alpha.sum((1, 2, 3)), torch.tensor(area), rtol=0.03)


def test_its_surface_has_the_volume_of_the_ball_and_its_colours() -> None:
    surface = ball().surface()
    piece = torch.zeros(len(surface.vertices), dtype=torch.long)
    volume = volumes(surface.vertices.double(), surface.faces)
    assert len(piece) > 500
    assert float(volume.sum()) == pytest.approx(4 / 3 * torch.pi * 0.7**3, rel=0.03)
    assert surface.colors is not None
    assert torch.allclose(surface.colors, torch.tensor([0.8, 0.3, 0.2]), atol=1e-4)


def test_colours_come_from_the_grid_where_the_surface_is() -> None:
    logits = torch.zeros(9, 9, 9, 4)
    logits[..., 1] = 4 * vertices(9)[..., 1]  # redder toward +y
    points = Tetrahedra.points(CELLS)
    scene = Tetrahedra((points.norm(dim=-1) - 0.7) / CELL, logits, resolution=CELLS)
    red = scene.render(Shot(orbit(torch.tensor([0.0]), torch.tensor([0.0]), size=48))).color[..., 0]
    assert red[0, 24, 36] > 0.8 and red[0, 24, 12] < 0.2  # +y is on the right, seen from +x


def test_a_larger_picture_makes_the_surface_grow() -> None:
    scene = ball(0.5)
    wanted = ball(0.8).render(shot()).alpha.detach()
    adam = torch.optim.Adam([scene.sdf, scene.offsets], lr=0.1)
    errors: list[float] = []
    for _ in range(40):
        error = (scene.render(shot()).alpha - wanted).square().mean()
        adam.zero_grad()
        error.backward()
        adam.step()
        errors.append(error.item())
    assert errors[-1] < 0.25 * errors[0]


def test_what_a_surface_looks_like_does_not_move_it() -> None:
    scene = ball()
    scene.render(shot()).color[:, 20:28, 20:28].sum().backward()
    assert scene.logits.grad is not None and float(scene.logits.grad.abs().sum()) > 0
    assert scene.sdf.grad is not None and float(scene.sdf.grad.abs().max()) < 1e-6


def test_light_makes_the_shape_visible_to_its_gradient() -> None:
    scene = ball()
    half = torch.full((2,), 0.5)
    light = Light(torch.tensor([[4.0, 1.0, 2.0], [1.0, -4.0, 2.0]]), half, half, half > 0)
    lit = Shot(shot().cameras, light)
    scene.render(lit).color[:, 20:28, 20:28, 0].mean().backward()
    assert scene.sdf.grad is not None and float(scene.sdf.grad.abs().sum()) > 1e-3


def test_a_surface_that_vanished_is_said_so() -> None:
    scene = ball()
    with torch.no_grad():
        scene.sdf.fill_(1.0)
    with pytest.raises(ValueError, match="vanished"):
        scene.render(shot())


def test_distances_for_another_grid_are_refused() -> None:
    with pytest.raises(ValueError, match="25"):
        Tetrahedra(torch.zeros(7), torch.zeros(3, 3, 3, 4), resolution=24)


def test_its_export_is_one_piece_with_its_colours_whatever_seams_the_texture_has() -> None:
    [part], report = bring_out(ball(), Finish(faces=500, texture=64))
    assert report.components == 1
    assert part.texture is not None and len(part.faces) <= 500
    assert torch.allclose(part.texture, torch.tensor([0.8, 0.3, 0.2]), atol=1e-3)
    assert pieces(part.vertices, part.faces) == 1 < int(components(part.faces, 10**5).max()) + 1
    volume = float(volumes(part.vertices.double(), part.faces).sum())
    assert volume == pytest.approx(4 / 3 * torch.pi * 0.7**3, rel=0.05)


def test_specks_are_left_out() -> None:
    points = Tetrahedra.points(CELLS)
    away = torch.minimum(points.norm(dim=-1) - 0.7, (points - 1.05).norm(dim=-1) - 0.08)
    scene = Tetrahedra(away / CELL, torch.zeros(9, 9, 9, 4), resolution=CELLS)
    assert pieces(*scene.cut()) == 2
    [part], report = bring_out(scene, Finish(faces=500, texture=64))
    assert report.components == 1 and float(part.vertices.max()) < 0.8
