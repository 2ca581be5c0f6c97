"""Toys as they are while something is done with them: forelegs reaching out, lids off."""

from dataclasses import replace

import numpy as np

from dreamlift.geometry.primitives import Kind, Solid
from dreamlift.toybox.objects import Toy


def reaching(toy: Toy) -> Toy:
    """The toy with its forelegs stretched out in front, if it stands on all fours."""
    figure = toy.figure
    if figure is None or figure.pitch < 90 or not figure.arms:
        return toy

    def swung(solid: Solid) -> Solid:
        x, y, z = (solid.offset + solid.linear @ [0, 0, solid.size[0]]).tolist()
        return solid.at(-x, -y, -z).turned("y", -68).at(x, y, z)

    def is_arm(solid: Solid) -> bool:
        return any(
            solid.kind == arm.kind == Kind.CONE and np.allclose(solid.offset, arm.offset)
            for arm in figure.arms
        )

    pieces = tuple(
        replace(p, solids=tuple(swung(s) if is_arm(s) else s for s in p.solids)) for p in toy.pieces
    )
    arms = tuple(map(swung, figure.arms))
    return replace(toy, pieces=pieces, figure=replace(figure, arms=arms))


def opened(toy: Toy) -> Toy:
    """The toy with its lid off, if it has one."""
    if toy.well is None or not toy.well.opened:
        return toy
    return replace(toy, pieces=toy.well.opened)
