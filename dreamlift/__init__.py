"""Text and pictures to 3D by following a diffusion prior: x = g(phi, c).

    import dreamlift
    asset = dreamlift.generate("a frog on stilts")
    asset.save("frog.glb")

Importing the package costs nothing: each public name is fetched from its file when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dreamlift.api import generate as generate
    from dreamlift.api import resume as resume
    from dreamlift.cameras import Cameras as Cameras
    from dreamlift.cameras import orbit as orbit
    from dreamlift.cameras import turntable as turntable
    from dreamlift.export import Asset as Asset
    from dreamlift.fit import Stage as Stage
    from dreamlift.lights import Light as Light
    from dreamlift.prior import Prior as Prior
    from dreamlift.prior import Prompt as Prompt
    from dreamlift.run import Run as Run
    from dreamlift.scene import Rendering as Rendering
    from dreamlift.scene import Scene as Scene
    from dreamlift.scene import Shot as Shot
    from dreamlift.step import Step as Step

__version__ = "0.1.0"

_HOME = {
    "generate": "api",
    "resume": "api",
    "Asset": "export",
    "Cameras": "cameras",
    "orbit": "cameras",
    "turntable": "cameras",
    "Light": "lights",
    "Prior": "prior",
    "Prompt": "prior",
    "Rendering": "scene",
    "Run": "run",
    "Scene": "scene",
    "Shot": "scene",
    "Stage": "fit",
    "Step": "step",
}


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"dreamlift has no public name {name!r}; it has {', '.join(_HOME)}.")
    return getattr(import_module(f"dreamlift.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return ["__version__", *_HOME]
