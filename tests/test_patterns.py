"""Patterns and materials: what they look like, and that they are fixed to things."""

import itertools
import math
import random
from dataclasses import replace

import pytest
import torch
from conftest import rng
from toys import field, made

from dreamlift.cameras import Cameras, orbit
from dreamlift.grammar import parse
from dreamlift.graph import Graph
from dreamlift.learn.pictures import compose
from dreamlift.render.trace import trace
from dreamlift.scene import Shot
from dreamlift.scenes.mesh import Mesh
from dreamlift.toybox import paint, patterns
from dreamlift.toybox.captions import picture_graph
from dreamlift.toybox.colours import NAMED, named
from dreamlift.toybox.compose import Built, build
from dreamlift.toybox.mesh import mesh
from dreamlift.toybox.patterns import PATTERNS
from dreamlift.toybox.scenes import ToyScene, toy_scene
from dreamlift.views import Views
from dreamlift.words import COLOURS
from dreamlift.words import PATTERNS as SAID

TWO = ("striped", "spotted", "checkered")
MATERIALS = ("wooden", "stone", "golden")
LUMA = torch.tensor([0.30, 0.59, 0.11])


def around(size: int = 64) -> Cameras:
    """From the front's left, from behind, and from above."""
    return orbit(torch.tensor([35.0, -110.0, 160.0]), torch.tensor([20.0, 35.0, 70.0]), size=size)


def seen(text: str, seed: int, cameras: Cameras) -> tuple[ToyScene, torch.Tensor, torch.Tensor]:
    """A toy, its albedo, and where its main parts fill the pixels."""
    scene = toy_scene(parse(text), seed)
    view = scene.render(Shot(cameras))
    main = torch.tensor([part.main for part in scene.built.parts])
    return scene, view.color, (view.alpha[..., 0] > 0.99) & main[view.aux.part.long()]


def second(scene: ToyScene, rgb: torch.Tensor) -> torch.Tensor:
    """How much of the first main part's ink, from 0 to 1, is in each colour."""
    k = [part.main for part in scene.built.parts].index(True)
    base, ink = scene.coat.base[k], scene.coat.inks[k, 0]
    return ((rgb - base) @ (ink - base)) / (ink - base).square().sum()


# The textures themselves


def test_every_pattern_word_has_a_pattern():
    assert tuple(PATTERNS) == SAID


def test_the_inks_of_striped_spotted_and_checkered_fill_their_shares_of_space():
    q = 6 * torch.rand(400_000, 3, generator=rng(1)) - 2
    for texture, share in (
        (patterns.striped, 0.5 - math.asin(0.2) / math.pi),
        (patterns.spotted, 2 * 4 / 3 * math.pi * 0.33**3),  # two balls in a cube
        (patterns.checkered, 0.5),
    ):
        s = texture(q)
        assert s.mean() == pytest.approx(share, abs=0.01)
        assert ((s == 0) | (s == 1)).float().mean() > 0.7


def test_stripes_are_one_to_a_unit_and_run_along_the_others():
    z = torch.tensor([0.25, 0.75, 1.25, -0.25])
    q = torch.stack([torch.tensor([3.1, -0.2, 0.7, 9.0]), torch.zeros(4), z], -1)
    assert patterns.striped(q).tolist() == [1, 0, 1, 0]


def test_the_face_of_a_checkered_cube_is_a_chessboard():
    graph = parse("a red checkered cube")
    built = build(graph, 3)
    coat = paint.coat(built, graph, random.Random(1))
    low, high = torch.from_numpy(built.boxes[0]).float()
    n = round(float((coat.turn[0].diagonal() + 2 * patterns.MARGIN).max()))
    assert n in (4, 5)
    for axis, end in itertools.product(range(3), (low, high)):
        step = (torch.arange(n) + 0.5) / n
        points = low + (high - low) * torch.stack(
            torch.meshgrid(step, step, step, indexing="ij"), -1
        )
        face = points.select(axis, 0).clone()
        face[..., axis] = end[axis]
        part = torch.zeros(1, n, n, dtype=torch.int32)
        rgb = paint.colour(part, face[None], paint.stacked([coat]))[0]
        red = (rgb - coat.base[0]).norm(dim=-1) < 1e-4
        white = (rgb - coat.inks[0, 0]).norm(dim=-1) < 1e-4
        assert torch.equal(red, ~white)
        i, j = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
        assert ((i + j) % 2 == 0)[red].unique().numel() == 1


