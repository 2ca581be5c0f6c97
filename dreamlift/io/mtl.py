"""The materials of OBJ files (MTL): of each its colour and its picture, the rest left out."""

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

OPTIONS = {
    "-blendu": 1, "-blendv": 1, "-bm": 1, "-boost": 1, "-cc": 1, "-clamp": 1, "-imfchan": 1,
    "-mm": 2, "-o": 3, "-s": 3, "-t": 3, "-texres": 1, "-type": 1,
}  # fmt: skip
"""Of map_Kd, and how many values each has; -o, -s and -t have one to three numbers."""


@dataclass(frozen=True)
class Paint:
    """What a material says of its colour."""

    color: tuple[float, float, float] | None = None  # Kd, taken as sRGB, in [0, 1]
    picture: str = ""  # the file of map_Kd; none: ""
    scale: tuple[float, float] = (1.0, 1.0)  # looked up at uv * scale + offset
    offset: tuple[float, float] = (0.0, 0.0)


def rows(path: Path) -> Iterator[tuple[str, str]]:
    """The first word of each line of an OBJ or MTL file, and what follows.

    A line that ends in a backslash goes on in the next one.
    """
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    for line in _joined(lines) if "\\\n" in text or "\\\r" in text else lines:
        words = line.split(None, 1)
        if words:
            yield words[0], words[1].rstrip() if len(words) == 2 else ""


def _joined(lines: Iterable[str]) -> Iterator[str]:
    begun: list[str] = []
    for line in (*lines, ""):
        begun.append(line)
        if not line.endswith("\\") or begun[0].lstrip().startswith("#"):
            yield " ".join(text.removesuffix("\\") for text in begun)
            begun.clear()


def libraries(said: Iterable[str], folder: Path) -> list[str]:
    """The files that lines of mtllib name: one that has blanks, or several."""
    names: list[str] = []
    for text in said:
        whole = file_name(text)
        several = re.split(r'(?:(?<=\.mtl)|(?<="))\s+', text, flags=re.IGNORECASE)
        names += [whole] if located(whole, folder) else [file_name(name) for name in several]
    return list(dict.fromkeys(names))


def located(name: str, *folders: Path) -> Path | None:
    """The file of this name in the first folder that has it."""
    try:
        return next((folder / name for folder in folders if (folder / name).is_file()), None)
    except OSError:  # a name too long
        return None


def read_paints(path: Path) -> dict[str, Paint]:
    """The materials of an MTL file. Raises ValueError where a colour would not be the one said."""
    paints: dict[str, Paint] = {}
    name = ""
    for key, rest in rows(path):
        try:
            match key.lower():
                case "newmtl":
                    name = named(rest)
                    paints[name] = Paint()
                case "kd" if name:
                    paints[name] = replace(paints[name], color=_color(rest))
                case "map_kd" if name:
                    paints[name] = _pictured(paints[name], rest)
                case _:
                    pass
        except ValueError as error:
            raise ValueError(f"{path.name}, {key} {rest}: {error}") from error
    return paints


def named(text: str) -> str:
    """A material's name, which may have blanks."""
    return " ".join(text.split())


def file_name(text: str) -> str:
    """A file's name as others may write it, quoted or with backslashes."""
    return text.strip().strip('"').replace("\\", "/")


def _color(text: str) -> tuple[float, float, float]:
    values = [float(x) for x in text.partition("#")[0].split()]
    values = values * 3 if len(values) == 1 else values
    if len(values) != 3 or not all(map(math.isfinite, values)):
        raise ValueError("three numbers from 0 to 1 were expected.")
    red, green, blue = (min(max(x, 0.0), 1.0) for x in values)
    return red, green, blue


def _pictured(paint: Paint, text: str) -> Paint:
    """A material with its map_Kd: options, then a file."""
    scale_u, scale_v, offset_u, offset_v = 1.0, 1.0, 0.0, 0.0
    while (option := text.split(None, 1)[0].lower() if text else "") in OPTIONS:
        words = text.split()[1 : 1 + OPTIONS[option]]
        if option in ("-o", "-s", "-t"):
            numeric = [re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?", x) for x in words]
            words = words[: next((k for k, x in enumerate(numeric) if x is None), len(words))]
        text = re.sub(rf"^\s*\S+(\s+\S+){{{len(words)}}}\s*", "", text)
        numbers = [float(x) for x in words] if option in ("-o", "-s", "-t", "-mm") else []
        if option == "-s":
            scale_u, scale_v, *_ = *numbers, 1.0, 1.0
        elif option == "-o":
            offset_u, offset_v, *_ = *numbers, 0.0, 0.0
        elif option in ("-clamp", "-imfchan", "-mm", "-t") and not (
            words == ["off"] or numbers == [0.0, 1.0] or (option == "-t" and not any(numbers))
        ):
            raise ValueError(f"the option {option} changes the picture, and is not read.")
    scale, offset = (scale_u, scale_v), (offset_u, offset_v)
    return replace(paint, picture=file_name(text), scale=scale, offset=offset)
