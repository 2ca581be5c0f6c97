"""toybox/truth.py: the SDF grid and the point cloud, against closed forms and the distance."""

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import rng
from toys import field

from dreamlift.cameras import FRAME
from dreamlift.geometry.points import Points
from dreamlift.geometry.primitives import ball
from dreamlift.geometry.texels import sample
from dreamlift.grammar import parse
from dreamlift.toybox.compose import Built, Part
from dreamlift.toybox.mesh import mesh
from dreamlift.toybox.paint import coat
from dreamlift.toybox.scenes import ToyScene, toy_scene
from dreamlift.toybox.truth import grid, pictured, points, write_grid


def scene(text: str, seed: int = 0) -> ToyScene:
    return toy_scene(parse(text), seed)


def cloud(toy: ToyScene, n: int) -> Points:
    parts = mesh(toy.built, toy.coat, resolution=24)
    return points(toy, parts, n, rng(1))


CENTRE, RADIUS = torch.tensor([0.1, -0.2, 0.15]), 0.6


def globe() -> ToyScene:
    """A true ball, which toys are not: theirs are a little flat or tall."""
    graph = parse("a ball")
    solid = ball(RADIUS).at(*CENTRE.tolist())
    built = Built(graph, (Part("ball", 0, True, (0.1, 0.2, 0.9), (solid,)),))
    return ToyScene(built, coat(built, graph, random.Random(0)))


def test_the_grid_of_a_ball_is_its_formula() -> None:
    made = grid(globe(), 11)
    line = torch.linspace(-FRAME, FRAME, 11)
    x, y, z = (line[:, None, None], line[None, :, None], line[None, None, :])
    squares = [(axis - at) ** 2 for axis, at in zip((x, y, z), CENTRE, strict=True)]
    expected = (squares[0] + squares[1] + squares[2]).sqrt() - RADIUS
    torch.testing.assert_close(made.sdf, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(made.color, torch.tensor([0.1, 0.2, 0.9]).expand(11, 11, 11, 3))


def test_the_grid_has_the_axes_x_y_z() -> None:
    toy = scene("a red cube next to a blue ball", 1)
    made = grid(toy, 24)
    places = torch.stack(
        torch.meshgrid(*[torch.linspace(-FRAME, FRAME, 24)] * 3, indexing="ij"), -1
    )
    expected = field(toy.built.solids, places.reshape(-1, 3)).reshape(24, 24, 24)
    assert torch.equal(made.sdf, expected)
    for part in range(len(toy.built.parts)):
        here = (made.part == part) & (made.sdf < 0)
        assert torch.allclose(made.color[here], toy.coat.base[part])
    left, right = made.sdf[:, :12].amin(), made.sdf[:, 12:].amin()  # they stand along y
    assert left < 0 and right < 0


def test_points_of_a_ball_lie_on_it_and_look_outward() -> None:
    made = cloud(globe(), 400)
    assert len(made) == 400
    outward = made.position - CENTRE
    away = outward.norm(dim=-1)
    assert float((away - RADIUS).abs().max()) < 1e-4
    assert float((made.normal * outward / away[:, None]).sum(-1).min()) > 0.9999
    assert float(outward.mean(0).norm()) < 0.1 * RADIUS


def test_what_is_hidden_draws_no_points_to_its_side() -> None:
    """A ball within the ball, near its wall: its points must not be pulled through to outside."""
    outer = globe()
    middle = [x + y for x, y in zip(CENTRE.tolist(), (0.25, 0.0, 0.0), strict=True)]
    inner = Part("core", 0, False, (1.0, 0.0, 0.0), (ball(0.3).at(*middle),))
    built = Built(outer.built.graph, (*outer.built.parts, inner))
    both = ToyScene(built, coat(built, built.graph, random.Random(0)))
    made = cloud(both, 2000)
    assert bool((made.part == 0).all())
    assert float((made.position - CENTRE).mean(0).norm()) < 0.02


@pytest.mark.seconds
def test_points_are_on_the_outside_of_everything() -> None:
    """Where parts go into one another their inner surfaces have no points."""
    toy = scene("a green frog wearing a rainbow hat", 2)
    made = cloud(toy, 1500)
    assert float(field(toy.built.solids, made.position).abs().max()) < 1.1e-3
    inner = torch.cat([s.vertices for s in mesh(toy.built, toy.coat, resolution=24)])
    assert float(field(toy.built.solids, inner).min()) < -0.05  # the meshes do have some
    plain = toy.coat.pattern[made.part, 0] == 0
    torch.testing.assert_close(made.color[plain], toy.coat.base[made.part[plain]])
    assert len(made.color[~plain].unique(dim=0)) > 20


@pytest.mark.seconds
def test_a_thin_part_has_its_points() -> None:
    toy = scene("a table in the shape of a hamburger", 0)
    made = cloud(toy, 3000)
    assert len(made) == 3000
    assert len(made.part.unique()) >= len(toy.built.parts) - 1


@pytest.mark.seconds
def test_numpy_reads_the_grid_without_pickles(tmp_path: Path) -> None:
    toy = scene("a mug")
    made = grid(toy, 16)
    write_grid(tmp_path / "sdf.npz", made)
    with np.load(tmp_path / "sdf.npz", allow_pickle=False) as file:
        assert sorted(file) == ["bounds", "color", "part", "sdf"]
        np.testing.assert_array_equal(file["sdf"], made.sdf)
        np.testing.assert_array_equal(file["part"], made.part + 1)
        np.testing.assert_allclose(file["bounds"], [[-FRAME] * 3, [FRAME] * 3])
        assert (file["sdf"].dtype, file["color"].dtype) == (np.float32, np.uint8)
    before = (tmp_path / "sdf.npz").read_bytes()
    write_grid(tmp_path / "sdf.npz", made)
    assert (tmp_path / "sdf.npz").read_bytes() == before


def test_a_rainbow_is_a_picture_of_the_same_colours() -> None:
    """With an upper and a lower end, which a picture that repeats must not join."""
    toy = scene("a rainbow cube on top of a red ball", 4)
    parts = mesh(toy.built, toy.coat, resolution=24)
    again = pictured(toy, parts)
    assert again[1] is parts[1]
    assert again[0].colors is None and again[0].texture is not None and again[0].uv is not None
    shown = sample(again[0].texture, again[0].uv)
    assert parts[0].colors is not None
    torch.testing.assert_close(shown, parts[0].colors, atol=0.02, rtol=0)
    assert float((shown[:, 0] - shown[:, 2]).max()) > 0.5 > float((shown[:, 0]).min())
