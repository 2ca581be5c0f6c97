"""Painted toys as pictures, scenes and meshes."""

import itertools
import random
from dataclasses import replace

import pytest
import torch
from conftest import rng
from toys import field, made, size

from dreamlift.cameras import Cameras, orbit
from dreamlift.geometry.mesh import Surface
from dreamlift.grammar import parse
from dreamlift.lights import Light
from dreamlift.scene import Shot
from dreamlift.toybox import paint
from dreamlift.toybox.colours import NAMED, named
from dreamlift.toybox.compose import build
from dreamlift.toybox.mesh import mesh, names
from dreamlift.toybox.scenes import ToyScene, toy_scene
from dreamlift.words import COLOURS

# Paint


def test_the_ten_colours_are_far_apart_even_varied():
    drawn = {c: [named(c, random.Random(i)) for i in range(20)] for c in COLOURS}
    assert tuple(NAMED) == COLOURS
    for a, b in itertools.combinations(COLOURS, 2):
        gaps = [
            max(abs(p - q) for p, q in zip(x, y, strict=True)) for x in drawn[a] for y in drawn[b]
        ]
        assert min(gaps) > 0.15


def test_a_palette_paints_main_parts_of_the_named_thing_only():
    graph = parse("a blue snowman next to a hamburger")
    built = build(graph, 1)
    table = paint.coat(built, graph, random.Random(0))
    for part, rgb in zip(built.parts, table.base, strict=True):
        if part.thing == 0 and part.main:
            assert rgb[2] > 0.7 and rgb[0] < 0.3
        else:
            assert torch.allclose(rgb, torch.tensor(part.colour))


def test_a_rainbow_climbs_from_purple_to_red_within_its_thing():
    graph = parse("a rainbow cube on top of a white ball")
    built = build(graph, 1)
    low, high = built.heights[0]
    z = torch.tensor([[low + 0.02, (low + high) / 2 + 0.01, high - 0.02, -0.5]])
    part = torch.tensor([[0, 0, 0, 1]], dtype=torch.uint8)
    coats = paint.stacked([paint.coat(built, graph, random.Random(0))])
    point = torch.stack([0.3 * z, -z, z], -1)
    purple, middle, red, white = paint.colour(part, point, coats)[0]
    assert torch.allclose(purple, torch.tensor(NAMED["purple"]))
    assert torch.allclose(red, torch.tensor(NAMED["red"]))
    assert middle[1] > middle[2] and white.min() > 0.8


def test_coats_of_several_scenes_stack_and_read_back():
    graphs = [parse("a rainbow mug"), parse("a striped frog"), parse("a stone ball")]
    scenes = [build(graph, i) for i, graph in enumerate(graphs)]
    coats = [paint.coat(b, g, random.Random(3)) for b, g in zip(scenes, graphs, strict=True)]
    part = torch.tensor([[0, 1], [4, 1], [0, 9]])  # past the end: the last
    point = torch.rand(3, 2, 3, generator=rng(1)) - 0.5
    together = paint.colour(part, point, paint.stacked(coats))
    for i, coat in enumerate(coats):
        here = part[i : i + 1].clamp_max(len(coat.base) - 1)
        alone = paint.colour(here, point[i : i + 1], paint.stacked([coat]))
        assert torch.equal(together[i], alone[0])


# Scenes and meshes


def cameras(size: int = 32) -> Cameras:
    return orbit(torch.tensor([0.0, 130.0]), torch.tensor([20.0, 40.0]), size=size)


def test_a_toy_scene_renders_like_any_scene():
    scene = toy_scene(parse("a red cube on top of a blue cube"), 0)
    assert not list(scene.parameters())
    seen = scene.render(Shot(cameras()))
    assert seen.color.shape == (2, 32, 32, 3) and seen.alpha.shape == (2, 32, 32, 1)
    assert bool((seen.color <= seen.alpha + 1e-6).all())  # premultiplied
    upper, lower = seen.color[0, :16].sum((0, 1)), seen.color[0, 16:].sum((0, 1))
    assert upper[0] > upper[2] and lower[2] > lower[0]  # red above blue
    assert torch.equal(seen.color, scene.render(Shot(cameras())).color)


