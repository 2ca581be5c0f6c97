"""One paper, one file: a frozen dataclass of its numbers with a `run` that reads like it.

Every recipe has `full()` and `paper()`, its other presets, and `made(run)`, what its finished run
has made, which needs no prior. Importing this costs nothing: the command line reads here what it
offers, and offers.py has the classes.
"""

from typing import Annotated, Literal, TypeAlias

Name: TypeAlias = Literal[
    "dreamfusion",
    "sjc",
    "csd",
    "nfsd",
    "sdi",
    "hifa",
    "dreamtime",
    "perpneg",
    "latent_nerf",
    "magic3d",
    "fantasia3d",
    "prolificdreamer",
    "textmesh",
    "dreamgaussian",
    "gaussiandreamer",
    "luciddreamer",
    "dreamfields",
    "clip_mesh",
    "mvdream",
    "zero123",
]
"""The recipes that the command line offers: their files' names."""
Preset: TypeAlias = Literal["draft", "full", "paper"]
"""Numbers for a look at it in about a minute, for the best that the embedded prior gives, or the
paper's, as far as they have a place here: for large priors and a GPU."""
Method: TypeAlias = Literal[
    "sds", "sjc", "csd", "nfsd", "vsd", "ism", "sdi", "hifa", "dreamtime", "jacobian"
]
"""The guidances that plain pictures can follow (playground.py)."""
File: TypeAlias = Annotated[str, "the path of a file"]
"""A number of a recipe that is no sentence: the path of a file of the user's, "" for none."""
