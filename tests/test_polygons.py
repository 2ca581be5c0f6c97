"""Polygons of every shape become triangles that cover them once."""

import numpy as np
import pytest

from dreamlift.io.polygons import MOST, meshed, shades, triangles


def areas(corners: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Signed, of triangles in the plane z = 0."""
    a, b, c = corners[faces].transpose(1, 0, 2)
    return 0.5 * np.cross(b - a, c - a)[:, 2]


def flat(places: list[tuple[float, float]]) -> np.ndarray:
    return np.array([(x, y, 0.0) for x, y in places])


ARROW = [(2.0, 0.0), (0.5, 0.5), (0.0, 2.0), (0.0, 0.0)]
NOTCH = [(2.0, 2.0), (1.0, 0.2), (0.0, 2.0), (0.0, 0.0), (2.0, 0.0)]
COMB = [(0.0, 0.0), (4.0, 0.0), (4.0, 3.0), (3.0, 1.0), (2.0, 3.0), (1.0, 1.0), (0.0, 3.0)]
BRIDGE = [  # a square of 4 with a hole of 2, and the same edge there and back
    (0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0), (0.0, 0.0),
    (1.0, 1.0), (1.0, 3.0), (3.0, 3.0), (3.0, 1.0), (1.0, 1.0),
]  # fmt: skip
STEP = [(0.0, 0.0), (1.0, 0.0), (2.0, 0.0), (2.0, 1.0), (1.0, 1.0), (1.0, 2.0), (0.0, 2.0)]
SHAPES = {"arrow": ARROW, "notch": NOTCH, "comb": COMB, "bridge": BRIDGE, "step": STEP}
AREAS = {"arrow": 1.0, "notch": 2.2, "comb": 8.0, "bridge": 12.0, "step": 3.0}


@pytest.mark.parametrize("turn", [0, 1, 2, 3])
@pytest.mark.parametrize("name", SHAPES)
def test_polygons_that_are_not_convex_are_covered_once(name: str, turn: int) -> None:
    places = SHAPES[name][turn:] + SHAPES[name][:turn]
    for corners, sign in ((flat(places), 1), (flat(places[::-1]), -1)):
        found = areas(corners, triangles(corners, np.array([len(places)])))
        assert sign * found.sum() == pytest.approx(AREAS[name])
        assert np.abs(found).sum() == pytest.approx(AREAS[name])


def test_polygons_lie_anywhere_in_space_and_stay_in_order() -> None:
    turned = np.linalg.qr(np.random.default_rng(3).normal(size=(3, 3)))[0]
    square = flat([(0, 0), (1, 0), (1, 1), (0, 1)])
    corners = np.concatenate([flat(ARROW), square[:3], square, flat(NOTCH)]) @ turned + 5
    found = triangles(corners, np.array([4, 3, 4, 5]))
    assert found[2:5].tolist() == [[4, 5, 6], [7, 8, 9], [7, 9, 10]]  # what is convex is a fan
    a, b, c = corners[found].transpose(1, 0, 2)
    size = 0.5 * np.linalg.norm(np.cross(b - a, c - a), axis=-1)
    assert [size[:2].sum(), size[2], size[3:5].sum(), size[5:].sum()] == pytest.approx(
        [1.0, 0.5, 1.0, 2.2]
    )


def test_a_polygon_that_crosses_itself_or_has_no_area_is_still_divided() -> None:
    for places in ([(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)], [(0.0, 0.0)] * 6):
        found = triangles(flat(places), np.array([len(places)]))
        assert found.shape == (len(places) - 2, 3)


def test_what_is_too_long_to_cut_is_said() -> None:
    angles = np.linspace(0, 2 * np.pi, MOST + 2, endpoint=False)
    radii = np.where(np.arange(len(angles)) % 2, 1.0, 0.5)
    star = np.stack([radii * np.cos(angles), radii * np.sin(angles), 0 * angles], 1)
    with pytest.raises(ValueError, match="5002 corners is not convex; up to 5000 are"):
        triangles(star, np.array([len(star)]))
    star[:, :2] /= radii[:, None]
    assert len(triangles(star, np.array([len(star)]))) == MOST


def test_corners_are_one_vertex_where_all_is_the_same() -> None:
    points = flat([(9, 9), (0, 0), (1, 0), (1, 1), (0, 1)])
    at, counts = np.array([1, 2, 3, 1, 3, 4, 2, 0]), np.array([3, 3, 2])
    first, faces = meshed(points, at, counts)
    assert at[first].tolist() == [1, 2, 3, 4]  # the last face is none
    assert at[first][faces].tolist() == [[1, 2, 3], [1, 3, 4]]
    uv = np.array([0, 1, 2, 0, 3, 4, 0, 0])
    first, faces = meshed(points, at, counts, uv)
    assert len(first) == 5 and uv[first][faces].tolist() == [[0, 1, 2], [0, 3, 4]]
    for wrong in (-1, 5):
        at[0] = wrong
        with pytest.raises(ValueError, match=f"names vertex {wrong}, where there are 0 to 4"):
            meshed(points, at, counts)


def test_the_brightest_is_1_or_255() -> None:
    assert shades(np.array([[0.0, 0.5, 1.001]])).tolist() == [[0.0, 0.5, 1.0]]
    assert shades(np.array([[0.0, 51.0, 255.0]])).tolist() == [[0.0, 0.2, 1.0]]
    assert shades(np.array([[0.0, 1.0, 65535.0]]), 65535.0)[0, 2] == 1.0
