"""Which CLIP a run follows: a name and a hash of its weights, checked before anything is loaded.

"embedded", or the path of a folder as transformers keeps OpenAI's CLIP and OpenCLIP in.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError

from dreamlift.errors import BadInput
from dreamlift.prior import Aligner
from dreamlift.priors.aligner import clip_aligner
from dreamlift.priors.clip import WEIGHTS, embedded_clip
from dreamlift.priors.pixel import best_dtype
from dreamlift.priors.seen import seen
from dreamlift.priors.source import DTYPES, hashed, source_of

EMBEDDED = ("clip/*.json", "clip/*.safetensors", "text-to-image/tower/*")
NEEDED = ("config.json", "model.safetensors", "preprocessor_config.json", "tokenizer_config.json")
FILES = ("*.json", "*.txt", "model.safetensors")


@dataclass(frozen=True)
class Comparer:
    """A CLIP that is to be loaded."""

    name: str  # "embedded", or the path of a folder
    sha256: str  # of its files, the first 16 digits
    dtype: Literal["float32", "bfloat16"]

    @property
    def open(self) -> bool:
        """Whether it reads any words, not only those of the embedded world."""
        return self.name != "embedded"

    def check(self, prompt: str) -> None:
        """Raise BadInput for what it cannot be told: the embedded one reads as priors do."""
        if self.name == "embedded":
            source_of("whole", "cpu").check(prompt)
            try:
                seen(WEIGHTS / "clip").refuse(prompt, "CLIP")
            except ValueError as error:
                raise BadInput(str(error)) from error
        elif not prompt.strip():
            raise BadInput("The prompt is empty. Say what to make, for example 'a frog on stilts'.")

    def load(self, device: str) -> Aligner:
        """The CLIP itself. Raises BadInput where its files are not those of the run, or broken."""
        now = _hash(self.name)
        if now != self.sha256:
            raise BadInput(
                f"The CLIP {self.name!r} has other weights than the run was started with: "
                f"{now}, not {self.sha256}. Start again in another folder."
            )
        try:
            if self.name == "embedded":
                return embedded_clip(device=device)
            return clip_aligner(self.name, device=device, dtype=DTYPES[self.dtype])
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            reason = " ".join(str(error).split())
            raise BadInput(f"The CLIP {self.name} cannot be loaded: {reason}") from error


def comparer_of(name: str | Path, device: str, *, flag: str = "--prior") -> Comparer:
    """The CLIP of a name or folder, as it is now; `flag` asked for it. Raises BadInput where there
    is none."""
    if str(name) == "embedded":
        if not (WEIGHTS / "clip" / "model.safetensors").is_file():
            raise BadInput(
                f"The embedded CLIP is not in {WEIGHTS / 'clip'}. Install the package again, or "
                "train it with `dreamlift train clip`."
            )
        return Comparer("embedded", _hash("embedded"), "float32")
    folder = Path(name).expanduser()
    missing = [file for file in NEEDED if not (folder / file).is_file()]
    if missing:
        lacks = f"it has no {missing[0]}" if folder.is_dir() else "there is no such folder"
        raise BadInput(
            f"{flag} takes a CLIP here, and {name} is none: {lacks}. Say `{flag} embedded`, or "
            "name a folder as transformers keeps a CLIP in (config.json, model.safetensors, "
            "preprocessor_config.json and a tokenizer)."
        )
    dtype = "bfloat16" if best_dtype(device) == torch.bfloat16 else "float32"
    given = str(folder.resolve())
    return Comparer(given, _hash(given), dtype)


def _hash(name: str) -> str:
    return hashed(WEIGHTS, EMBEDDED) if name == "embedded" else hashed(Path(name), FILES)
