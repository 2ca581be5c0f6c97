"""The mesh of a volume, a field among them, with its colours."""

from dreamlift.convert.bake import baked
from dreamlift.convert.cut import cut
from dreamlift.convert.finish import Finish
from dreamlift.geometry.isosurface import Isosurface
from dreamlift.geometry.mesh import Surface
from dreamlift.geometry.volume import Volume


def extract(volume: Volume, finish: Finish) -> tuple[Surface, Isosurface, int]:
    """The surface of a volume with a baked texture, how it was cut, and its number of charts."""
    found = cut(volume, finish)
    surface, charts = baked(volume, finish, found)
    return surface, found, charts
