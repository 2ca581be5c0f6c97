"""Sketch-Shape: the loss in closed form, and a field that follows a sketch."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import trimesh
from conftest import rng
from torch import Tensor

from dreamlift.api import request
from dreamlift.asked import RADIUS, keep, sketch_of
from dreamlift.errors import BadInput
from dreamlift.geometry.mesh import Surface
from dreamlift.guidance import sketch as on_sketch
from dreamlift.guidance.sketch import DELTA, Sketch
from dreamlift.io.mesh_files import write_mesh
from dreamlift.priors.oracle import Oracle
from dreamlift.recipes.latent_nerf import SKETCH, LatentNeRF
from dreamlift.run import Run
from dreamlift.scenes.field import Field


def ball(radius: float = 0.6, *, at: tuple[float, float, float] = (0, 0, 0)) -> Surface:
    solid = trimesh.creation.icosphere(subdivisions=3, radius=radius)
    vertices = torch.from_numpy(solid.vertices.copy()).float() + torch.tensor(at)
    return Surface(vertices, torch.from_numpy(solid.faces.copy()).long(), name="ball")


def slab() -> Surface:
    solid = trimesh.creation.box((0.4, 1.6, 0.8))
    vertices = torch.from_numpy(solid.vertices.copy()).float()
    return Surface(vertices, torch.from_numpy(solid.faces.copy()).long(), name="slab")


def check_entropy() -> None:
    """The cross entropy in closed form."""
    density = torch.tensor([0.0, 1.0, 5.0, 40.0], dtype=torch.float64)
    out = on_sketch.off(density, torch.zeros(4, dtype=torch.bool))
    torch.testing.assert_close(out, DELTA * density)
    inside = on_sketch.off(density, torch.ones(4, dtype=torch.bool))
    wanted = -torch.log(1 - torch.exp(-DELTA * density[1:]))
    torch.testing.assert_close(inside[1:], wanted)
    assert float(inside[0]) == pytest.approx(-math.log(on_sketch.FAINTEST))
    raw = torch.tensor([-30.0, -12.0, -8.0], requires_grad=True)  # of holes, nearly empty
    on_sketch.off(raw.exp(), torch.ones(3, dtype=torch.bool)).sum().backward()
    torch.testing.assert_close(raw.grad, -torch.ones(3), atol=1e-4, rtol=0)
    leaf = density[1:].clone().requires_grad_()
    which = torch.tensor([True, False, True])
    assert torch.autograd.gradcheck(lambda x: on_sketch.off(x, which), (leaf,))


def check_ball() -> None:
    """Inside by the winding number, weights by the distance to its surface."""
    sketch = Sketch.of([ball(0.6)], proximal=0.2, side=31)
    r = sketch.points.norm(dim=-1)
    clear = (r - 0.6).abs() > 0.02
    assert torch.equal(sketch.inside[clear], (r < 0.6)[clear])
    weight = 1 - (-((r - 0.6) ** 2) / (2 * 0.2**2)).exp()
    torch.testing.assert_close(sketch.weight, weight, atol=0.02, rtol=0)


def test_a_sketch_in_closed_form() -> None:
    check_entropy()
    check_ball()


def test_the_loss_is_the_weighted_mean_and_nothing_at_the_surface_counts() -> None:
    sketch = Sketch.of([ball(0.6)], side=25)
    draws = rng(3)
    which = torch.randint(len(sketch.points), (8192,), generator=draws)

    def density(points: Tensor) -> Tensor:
        return 3 * points[:, 0].abs() + 0.1

    per_point = on_sketch.off(density(sketch.points), sketch.inside) * sketch.weight
    got = sketch.loss(density, rng(3))
    torch.testing.assert_close(got, per_point[which].mean())
    near = Sketch(sketch.points, sketch.inside, torch.zeros_like(sketch.weight))
    assert float(near.loss(density, rng(3))) == 0


def test_two_parts_that_overlap_are_one_inside() -> None:
    sketch = Sketch.of([ball(0.5), ball(0.5, at=(0.4, 0, 0))], side=25)
    near = torch.minimum(
        sketch.points.norm(dim=-1), (sketch.points - torch.tensor([0.4, 0, 0])).norm(dim=-1)
    )
    clear = (near - 0.5).abs() > 0.03
    assert torch.equal(sketch.inside[clear], (near < 0.5)[clear])


@pytest.mark.parametrize("suffix", [".glb", ".obj", ".ply", ".stl"])
def test_any_mesh_file_may_be_a_sketch(tmp_path: Path, suffix: str) -> None:
    """The same in each format, upright, in the ball of radius .9."""
    path = tmp_path / f"slab{suffix}"
    write_mesh(path, [replace(slab(), vertices=7 * slab().vertices + 3)])
    sketch = sketch_of(path)
    within = sketch.points[sketch.inside]
    half = torch.tensor([0.2, 0.8, 0.4]) * RADIUS / torch.tensor([0.2, 0.8, 0.4]).norm()
    torch.testing.assert_close(within.amax(0), half, atol=0.05, rtol=0)


def test_what_is_no_closed_mesh_is_refused_before_any_work(tmp_path: Path) -> None:
    flat = Surface(torch.eye(3), torch.tensor([[0, 1, 2]]), name="flat")
    write_mesh(tmp_path / "flat.obj", [flat])
    with pytest.raises(BadInput, match="encloses nothing"):
        sketch_of(tmp_path / "flat.obj")
    for corner, said in (("nan 0 0", "NaN or infinite"), ("1e39 0 0", "NaN or infinite"),
                         ("1 1 1", "single point")):  # fmt: skip
        (tmp_path / "b.obj").write_text(f"v {corner}\nv 1 1 1\nv 1 1 1\nf 1 2 3\n")
        with pytest.raises(BadInput, match=rf"b.obj .*{said}"):
            sketch_of(tmp_path / "b.obj")
    for name, said in (("none.glb", "does not exist"), ("a.png", "no mesh file")):
        with pytest.raises(BadInput, match=said):
            request(LatentNeRF("a cone", sketch=str(tmp_path / name)))


def test_a_run_keeps_its_sketch(tmp_path: Path) -> None:
    """The mesh is not needed again, and a lost or damaged copy is said."""
    path = tmp_path / "slab.ply"
    write_mesh(path, [slab()])
    recipe = LatentNeRF("a cone", sketch=str(path), proximal=0.1)
    run = Run.create(tmp_path / "run", {})
    with pytest.raises(BadInput, match="does not hold the run's sketch"):
        recipe.guide(run)
    keep(recipe, run)
    wanted = sketch_of(path, proximal=0.1)
    keep(recipe, run)
    write_mesh(path, [replace(slab(), vertices=slab().vertices * torch.tensor([1, 1, 2]))])
    with pytest.raises(BadInput, match=r"slab.ply is not the sketch .* with another --out"):
        keep(recipe, run)
    path.unlink()
    keep(recipe, run)
    kept = recipe.guide(run)
    assert kept is not None and torch.equal(kept.inside, wanted.inside)
    torch.testing.assert_close(kept.weight, wanted.weight)
    assert LatentNeRF("a cone").guide(run) is None
    (run.path / SKETCH).write_bytes(b"nothing")
    with pytest.raises(BadInput, match="does not hold the run's sketch"):
        recipe.guide(run)


def grown(sketch: Sketch, sketched: float, oracle: Oracle, path: Path) -> tuple[float, float]:
    recipe = LatentNeRF("a yellow cone", steps=24, color_steps=1, size=16, samples=24)

    class Given(LatentNeRF):
        def guide(self, run: Run) -> Sketch:
            return sketch

    recipe = Given(**{**vars(recipe), "sketched": sketched})
    field = recipe.run(Run(path), oracle)
    return float(sketch.likeness(Field().density)), float(sketch.likeness(field.density))


@pytest.mark.seconds
def test_the_object_follows_the_sketch(tmp_path: Path) -> None:
    """A prior with a cone in mind and a slab for a sketch: with its loss the field comes to lie
    where the slab is, without it where the cone is."""
    from dreamlift.grammar import parse
    from dreamlift.toybox.scenes import toy_scene

    oracle = Oracle(toy_scene(parse("a yellow cone"), 0).render, std=0.1)
    sketch = Sketch.of([slab()], proximal=0.1)
    before, with_it = grown(sketch, 3e4, oracle, tmp_path / "with")
    _, without = grown(sketch, 0.0, oracle, tmp_path / "without")
    assert with_it > before + 0.2 and with_it > without + 0.2, (before, with_it, without)
