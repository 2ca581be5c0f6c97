"""What colours toys have where none is said, looked at: pictures of their main parts."""

import torch
from skimage.color import rgb2lab
from torch import Tensor

from dreamlift.cameras import orbit
from dreamlift.graph import Graph, Thing
from dreamlift.scene import Shot
from dreamlift.toybox.colours import NAMED
from dreamlift.toybox.scenes import toy_scene

TOYS = 16
"""Of each noun."""
FAR = 30.0
"""In CIE Lab; what is farther from all ten colours has none: grey."""


def lab(colours: Tensor) -> Tensor:
    return torch.from_numpy(rgb2lab(colours.double().numpy()))


def looked_at(noun: str) -> str | None:
    """The colour that most of a noun's toys have on most of what is seen of their main parts."""
    words = lab(torch.tensor(list(NAMED.values())))
    most = torch.zeros(len(words))
    for seed in range(TOYS):
        scene = toy_scene(Graph((Thing(noun),)), seed)
        views = orbit(torch.tensor([30.0, 200.0]), torch.full((2,), 20.0), size=32)
        seen = scene.render(Shot(views))
        parts = seen.aux.part[seen.aux.coverage > 0.5].long()
        main = torch.tensor([part.main for part in scene.built.parts])
        parts = parts[main[parts]]
        apart = (lab(scene.coat.base)[:, None] - words).norm(dim=-1)
        named = (apart == apart.min(1, keepdim=True).values) & (apart < FAR)
        most += named[parts].float().mean(0) > 0.5
    return tuple(NAMED)[int(most.argmax())] if float(most.max()) > TOYS / 2 else None