def test_noise_lies_within_its_bounds_and_is_no_constant():
    q = 8 * torch.rand(50_000, 3, generator=rng(2))
    for texture in (patterns.wooden, patterns.stone, patterns.golden):
        s = texture(q)
        assert s.min() >= -1 and s.max() <= 1
        assert 0.25 < s.std() < 0.8 and s.quantile(0.05) < -0.4 < 0.3 < s.quantile(0.95)


# What is said


@pytest.mark.parametrize("pattern", TWO)
def test_both_colours_of_a_pattern_are_seen_from_every_side(pattern: str):
    low, high = {"striped": (0.15, 0.7), "spotted": (0.1, 0.5), "checkered": (0.3, 0.7)}[pattern]
    for i, noun in enumerate(("cube", "ball", "table", "frog")):
        scene, rgb, main = seen(f"a blue {pattern} {noun}", 20 + i, around(48))
        for view, mask in zip(second(scene, rgb), main, strict=True):
            assert low < float((view[mask] > 0.5).float().mean()) < high, noun


@pytest.mark.parametrize("pattern", TWO)
def test_the_second_colour_stands_out_from_every_first(pattern: str):
    for colour, seed in itertools.product(COLOURS, range(12)):
        base = named(colour, random.Random(seed))
        inks = torch.tensor(PATTERNS[pattern].inks(random.Random(seed))(base))
        assert ((inks - torch.tensor(base)) @ LUMA).abs().min() > 0.3, colour


def test_a_colour_beside_a_pattern_is_its_base_in_either_order():
    graphs = parse("a red striped mug"), parse("a striped red mug")
    assert graphs[0] == graphs[1]
    for word in SAID[1:]:
        graph = parse(f"a {word} green ball")
        coat = paint.coat(build(graph, 1), graph, random.Random(2))
        said = torch.tensor(named("green", random.Random(2)))
        assert torch.equal(coat.base[0], said), word
        _, rgb, main = seen(f"a {word} green ball", 1, around(48))
        green = rgb[main].mean(0)
        assert green[1] > 1.15 * green[[0, 2]].max() or word in TWO


def test_without_a_colour_a_pattern_lies_on_the_things_own_and_a_material_brings_its_own():
    for word in SAID[1:]:
        graph = parse(f"a {word} pumpkin")
        built = build(graph, 4)
        coat = paint.coat(built, graph, random.Random(2))
        for k, part in enumerate(built.parts):
            own = torch.allclose(coat.base[k], torch.tensor(part.colour))
            assert own == (word in TWO or not part.main)
            assert bool(coat.pattern[k]) == part.main


@pytest.mark.parametrize("noun", ["cube", "ball", "frog", "cylinder"])
def test_materials_look_like_themselves_and_unlike_each_other(noun: str):
    means = {}
    for word in MATERIALS:
        _, rgb, main = seen(f"a {word} {noun}", 6, around(48))
        shown = rgb[main]
        means[word] = shown.mean(0)
        assert 0.04 < float((shown @ LUMA).std()) < 0.25, word
        other = torch.stack([torch.tensor(c) for c in NAMED.values()])
        assert (other - means[word]).norm(dim=-1).min() > 0.15, word
    wood, stone, gold = (means[word] for word in MATERIALS)
    assert 0.25 < wood @ LUMA < 0.5 and wood[0] > 1.3 * wood[1] > 1.3 * wood[2]
    assert 0.35 < stone @ LUMA < 0.65 and stone.max() - stone.min() < 0.06
    assert gold @ LUMA > 0.55 and gold[1] > 0.65 * gold[0] and gold[2] < 0.55 * gold[0]


