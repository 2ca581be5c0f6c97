"""Occupancy grids skip only what is negligible, and forget slowly."""

import torch
from conftest import rng

from dreamlift.render.grid import HALF
from dreamlift.render.occupancy import decay, occupancy, occupied_at


def test_an_emptied_cell_decays_by_the_rate() -> None:
    g0 = torch.rand(4, 4, 4, generator=rng())
    g = g0
    for _ in range(5):
        g = decay(g, torch.zeros_like(g), rate=0.95)
    torch.testing.assert_close(g, 0.95**5 * g0)


def test_a_cell_that_stays_dense_is_never_dropped() -> None:
    depth = torch.full((8, 8, 8), 1e-5)
    depth[2, 5, 3] = 0.02
    g = torch.zeros_like(depth)
    for _ in range(50):
        g = decay(g, depth)
        assert occupancy(g)[2, 5, 3]


def test_exactly_the_dense_cell_and_its_neighbours_are_occupied() -> None:
    depth = torch.zeros(8, 8, 8)
    depth[2, 5, 0] = 0.02
    expected = torch.zeros(8, 8, 8, dtype=torch.bool)
    expected[1:4, 4:7, 0:2] = True
    assert torch.equal(occupancy(depth), expected)


def test_uniform_fog_is_occupied_however_thin() -> None:
    for depth in (1.0, 0.03, 1e-6):
        assert occupancy(torch.full((4, 4, 4), depth)).all()


def test_points_find_their_cells() -> None:
    occupied = torch.zeros(4, 4, 4, dtype=torch.bool)
    occupied[3, 0, 1] = True
    side = 2 * HALF / 4
    inside = torch.tensor([3.5, 0.5, 1.5]) * side - HALF
    assert occupied_at(occupied, inside)
    for axis in range(3):
        for step in (-side, side):
            beside = inside.clone()
            beside[axis] += step
            assert not occupied_at(occupied, beside), "outside the cube or in another cell"
