"""How well a scene made of photographs shows those that it was not made from; sheets and films."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.cameras import Cameras, look_at, spherical
from dreamlift.convert.finish import Finish
from dreamlift.export import export
from dreamlift.films import tour
from dreamlift.fit import Moment
from dreamlift.geometry.isosurface import DegenerateError
from dreamlift.io.atomic import atomic
from dreamlift.io.images import contact_sheet, save_png
from dreamlift.io.video import save_mp4
from dreamlift.likeness import psnr, ssim, whole
from dreamlift.posed import Posed
from dreamlift.scenes.background import Environment
from dreamlift.scenes.field import Field
from dreamlift.scenes.gaussians import Cloud
from dreamlift.scenes.rebuilt import Rebuilt

Either: TypeAlias = Rebuilt[Field | Cloud]
REPORT, SHEET, FLIGHT, ORBIT = "report.json", "held_out.png", "flythrough.mp4", "orbit.mp4"
SHOWN = 8
"""Held-out views on the sheet, at most."""
FRAMES = 96
"""Of each film; 24 are shown each second."""


def look(made: Either, cameras: Cameras) -> Float[Tensor, "h w 3"]:
    """What one camera sees, on the CPU."""
    at = next(made.scene.parameters()).device
    return made.picture(cameras.to(at))[0].cpu()


def truth(posed: Posed, i: int, made: Either) -> Float[Tensor, "h w 3"]:
    """A photograph before what the scene is shown before, where it is cut out."""
    empty = made.empty if made.behind is None else 0.0
    return posed.images[i] + (1 - posed.alpha[i]) * empty


def scores(posed: Posed, made: Either) -> tuple[list[dict[str, Any]], list[Tensor]]:
    """PSNR (dB) and SSIM of each photograph where it is known; and what was rendered.

    None where a mask leaves no pixel to compare, or none of SSIM's windows whole.
    """
    rows: list[dict[str, Any]] = []
    seen: list[Tensor] = []
    for i, name in enumerate(posed.names):
        picture = look(made, posed.cameras[i : i + 1])
        pair = picture[None], truth(posed, i, made)[None], posed.known[i : i + 1]
        near = psnr(*pair) if bool(pair[2].any()) else None
        alike = float(ssim(*pair)) if bool(whole(pair[2]).any()) else None
        rows.append({"name": name, "psnr": near, "ssim": alike})
        seen.append(picture)
    return rows, seen


def mean(rows: list[dict[str, Any]], key: str) -> float | None:
    """Of all views, or None where there are none."""
    values = [row[key] for row in rows if row[key] is not None]
    return sum(values) / len(values) if values else None


def report(
    folder: Path, posed: Posed, made: Either, about: Mapping[str, object], *, resolution: int
) -> dict[str, Any]:
    """Score, draw, film and export what was made; report.json, written last, says how well."""
    held, learned = posed.some(posed.held_out), posed.some(~posed.held_out)
    rows, seen = scores(held, made)
    some = torch.arange(len(learned.names)) % max(1, len(learned.names) // SHOWN) == 0
    trained, also = scores(learned.some(some), made)
    if rows:
        save_png(folder / SHEET, sheet(held, seen, made))
    else:
        save_png(folder / SHEET, sheet(learned.some(some), also, made))
    save_mp4(folder / FLIGHT, flight(learned.cameras, made))
    save_mp4(folder / ORBIT, around(posed.cameras, made))
    try:
        asset = export(made.scene, folder, finish=Finish(resolution), replace=True).report
        surface = None if asset is None else asdict(asset)
    except DegenerateError as error:  # the views may be right and nothing in them solid
        surface = {"degenerate": str(error)}
    said = {
        "psnr": mean(rows, "psnr"),
        "ssim": mean(rows, "ssim"),
        "held_out": rows,
        "learned_from": {
            "photographs": len(learned.names),
            "psnr": mean(trained, "psnr"),
            "ssim": mean(trained, "ssim"),
        },
        "placement": posed.placement.tolist(),
        **about,
        "surface": surface,
    }
    with atomic(folder / REPORT) as file:
        file.write_text(json.dumps(said, indent=2) + "\n")
    return said


def sheet(posed: Posed, seen: list[Tensor], made: Either) -> Float[Tensor, "y x 3"]:
    """Rows of a photograph, what was made of it, and how much they differ (three times)."""
    pictures: list[Tensor] = []
    labels: list[str] = []
    every = -(-len(seen) // SHOWN)
    for i in range(0, len(seen), every):
        photo = truth(posed, i, made)
        known = posed.known[i]
        error = 3 * (photo - seen[i]).abs() * known
        pictures += [photo * known, seen[i], error]
        near = (
            f"{psnr(seen[i][None], photo[None], known[None]):.1f} dB" if bool(known.any()) else ""
        )
        labels += [Path(posed.names[i]).name, near or "masked", "difference x 3"]
    return contact_sheet(torch.stack(pictures), columns=3, labels=labels)


def flight(
    cameras: Cameras, made: Either, frames: int = FRAMES
) -> Iterator[Float[Tensor, "h w 3"]]:
    """Past the photographs' places, each time on to the nearest that was not visited."""
    place = cameras.position
    order = [0]
    while len(order) < len(cameras):
        away = (place - place[order[-1]]).norm(dim=-1)
        away[order] = torch.inf
        order.append(int(away.argmin()))
    path = tour(cameras[torch.tensor(order)], frames)
    even = path.height // 2 * 2, path.width // 2 * 2
    start = torch.zeros(frames, dtype=torch.long)
    path = path.windows(torch.arange(frames), start, start, height=even[0], width=even[1])
    for i in range(frames):
        yield look(made, path[i : i + 1])


