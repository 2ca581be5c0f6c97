"""OFF in: vertices, polygons, and the colours of either."""

import re
from pathlib import Path
from typing import TypeAlias

import numpy as np

from dreamlift.geometry.mesh import Surface
from dreamlift.io.polygons import Floats, Ints, made, meshed, near, shades

Lines: TypeAlias = list[list[str]]


def read_off(path: Path) -> Surface:
    """What an OFF file holds, as it stands: text in three dimensions, with or without a header.

    Raises ValueError, without the file's name, where it cannot be read.
    """
    text = path.read_bytes().decode("utf-8-sig", "replace")
    lines = [words for line in text.splitlines() if (words := line.partition("#")[0].split())]
    head = re.fullmatch(r"(ST)?(C)?(N)?(4?n?)OFF(\d*)", lines[0][0]) if lines else None
    if head is not None:
        if head[4] or "BINARY" in lines[0]:
            raise ValueError(f"it is {' '.join(lines[0])}; three dimensions, as text, are read.")
        rest = [*([head[5]] if head[5] else []), *lines[0][1:]]  # some write OFF8 6 0
        lines = [rest, *lines[1:]] if rest else lines[1:]
    try:
        vertices, faces = (int(x) for x in lines[0][:2])
    except (IndexError, ValueError) as error:
        raise ValueError("the numbers of its vertices and faces were expected first.") from error
    if min(vertices, faces) < 0 or len(lines) < 1 + vertices + faces:
        raise ValueError(f"its {vertices} vertices and {faces} faces are not all there.")
    textured, colored, turned = (head is not None and bool(head[k]) for k in (1, 2, 3))
    table = _table(lines[1 : 1 + vertices], 3 + 3 * turned + 2 * textured, colored)
    at, counts, face_colors = _faces(lines[1 + vertices : 1 + vertices + faces])
    colors = shades(table[:, 3 + 3 * turned :][:, :3]) if colored else None
    owner = np.repeat(np.arange(len(counts)), counts)
    by_face = colors is None and face_colors is not None
    points = near(table[:, :3])
    first, triangles = meshed(points, at, counts, *([owner] if by_face else []))
    if colors is not None:
        colors = colors[at[first]]
    elif face_colors is not None:
        colors = face_colors[owner[first]]
    normals = table[at[first], 3:6] if turned else None
    return made(path.name, points[at[first]], triangles, colors=colors, normals=normals)


def _table(lines: Lines, width: int, colored: bool) -> Floats:
    """The vertices' numbers: place, normal, colour with or without alpha, texture coordinates."""
    widths = (width + 3, width + 4) if colored else (width,)
    for k, words in enumerate(lines):
        if len(words) not in widths or len(words) != len(lines[0]):
            few = " or ".join(map(str, widths))
            raise ValueError(f"vertex {k} has {len(words)} numbers; its header announces {few}.")
    values = [float(x) for words in lines for x in words]
    return np.array(values, np.float64).reshape(len(lines), -1 if lines else width)


def _faces(lines: Lines) -> tuple[Ints, Ints, Floats | None]:
    """Corners (c), how many each face has (f), and the colours that some have (f 3)."""
    at: list[int] = []
    counts: list[int] = []
    colors: list[list[float]] = []
    for k, words in enumerate(lines):
        count = int(words[0])
        color = words[1 + count :]
        if count < 0 or len(words) < 1 + count or len(color) == 2:
            raise ValueError(f"face {k} does not say {count} corners, and a colour or none.")
        if len(color) == 1:
            raise ValueError(f"face {k} has a colour of a map, {color[0]}, and no map is read.")
        at += [int(x) for x in words[1 : 1 + count]]
        counts.append(count)
        colors.append([float(x) for x in color[:3]] if color else [np.nan] * 3)
    shown = np.array(colors, np.float64).reshape(-1, 3)
    shown = np.nan_to_num(shades(shown), nan=1.0) if np.isfinite(shown).any() else None
    return np.array(at, np.int64), np.array(counts, np.int64), shown