def test_seeds_vary_a_pattern():
    graph = parse("a spotted ball")
    built = build(graph, 0)
    points = 0.8 * torch.nn.functional.normalize(torch.randn(1, 500, 3, generator=rng(3)), dim=-1)
    part = torch.zeros(1, 500, dtype=torch.uint8)
    one, again, other = (
        paint.colour(part, points, paint.stacked([paint.coat(built, graph, random.Random(seed))]))
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, again)
    assert ((one - other).abs().amax(-1) > 0.3).float().mean() > 0.2


# Fixed to the thing


def moved(built: Built, factor: float, x: float, y: float, z: float) -> Built:
    parts = [
        replace(p, solids=tuple(s.scaled(factor).at(x, y, z) for s in p.solids))
        for p in built.parts
    ]
    return Built(built.graph, tuple(parts))


@pytest.mark.parametrize("pattern", SAID)
def test_a_pattern_moves_and_grows_with_its_thing(pattern: str):
    graph = parse(f"a {pattern} frog")
    here = build(graph, 2)
    there = moved(here, 0.6, 0.3, -0.2, 0.1)
    p = 1.4 * torch.rand(1, 3000, 3, generator=rng(4)) - 0.7
    part = torch.randint(len(here.parts), (1, 3000), generator=rng(5))
    coats = [paint.stacked([paint.coat(b, graph, random.Random(7))]) for b in (here, there)]
    a = paint.colour(part, p, coats[0])
    b = paint.colour(part, 0.6 * p + torch.tensor([0.3, -0.2, 0.1]), coats[1])
    assert (a - b).abs().amax(-1).quantile(0.99) < 0.01


@pytest.mark.parametrize("pattern", SAID)
def test_a_point_has_one_colour_whichever_camera_sees_it(pattern: str):
    """Each pixel's point is looked up in the other camera's picture, where that sees it."""
    scene = toy_scene(parse(f"a {pattern} mug"), 5)
    cameras = orbit(torch.tensor([0.0, 50.0]), torch.tensor([10.0, 40.0]), size=128)
    view = scene.render(Shot(cameras))
    assert view.depth is not None
    origins, directions = cameras.rays()
    point = (origins + view.aux.depth[..., None] * directions)[0][view.alpha[0, ..., 0] > 0.99]
    pose, K = cameras.world_to_camera[1], cameras.K[1]
    eye = point @ pose[:3, :3].T + pose[:3, 3]
    row, column = ((eye @ K.T)[:, :2] / eye[:, 2:]).flip(-1).long().clamp(0, 127).unbind(-1)
    gap = (point - cameras.position[1]).norm(dim=-1) - view.aux.depth[1, row, column]
    both = (gap.abs() < 0.01) & (view.alpha[1, row, column, 0] > 0.99)
    first, other = view.color[0][view.alpha[0, ..., 0] > 0.99], view.color[1, row, column]
    apart = (first - other).abs().amax(-1)[both]
    assert both.sum() > 1000
    assert (apart < 0.2).float().mean() > 0.92
    shuffled = (first - other[torch.randperm(len(other), generator=rng(6))]).abs().amax(-1)[both]
    assert apart.mean() < 0.35 * shuffled.mean()


@pytest.mark.seconds
@pytest.mark.parametrize("pattern", SAID)
def test_the_mesh_has_the_colours_of_the_traced_toy(pattern: str):
    scene = toy_scene(parse(f"a {pattern} heart"), 1)
    shot = Shot(around(64))
    toy = scene.render(shot)
    cast = Mesh(mesh(scene.built, scene.coat, resolution=48)).render(shot)
    both = (toy.alpha[..., 0] > 0.99) & (cast.alpha[..., 0] > 0.99)
    apart = (toy.color - cast.color)[both].abs().amax(-1)
    assert both.sum() > 1000
    assert apart.mean() < 0.06 and (apart < 0.2).float().mean() > 0.9