def around(
    cameras: Cameras, made: Either, frames: int = FRAMES
) -> Iterator[Float[Tensor, "h w 3"]]:
    """Once around, as high and as far away as the photographs were taken from."""
    size = min(cameras.height, cameras.width, 512) // 2 * 2
    azimuth = torch.arange(frames) * (360.0 / frames)
    height = torch.full_like(azimuth, float(cameras.elevation.mean().clamp(-60, 60)))
    position = float(cameras.distance.mean()) * spherical(azimuth, height)
    shorter = cameras.K[:, 0, 0].mean() * 2 / min(cameras.height, cameras.width)
    fov = torch.rad2deg(2 * torch.atan(1 / shorter)).expand(frames)
    path = look_at(position, torch.zeros_like(position), fov_y=fov, size=size)
    for i in range(frames):
        yield look(made, path[i : i + 1])


class Watch:
    """previews/latest.png: one held-out photograph, and what is made of it so far."""

    def __init__(self, posed: Posed, *, empty: float = 1.0, seconds: float = 20.0) -> None:
        """`empty`: the grey where nothing stands behind (scenes.rebuilt.Rebuilt)."""
        which = posed.held_out if bool(posed.held_out.any()) else ~posed.held_out
        self.one = posed.some(which)
        self.empty, self.seconds = empty, seconds
        self._due = 0.0  # on time.monotonic's clock

    def __call__(self, moment: Moment) -> None:
        done = moment.step.index + 1
        if time.monotonic() < self._due and done < moment.step.total:
            return
        scene, behind = moment.stage.scene, moment.stage.keep.get("behind")
        if not isinstance(scene, Field | Cloud):
            raise ValueError("Only the fit of a field or of Gaussians is watched so.")
        made = Rebuilt(scene, behind if isinstance(behind, Environment) else None, self.empty)
        pair = [truth(self.one, 0, made), look(made, self.one.cameras[:1])]
        folder = moment.run.path / "previews"
        names = ["latest.png"]
        if done == moment.step.total:
            names.append(f"{moment.run.stage}-{done:06d}.png")
        for name in names:
            save_png(folder / name, torch.cat(pair, 1))
        self._due = time.monotonic() + self.seconds
