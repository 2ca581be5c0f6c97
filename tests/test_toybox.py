"""Every noun and relation of the toybox, measured on the distance fields themselves."""

import itertools

import numpy as np
import pytest
import torch
from toys import field, grid, inside, made, size, solids

from dreamlift.geometry.primitives import ball, box, cone, rod, torus
from dreamlift.grammar import parse
from dreamlift.graph import Graph, Link, Thing
from dreamlift.toybox.compose import Built, build
from dreamlift.toybox.drawable import drawable
from dreamlift.toybox.extent import bounds, radius, support, surface
from dreamlift.toybox.nouns import TOYS
from dreamlift.toybox.objects import mirrored
from dreamlift.toybox.roles import BODIES, MOST_SOLIDS, SHAPES
from dreamlift.words import FRONTED, NOUNS, held

RELATIONS = ("on top of", "next to", "wearing", "on stilts", "in the shape of")


def pairs(relation: str) -> list[Graph]:
    graphs = []
    for a, b in itertools.product(TOYS, TOYS):
        graph = Graph((Thing(a), Thing(b)), (Link(relation, 0, 1),))
        try:
            drawable(graph)
        except ValueError:
            continue
        graphs.append(graph)
    return graphs


def nearness(built: Built, a: int, b: int) -> float:
    """Half the gap between two things, or minus how deep one is in the other: min max(d_a, d_b)."""
    one, two = solids(built, a), solids(built, b)
    centre, half = torch.zeros(3), 1.1
    best = 9.0
    for _ in range(5):
        points = centre + grid(13, half)
        most = torch.maximum(field(one, points), field(two, points))
        best = float(most.min())
        centre, half = points[most.argmin()], half / 3.5
    return best


# Extents


def test_support_holds_every_surface_point_and_is_reached():
    shapes = [
        ball(0.7).stretched(0.5, 1, 1.3), box(0.3, 0.5, 0.7, 0.1), cone(0.6, 0.5, 0.2, 0.05),
        torus(0.6, 0.15), rod((0.1, 0, 0), (0.5, 0.3, 0.4), 0.2, 0.1),
    ]  # fmt: skip
    for shape in shapes:
        solid = shape.turned("x", 33).turned("z", 20).at(0.1, -0.2, 0.05)
        points = torch.from_numpy(surface(solid)).float()
        assert field([[solid]], points).abs().max() < 0.02
        low, high = bounds(support([[solid]]))
        n = grid(61, 1.3)[field([[solid]], grid(61, 1.3)) < 0].numpy()
        assert (n.max(0) <= high + 1e-6).all() and (n.min(0) >= low - 1e-6).all()
        assert np.abs(n.max(0) - high).max() < 0.08 and np.abs(n.min(0) - low).max() < 0.08


def test_a_mirrored_solid_is_the_mirror_image():
    solid = cone(0.5, 0.4, 0.1).turned("x", 25).turned("z", 40).at(0.2, 0.4, -0.1)
    points = grid(15)
    flipped = points * torch.tensor([1.0, -1, 1])
    torch.testing.assert_close(field([[mirrored(solid)]], points), field([[solid]], flipped))


# Nouns


def test_every_noun_has_a_toy():
    assert tuple(TOYS) == NOUNS


@pytest.mark.parametrize("noun", TOYS)
def test_a_lone_noun_fits_its_size_whatever_the_seed(noun: str):
    for seed in range(3):
        for word, low, high in (("small", 0.43, 0.56), ("", 0.74, 0.92), ("large", 0.96, 1.05)):
            built = made(f"{word} {noun}", seed)
            low_, high_ = bounds(support(built.solids))
            assert np.abs(low_ + high_).max() < 1e-6  # centred
            assert low <= size(built) <= high
        outside = 1.05 * torch.nn.functional.normalize(grid(8), dim=-1)
        assert (field(built.solids, outside) > 0).all()  # the large one


@pytest.mark.parametrize("noun", TOYS)
def test_one_seed_is_one_object_and_another_is_another(noun: str):
    points = grid(12)
    one, again, other = (field(made(noun, seed).solids, points) for seed in (3, 3, 4))
    assert torch.equal(one, again)
    assert (one - other).abs().max() > 0.02