def test_training_pictures_have_the_colours_of_the_toy_scene():
    """Through half-precision depths, as the pool keeps them."""
    for i, word in enumerate(SAID):
        graph = parse(f"a {word} cube on top of a {SAID[i - 1]} ball")
        built, cameras = build(graph, i), around()
        coat = paint.coat(built, graph, random.Random(9))
        scene = ToyScene(built, coat)
        toy = scene.render(Shot(cameras))
        kept = replace(toy.aux, depth=toy.aux.depth.half().float())
        for k in range(len(cameras)):
            one = torch.tensor([k])
            pictures = compose(
                type(kept)(*(getattr(kept, f)[one] for f in kept.__dataclass_fields__)),
                cameras[one], [built], [graph], Views(shares=(1.0, 0.0, 0.0)),
                random.Random(9), rng(1), said=1.0,
            )  # fmt: skip
            full = toy.alpha[k, ..., 0] > 0.99
            apart = (pictures.x[0] - toy.color[k])[full].abs().amax(-1)
            assert apart.mean() < 0.01 and (apart < 0.15).float().mean() > 0.97, word


def test_each_lens_has_the_colour_that_is_said_of_it():
    for text in ("blue glasses", "a cat wearing blue glasses"):
        built = made(text, 3)
        said = parse(f"{text}, left lens is red, right is green")
        plain = paint.coat(built, parse(text), random.Random(1)).base
        coat = paint.coat(built, said, random.Random(1)).base
        names = [part.name for part in built.parts]
        left, right = names.index("left lens"), names.index("right lens")
        red, green = coat[left], coat[right]
        assert red[0] > 0.5 > red[1] and green[1] > max(green[0], green[2])
        rest = [k for k in range(len(names)) if k not in (left, right)]
        assert torch.equal(coat[rest], plain[rest])
        y = [float(b[:, 1].mean()) for b in (built.boxes[left], built.boxes[right])]
        assert y[0] > y[1]  # its own left is +y


# What was before


def before(built: Built, graph: Graph, dice: random.Random, part: torch.Tensor, z: torch.Tensor):
    """Plain colours and rainbows, as they were painted when there was nothing else."""
    said = {i: named(t.colour, dice) for i, t in enumerate(graph.things) if t.colour}
    palette = torch.tensor([said.get(p.thing, p.colour) if p.main else p.colour
                            for p in built.parts])  # fmt: skip
    banded = torch.tensor([p.main and graph.things[p.thing].pattern is not None
                           for p in built.parts])  # fmt: skip
    low, high = torch.tensor([built.heights[p.thing] for p in built.parts])[part].unbind(-1)
    height = ((z - low) / (high - low).clamp_min(1e-6)).clamp(0, 1)
    return torch.where(banded[part][..., None], patterns.rainbow(height), palette[part])


def test_scenes_without_new_patterns_are_painted_as_before_bit_for_bit():
    dice = random.Random(11)
    graphs = [picture_graph(dice) for _ in range(8)]
    graphs += [parse("a rainbow frog on top of a pink table"), parse("a red rainbow mug")]
    for i, graph in enumerate(graphs):
        built = build(graph, i)
        scene = torch.zeros(3, dtype=torch.int32)
        scene_dice, old_dice = random.Random(i), random.Random(i)
        coat = paint.coat(built, graph, scene_dice)
        toy = ToyScene(built, coat)
        cameras = around(24)
        traced = trace(toy.program, scene, cameras)
        origins, directions = cameras.rays()
        points = origins + traced.depth[..., None] * directions
        old = before(built, graph, old_dice, traced.part.long(), points[..., 2])
        new = paint.colour(traced.part, points, paint.stacked([coat] * 3))
        assert torch.equal(new, old)
        assert scene_dice.random() == old_dice.random()  # and no more was drawn


def test_geometry_ignores_patterns():
    plain, painted = made("a mug on top of a table", 5), made("a stone mug on a striped table", 5)
    points = torch.rand(500, 3, generator=rng(8)) - 0.5
    assert torch.equal(field(plain.solids, points), field(painted.solids, points))
