"""A sentence becomes a textured 3D file: the Python behind `dreamlift generate`.

    python examples/03_generate.py ["a frog on stilts" [OUT.glb]]

The embedded prior, no download, about a minute on two cores. The run's folder keeps everything:
settings, metrics, previews, the object, a film. Start it again and it gives what is there;
interrupt it with Ctrl-C and start it again, and it goes on where it stopped.
"""

import sys
from pathlib import Path

import torch

import dreamlift
from dreamlift.cameras import orbit
from dreamlift.io.images import save_png, strip
from dreamlift.lights import Light
from dreamlift.scene import Shot
from dreamlift.scenes.mesh import Mesh


def main(
    out: Path, prompt: str = "a traffic cone", *, prior: str = "embedded", steps: int | None = None
) -> dreamlift.Asset:
    """The object, as `out` and with a picture of its four sides beside it."""
    asset = dreamlift.generate(prompt, seed=0, prior=prior, steps=steps)
    asset.save(out, replace=True)

    # An object is a scene again: look at it from wherever you like, in your own light.
    azimuth = torch.tensor([0.0, 90.0, 180.0, 270.0])
    cameras = orbit(azimuth, torch.full_like(azimuth, 20.0), size=256)
    half = torch.full_like(azimuth, 0.5)
    light = Light(cameras.position + torch.tensor([0.0, 0.0, 3.0]), half, half, half < 0)
    white = torch.ones(1, 1, 1, 3)
    with torch.no_grad():
        sides = Mesh(asset.parts()).render(Shot(cameras, light)).over(white)
    save_png(out.with_suffix(".png"), strip(sides.clamp(0, 1), gap=4))
    return asset


if __name__ == "__main__":
    said = sys.argv[1] if len(sys.argv) > 1 else "a traffic cone"
    file = Path(sys.argv[2] if len(sys.argv) > 2 else "03_generate.glb")
    made = main(file, said)
    print(f"{file} and {file.with_suffix('.png')}: {made.report}. The run is {made.folder}")