def test_what_stands_at_minus_y_is_at_the_left_of_the_front_view():
    scene = toy_scene(parse("a red ball next to a blue ball"), 0)
    front = scene.render(Shot(cameras())).color[0]
    left, right = front[:, :16].sum((0, 1)), front[:, 16:].sum((0, 1))
    assert left[0] > left[2] and right[2] > right[0]


def test_light_falls_on_the_side_that_faces_it():
    scene = toy_scene(parse("a white ball"), 0)
    position = torch.tensor([[2.0, 4, 1], [2.0, 4, 1]])  # at the front view's right
    light = Light(
        position, torch.full((2,), 0.2), torch.full((2,), 0.8), torch.tensor([False, True])
    )
    seen = scene.render(Shot(cameras()[torch.tensor([0, 0])], light))
    left, right = seen.color[0, 16, 9], seen.color[0, 16, 22]
    assert (right > 2 * left).all()
    assert (seen.color[1] >= seen.color[0] - 1e-6).all()  # textureless is white


def test_depth_and_normals_are_those_of_a_ball():
    scene = toy_scene(parse("a ball"), 1)
    seen = scene.render(Shot(cameras(33)))
    assert seen.depth is not None and seen.normal is not None
    r = size(scene.built)
    assert abs(float(seen.depth[0, 16, 16]) - (4 - r)) < 0.03
    assert float(seen.normal[0, 16, 16] @ cameras().position[0] / 4) > 0.99


def test_a_coat_of_another_toy_is_refused():
    built = made("a mug")
    other = parse("a frog")
    with pytest.raises(ValueError, match=r"every part: 2 parts came with \d+ colours"):
        ToyScene(built, paint.coat(build(other, 0), other, random.Random(0)))


def test_a_mesh_has_a_closed_named_surface_for_every_part():
    graph = parse("a rainbow cube on top of a traffic cone")
    built = build(graph, 0)
    surfaces = mesh(built, paint.coat(built, graph, random.Random(0)), resolution=32)
    assert [s.name for s in surfaces] == names(built)
    assert len(set(names(built))) == len(built.parts)
    for s, part in zip(surfaces, built.parts, strict=True):
        assert field([part.solids], s.vertices).abs().max() < 0.02
        assert closed(s)
    cube = surfaces[0]
    assert cube.colors is not None and len(cube.colors.unique(dim=0)) > 4


def closed(s: Surface) -> bool:
    """Every edge is walked once in each direction."""
    edges = torch.cat([s.faces[:, [0, 1]], s.faces[:, [1, 2]], s.faces[:, [2, 0]]])
    forward = edges[:, 0] * len(s.vertices) + edges[:, 1]
    backward = edges[:, 1] * len(s.vertices) + edges[:, 0]
    return torch.equal(forward.sort().values, backward.sort().values)


def test_colours_of_two_graphs_share_one_shape():
    graph = parse("a cube on top of a ball")
    built = build(graph, 0)
    red = replace(graph, things=(replace(graph.things[0], colour="red"), graph.things[1]))
    blue = replace(graph, things=(replace(graph.things[0], colour="blue"), graph.things[1]))
    a, b = (paint.coat(built, g, random.Random(0)).base for g in (red, blue))
    assert (a[0] - b[0]).abs().max() > 0.5 and torch.equal(a[1], b[1])


@pytest.mark.parametrize("food", ["banana", "peacock", "lily pad", "penguin"])
def test_what_is_swallowed_whole_is_no_part(food: str):
    """A bite may take the whole tip of a banana: what is left of every part has a surface."""
    for seed in range(2):
        graph = parse(f"a rabbit eating a {food}")
        built = build(graph, seed)
        coat = paint.coat(built, graph, random.Random(seed))
        assert all(len(surface.faces) for surface in mesh(built, coat))
