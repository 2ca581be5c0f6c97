"""Dense grids: levels nest, lookup is trilinear, slopes are differences, density has an inverse."""

import torch
from conftest import rng

from dreamlift.render.grid import HALF, density_of, halve, lookup, raw_of, slopes, vertices


def _points(n: int, reach: float = HALF) -> torch.Tensor:
    return (2 * torch.rand(n, 3, generator=rng(), dtype=torch.float64) - 1) * reach


def _grid(side: int, channels: int = 4) -> torch.Tensor:
    return torch.randn(side, side, side, channels, generator=rng(1), dtype=torch.float64)


def test_lookup_reproduces_a_trilinear_function() -> None:
    def f(p: torch.Tensor) -> torch.Tensor:
        x, y, z = p.unbind(-1)
        return torch.stack([1 + 2 * x - 3 * y + 0.5 * z + x * y - 2 * y * z + x * y * z, x], -1)

    points = _points(200)
    grid = f(vertices(7, dtype=torch.float64))
    torch.testing.assert_close(lookup(grid, points), f(points))


def test_lookup_agrees_with_grid_sample() -> None:
    grid, points = _grid(6), _points(100)
    volume = grid.permute(3, 0, 1, 2)[None]
    place = (points / HALF).flip(-1)[None, None, None]
    theirs = torch.nn.functional.grid_sample(volume, place, align_corners=True)[0, :, 0, 0].T
    torch.testing.assert_close(lookup(grid, points), theirs)


def test_outside_the_cube_the_nearest_face_is_seen() -> None:
    grid = _grid(5)
    out, face = torch.tensor([[3.0, 0.2, -0.7]]).double(), torch.tensor([[HALF, 0.2, -0.7]])
    torch.testing.assert_close(lookup(grid, out), lookup(grid, face.double()))


def test_a_halved_grid_is_the_same_function() -> None:
    grid, points = _grid(5, 2), _points(300)
    fine = halve(grid)
    assert fine.shape == (9, 9, 9, 2)
    torch.testing.assert_close(lookup(fine, points), lookup(grid, points))


def test_slopes_looked_up_are_central_differences_of_the_field() -> None:
    grid = _grid(9, 1)
    cell = 2 * HALF / 8
    points = _points(100, HALF - cell)  # a cell away from the faces, where they are one-sided
    step = cell * torch.eye(3, dtype=torch.float64)
    difference = torch.cat(
        [(lookup(grid, points + e) - lookup(grid, points - e)) / (2 * cell) for e in step], -1
    )
    torch.testing.assert_close(lookup(slopes(grid[..., 0]), points), difference)


def test_raw_of_inverts_density_of() -> None:
    density = torch.tensor([1e-3, 0.4, 2.0, 30.0, 300.0], dtype=torch.float64)
    torch.testing.assert_close(density_of(raw_of(density)), density)


def test_lookup_can_be_differentiated_twice() -> None:
    grid, points = _grid(4, 1).requires_grad_(), _points(5).requires_grad_()

    def gradient(g: torch.Tensor, p: torch.Tensor) -> torch.Tensor:
        (out,) = torch.autograd.grad(lookup(g, p).sum(), p, create_graph=True)
        return out

    assert torch.autograd.gradcheck(gradient, (grid, points))