def test_geometry_ignores_colours_and_view():
    plain = made("frog on top of a table", 5)
    painted = made("a rainbow frog on top of a pink table, back view", 5)
    assert torch.equal(field(plain.solids, grid(12)), field(painted.solids, grid(12)))
    assert [p.colour for p in plain.parts] == [p.colour for p in painted.parts]


@pytest.mark.parametrize("noun", [n for n in TOYS if n in FRONTED])
def test_what_has_a_front_looks_different_from_behind(noun: str):
    points = grid(30)
    behind = points * torch.tensor([-1.0, -1, 1])  # half a turn
    built = made(noun, 1)
    a, b = field(built.solids, points) < 0, field(built.solids, behind) < 0
    assert (a & b).sum() < 0.93 * (a | b).sum()


def test_faces_look_toward_plus_x():
    for noun, part in (("snowman", "nose"), ("frog", "pupils"), ("snowman", "buttons")):
        for p in made(noun, 2).parts:
            if p.name == part:
                low, high = bounds(support([p.solids]))
                assert (low + high)[0] > 0.1
    chair = {p.name: bounds(support([p.solids])) for p in made("chair", 2).parts}
    assert chair["back"][1][0] < 0.5 * chair["seat"][1][0]  # the back is behind
    mug = {p.name: bounds(support([p.solids])) for p in made("mug", 2).parts}
    assert mug["handle"][0][1] < mug["body"][0][1] - 0.05  # the handle is at -y


def test_no_two_nouns_are_alike():
    points = grid(18)
    shapes = [field(made(noun, 1).solids, points) < 0 for noun in TOYS]
    for a, b in itertools.combinations(shapes, 2):
        assert (a & b).sum() < 0.9 * (a | b).sum()


def test_a_mug_and_a_ring_are_hollow():
    mug = bounds(support([made("mug").parts[0].solids]))
    middle = torch.tensor((mug[0] + mug[1]) / 2).float()
    top = float(mug[1][2]) - 0.05
    rim = torch.stack([middle, middle])
    rim[:, 2] = torch.tensor([top, -0.2])
    d = field(made("mug").solids, rim)
    assert d[0] > 0.05 and d[1] < 0  # open above, solid below
    assert field(made("ring").solids, torch.zeros(1, 3)) > 0.2


# Relations


SOME = [pytest.param(97, id="some"), pytest.param(1, id="all", marks=pytest.mark.slow)]


@pytest.mark.seconds
@pytest.mark.parametrize("every", SOME)
@pytest.mark.parametrize("relation", RELATIONS)
def test_every_pair_that_is_drawable_builds_and_fits(relation: str, every: int):
    graphs = pairs(relation)
    for i, graph in enumerate(graphs[::every]):
        built = build(graph, i)
        assert sum(len(p.solids) for p in built.parts) <= MOST_SOLIDS and len(built.parts) <= 30
        assert radius(support(built.solids), np.zeros(3)) < 1.05


@pytest.mark.seconds
def test_held_out_pairs_are_drawable_too():
    for relation in ("on top of", "next to", "on stilts", "in the shape of"):
        nouns = [(g.things[0].noun, g.things[1].noun) for g in pairs(relation)]
        assert any(held(a, b) for a, b in nouns)
    drawable(parse("a frog on stilts"))


@pytest.mark.seconds
@pytest.mark.parametrize(
    "text",
    [
        "cube on top of a ball", "ball on top of a ring", "frog on top of a pumpkin",
        "ball on top of a chair", "hamburger on top of a table", "small cube on top of a large mug",
        "cone on top of a cone", "chair on top of a cylinder", "mug on top of a snowman",
        "large ball on top of a small cube", "frog on stilts", "ball on stilts",
        "small ball on top of a small chair", "snowman on top of a chair in the shape of a pumpkin",
    ],
)  # fmt: skip
def test_what_is_on_top_touches_what_is_below(text: str):
    for seed in (0, 1):
        built = made(text, seed)
        below = len(built.graph.things) - 1
        assert -0.1 < nearness(built, 0, below) < 0.01
        overlap = inside(built, 0) & inside(built, below)
        assert overlap.sum() < 0.04 * inside(built, 0).sum()
        (low, high), (low_, high_) = built.heights[0], built.heights[below]
        assert low + high > low_ + high_


def test_next_to_stands_on_one_ground_with_the_subject_at_minus_y():
    for text in ("a frog next to a hamburger", "a small mug next to a large table"):
        built = made(text, 2)
        (low, high), (low_, high_) = (bounds(support(solids(built, i))) for i in (0, 1))
        assert 0.0 < low_[1] - high[1] < 0.11
        assert abs(low[2] - low_[2]) < 1e-6


