"""Where Gaussians begin that are made of photographs: at points that are known, where the rays of a
coarse field end, or anywhere."""

import torch

from dreamlift.geometry.clouds import from_points
from dreamlift.geometry.gaussians import Gaussians
from dreamlift.posed import Posed, pixels
from dreamlift.scene import Shot
from dreamlift.scenes.field import Field

FEWEST = 1000
"""Points that say enough of a scene for Gaussians to begin there."""
SOLID = 0.8
"""Of a ray, that the field stops: a Gaussian begins where it does so in the mean."""
RAYS = 8192
"""Looked at together."""
TRIES = 64
"""Times as many rays, at most, as would do if all of them ended in the field."""


def at_points(posed: Posed, degree: int) -> Gaussians:
    """One at each of the points that came with the photographs (Kerbl et al., Sec. 5.1).

    Raises ValueError where none came.
    """
    if posed.points is None or posed.colors is None:
        raise ValueError("No points came with these photographs; begin at a coarse field's.")
    return from_points(posed.points, posed.colors, degree=degree)


def on_field(field: Field, posed: Posed, n: int, rng: torch.Generator, *, degree: int) -> Gaussians:
    """n where rays through random pixels end in a field, in the colours of these pixels.

    Fewer, where few of them do; where fewer than a hundredth do, anywhere.
    """
    device = next(field.parameters()).device
    draw = pixels(posed, device)
    places: list[torch.Tensor] = []
    colors: list[torch.Tensor] = []
    found = tried = 0
    while found < n and tried < TRIES * n:
        cameras, wanted = draw(RAYS, rng)
        with torch.no_grad():
            view = field.render(Shot(cameras))
        if view.depth is None:
            raise ValueError("Fields tell how far they are.")
        color, alpha = (x.reshape(RAYS, -1) for x in wanted.split([3, 1], -1))
        ends = (view.alpha.reshape(RAYS) > SOLID) & (alpha[:, 0] > SOLID)
        origins, directions = (x.reshape(RAYS, 3)[ends] for x in cameras.rays())
        share = view.depth.reshape(RAYS, 1)[ends] / view.alpha.reshape(RAYS, 1)[ends]
        places.append(origins + share * directions)
        colors.append((color / alpha.clamp_min(SOLID))[ends])
        found, tried = found + int(ends.sum()), tried + RAYS
    if found < n / 100:
        return anywhere(n, rng, degree=degree)
    return from_points(torch.cat(places)[:n], torch.cat(colors)[:n].clamp(0, 1), degree=degree)


def anywhere(n: int, rng: torch.Generator, *, degree: int) -> Gaussians:
    """n grey ones at random in the cube around the ball of radius 1.05 that objects fill."""
    places = 1.05 * (2 * torch.rand(n, 3, generator=rng, device=rng.device) - 1)
    return from_points(places, torch.full_like(places, 0.5), degree=degree)
