"""Bugs planted in densities of distances and in sketches, as in test_planted_bugs.py."""

import planted
import pytest
import test_sdf as on_sdf
import test_sketch as on_sketches
import test_skin as on_skin
import torch
import torch.nn.functional as F
from torch import Tensor

from dreamlift.guidance import regularizers, sketch
from dreamlift.render import skin

RIGHT, SECTION = skin.volsdf_density, skin.neus_thickness
OFF, DISTANCE = sketch.off, sketch.signed_distance


def unclamped(depth: Tensor, rise: Tensor, length: Tensor, width: Tensor) -> Tensor:
    half = 0.5 * length * rise
    return (F.softplus((depth + half) / width) - F.softplus((depth - half) / width)).abs()


def swapped(density: Tensor, inside: Tensor, *, delta: float = 0.2) -> Tensor:
    optical = delta * density
    return torch.where(~inside, -(-(-optical).expm1()).clamp_min(1e-5).log(), optical)


SKIN: dict[str, planted.Bug] = {
    "not over the width": (
        skin, "volsdf_density", lambda d, w: RIGHT(d, w) * w, "peak integral"),
    "inside out": (skin, "volsdf_density", lambda d, w: RIGHT(-d, w), "peak integral"),
    "half a width": (skin, "volsdf_density", lambda d, w: RIGHT(d, w / 2), "integral"),
    "seen from within": (skin, "neus_thickness", unclamped, "leaving"),
    "whatever the angle": (
        skin, "neus_thickness", lambda d, r, s, w: SECTION(d, torch.ones_like(r), s, w),
        "telescopes leaving"),
    "the density at the middle": (
        skin, "neus_thickness", lambda d, r, s, w: skin.neus_density(d, w) * s * r.clamp_min(0),
        "telescopes"),
}  # fmt: skip
SDF: dict[str, planted.Bug] = {
    "of the square": (
        regularizers, "eikonal", lambda g: (g.square().sum(-1) - 1).square().mean(), "eikonal"),
    "of each axis": (
        regularizers, "eikonal", lambda g: (g.abs() - 1).square().mean(), "eikonal"),
}  # fmt: skip
SKETCH: dict[str, planted.Bug] = {
    "in for out": (sketch, "off", swapped, "entropy"),
    "of one unit": (
        sketch, "off", lambda d, i: OFF(d, i, delta=1.0), "entropy"),
    "distances not signed": (
        sketch, "signed_distance", lambda *a: DISTANCE(*a).abs(), "ball"),
}  # fmt: skip
ROOMS: planted.Rooms = {
    "skin": (on_skin, SKIN),
    "sdf": (on_sdf, SDF),
    "sketch": (on_sketches, SKETCH),
}
CHECKS = planted.checks(ROOMS)
BUGS = planted.bugs(ROOMS)


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_is_caught(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.catch(name, BUGS, CHECKS, monkeypatch)


def test_every_check_catches_a_bug() -> None:
    assert planted.caught(BUGS) == set(CHECKS)