@pytest.mark.parametrize("relation", ["on top of", "next to"])
def test_small_and_large_are_far_apart(relation: str):
    for a, b in (("cube", "cube"), ("ball", "mug"), ("frog", "table")):
        for seed in range(4):
            built = made(f"a small {a} {relation} a large {b}", seed)
            assert size(built, 1) > 1.8 * size(built, 0)
            built = made(f"a large {a} {relation} a small {b}", seed)
            assert size(built, 0) > 1.8 * size(built, 1)


def test_a_hat_sits_on_the_head_and_is_no_larger_than_said():
    for who in ("snowman", "frog", "pumpkin", "ball"):
        built = made(f"{who} wearing a santa hat", 3)
        assert nearness(built, 0, 1) < 0  # the head is in it
        assert built.heights[1][1] > built.heights[0][1]
        big = made(f"{who} wearing a large santa hat", 3)
        small = made(f"{who} wearing a small santa hat", 3)
        share = [size(b, 1) / size(b, 0) for b in (big, built, small)]
        assert share[0] > 1.25 * share[1] and share[1] > 1.25 * share[2]


def test_poles_are_under_who_walks_on_stilts():
    built = made("frog on stilts", 4)
    poles = [p for p in built.parts if p.name == "poles"][0]
    assert poles.thing == 1 and built.heights[1][1] <= built.heights[0][0] + 0.15
    assert built.heights[1][1] - built.heights[1][0] > 0.4


def test_what_is_said_of_stilts_or_of_a_body_is_said_of_their_bearer():
    hat = made("frog on stilts wearing a hat", 1)
    assert hat.heights[2][1] > hat.heights[0][1] > hat.heights[1][1]
    table = made("chair in the shape of a pumpkin on top of a table", 1)
    assert table.heights[2][1] < table.heights[1][0] + 0.6


def test_a_tower_of_three_stands_in_order():
    built = made("a ball on top of a cube on top of a cylinder", 1)
    middles = [sum(span) for span in built.heights]
    assert middles[0] > middles[1] > middles[2]


@pytest.mark.seconds
@pytest.mark.parametrize("shape", SHAPES)
def test_imitating_keeps_the_silhouette_and_is_no_recolour(shape: str):
    for body in ("pumpkin", "hamburger"):
        graph = parse(f"a {shape} in the shape of a {body}")
        built, alone = build(graph, 1), made(shape, 1)
        theirs = {p.name for p in made(body, 1).parts}
        assert {p.name for p in built.parts if p.thing == 1} <= theirs
        assert any(p.main for p in built.parts if p.thing == 1)
        scale = size(alone) / size(built)
        same = [tuple(s.scaled(scale) for s in part) for part in built.solids]
        a, b = (field(s, grid(28)) < 0.04 for s in (same, alone.solids))
        sides = [m.reshape(28, 28, 28).any(axis) for axis in (0, 1) for m in (a, b)]
        for one, other in ((sides[0], sides[1]), (sides[2], sides[3])):
            assert (one & other).sum() > 0.33 * (one | other).sum()
        assert (field(same, grid(20)) - field(alone.solids, grid(20))).abs().max() > 0.05


def test_every_shape_takes_every_body():
    assert len(pairs("in the shape of")) == sum(a != b for a in SHAPES for b in BODIES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a chair wearing a hat", "'chair' cannot take that place. Nearest:"),
        ("a frog wearing a cone", "Possible: ring, hat, santa hat"),
        ("a cube in the shape of a ball", "'cube' cannot take that place"),
        ("a frog next to a frog, frog", "40 is the most"),
    ],
)
def test_what_cannot_be_drawn_is_said_with_the_nearest_choice(text: str, words: str):
    with pytest.raises(ValueError) as caught:
        drawable(parse(text))
    assert words in str(caught.value)


def test_a_pattern_without_a_paint_is_refused():
    with pytest.raises(ValueError, match="no paint for 'plaid'.*ten colours and: rainbow, wooden"):
        drawable(Graph((Thing("chair", pattern="plaid"),)))


def test_a_noun_without_a_toy_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="no toy for 'carr'. Nearest: car"):
        drawable(Graph((Thing("carr"),)))
