"""A chart of a few lines, drawn with Pillow."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e")
WIDE, HIGH, LEFT, RIGHT, TOP, BELOW = 900, 540, 70, 220, 30, 60


def lines(
    path: Path,
    curves: Mapping[str, Sequence[tuple[float, float]]],
    *,
    across: str,
    up: str,
    marks: Mapping[str, float] | None = None,
) -> None:
    """Write a PNG of curves of (x, y); `marks` are dashed levels of y by their names."""
    picture = Image.new("RGB", (WIDE, HIGH), "white")
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(15)
    every = [point for curve in curves.values() for point in curve]
    most = max(x for x, _ in every)
    low = int(min(y for _, y in every))
    high = int(max([y for _, y in every] + [*(marks or {}).values()])) + 1

    def place(x: float, y: float) -> tuple[float, float]:
        wide, tall = WIDE - LEFT - RIGHT, HIGH - TOP - BELOW
        return LEFT + wide * x / most, TOP + tall * (high - y) / (high - low)

    step = next(s for s in (1, 2, 5, 10, 50) if (high - low) / s <= 12)
    for y in range(low, high + 1, step):
        draw.line([place(0, y), place(most, y)], "#dddddd")
        draw.text((LEFT - 8, place(0, y)[1]), str(y), "black", font, "rm")
    stride = next(s for s in (10, 20, 50, 100, 200, 500, 1000, 10_000) if most / s <= 10)
    for k in range(int(most // stride) + 1):
        draw.line([place(k * stride, low), place(k * stride, high)], "#eeeeee")
        draw.text(
            (place(k * stride, low)[0], HIGH - BELOW + 8), str(k * stride), "black", font, "mt"
        )
    for name, y in (marks or {}).items():
        (left, at), (right, _) = place(0, y), place(most, y)
        for x in range(int(left), int(right), 12):
            draw.line([(x, at), (x + 6, at)], "#888888", 2)
        draw.text((right - 4, at - 3), name, "#666666", font, "rb")
    for (name, curve), colour in zip(curves.items(), COLOURS, strict=False):
        draw.line([place(*point) for point in curve], colour, 3)
        x, y = place(*curve[-1])
        draw.text(
            (max(x + 8, WIDE - RIGHT + 8), y), f"{name} {curve[-1][1]:.1f}", colour, font, "lm"
        )
    draw.text(((LEFT + WIDE - RIGHT) / 2, HIGH - 12), across, "black", font, "mb")
    draw.text((8, 8), up, "black", font, "lt")
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
