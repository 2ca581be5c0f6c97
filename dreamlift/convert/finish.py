"""How finely an object is brought out: the numbers of an export."""

from dataclasses import asdict, dataclass

from dreamlift.errors import BadInput


@dataclass(frozen=True)
class Finish:
    """How finely an object is brought out."""

    resolution: int = 128
    """Samples along each side of the grid that the surface is cut from."""
    smooth: float = 0.05
    """World units over which the grain of a density is blurred away before the surface is cut."""
    faces: int = 20_000
    """Triangles of the asset, at most."""
    texture: int = 512
    """Side of the texture, in texels."""
    frames: int = 48
    """Of the turntable; 24 are shown each second."""
    size: int = 256
    """Side of the turntable's and the contact sheet's pictures, in pixels; even."""


DRAFT = Finish(resolution=112, faces=10_000, frames=36)
"""A few seconds on one core."""
FULL = Finish(resolution=192, texture=1024, frames=96, size=384)
"""Half a minute on one core."""


LIMITS = {
    "resolution": (16, 512),
    "smooth": (0, 0.5),
    "faces": (100, 2_000_000),
    "texture": (16, 8192),
    "frames": (1, 10_000),
    "size": (16, 2048),
}
"""The least and the most of every number of a `Finish`."""


def check_finish(finish: Finish) -> None:
    """Raises BadInput for numbers that nothing could be made with."""
    for name, value in asdict(finish).items():
        least, most = LIMITS[name]
        whole = type(getattr(DRAFT, name)) is int
        if type(value) is not int and (whole or type(value) is not float):
            raise BadInput(f"The {name} is a {'whole ' * whole}number; {value!r} was asked for.")
        if not least <= value <= most:
            raise BadInput(f"The {name} must be {least} to {most}; {value} was asked for.")
    if finish.size % 2:
        raise BadInput(f"The size of a film must be even; {finish.size} was asked for.")
