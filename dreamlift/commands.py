"""The commands that are no run: look at runs and bring them out again, show pictures, train, ask.

Each imports what it needs when it runs. cli.py has `generate`, `reconstruct` and `resume`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import tyro

from dreamlift.errors import BadInput
from dreamlift.recipes import Method
from dreamlift.reconstruct import NAME as RECONSTRUCT

if TYPE_CHECKING:
    from dreamlift.convert.finish import Finish
    from dreamlift.export import Format

Folder: TypeAlias = Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")]
File: TypeAlias = Annotated[Path | None, tyro.conf.arg(metavar="FILE")]
Number: TypeAlias = Annotated[int | None, tyro.conf.arg(metavar="INT")]


@dataclass(frozen=True)
class Evaluate:
    """Score finished runs: does an object look like its prompt from every side, in colour and in
    shape; and has it one face only?"""

    runs: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN...")]
    """Folders that `dreamlift generate` named."""
    json_file: Annotated[Path | None, tyro.conf.arg(name="json", metavar="FILE")] = None
    """Where to write the scores."""
    html: File = None
    """Where to write a report with pictures."""

    def run(self) -> int:
        from dreamlift.api import degenerate
        from dreamlift.evaluate.runs import evaluate
        from dreamlift.run import Run

        empty = {path: why for path in self.runs if (why := degenerate(Run.open(path)))}
        scores = evaluate(self.runs, self.json_file, self.html, empty=empty)
        headline = {key: scores[key] for key in ("r_precision", "janus")}
        print(json.dumps(headline))
        if self.json_file or self.html:
            print(self.json_file or self.html)
        return 0


@dataclass(frozen=True)
class Image:
    """Show how diffusion works, as a labelled strip: a sample with more and more noise, what the
    prior guesses of it in one step, and how DDIM walks from noise to a picture. With --optimise,
    show what a guidance makes of grey pictures, step by step."""

    prompt: Annotated[str, tyro.conf.arg(metavar="PROMPT")]
    """What to show."""
    out: File = None
    """The picture to write; by default image-PROMPT-[METHOD-]SEED.png here."""
    optimise: Method | None = None
    """The guidance to follow; jacobian is the whole gradient of the diffusion loss."""
    count: Number = None
    """With --optimise, of the pictures that follow it, a row each (by default 3)."""
    seed: int = 0
    """Of the noise."""
    steps: Number = None
    """Of DDIM (by default 32), or of the optimiser (200)."""
    scale: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """Classifier-free guidance scale, 1 is no guidance; by default 5 for DDIM, 7.5 to follow."""
    tries: int = 1
    """Without --optimise: of so many pictures, show the one that the embedded CLIP likes best."""
    reading: float = 0.0
    """Without --optimise: how strongly what the embedded CLIP reads leads the way (try 30)."""
    prior: str = "embedded"
    """The diffusion model: `embedded`, sd15, sd21, sdxl, if ..., or a folder."""
    device: str = "auto"
    """Where to compute: auto, cpu, mps, cuda or cuda:N."""
    previews: Annotated[int, tyro.conf.arg(metavar="STEPS")] = 0
    """With --optimise, every so many steps: what the guidance asks its prior (the picture, with
    noise, what is guessed of it at once, and by a short DDIM), in OUT-previews/. 0: none."""

    def run(self) -> int:
        from dreamlift.playground import Picture
        from dreamlift.run import slug
        from dreamlift.showing import image, optimise

        steps = (200 if self.optimise else 32) if self.steps is None else self.steps
        scale = (7.5 if self.optimise else 5.0) if self.scale is None else self.scale
        method = f"{self.optimise}-" if self.optimise else ""
        out = self.out or Path(f"image-{slug(self.prompt)}-{method}{self.seed}.png")
        if self.optimise:
            if self.tries != 1:
                raise BadInput("--tries is for pictures from noise. Leave --optimise out.")
            if self.reading:
                raise BadInput("--reading is for pictures from noise. Leave --optimise out.")
            count = 3 if self.count is None else self.count
            wanted = Picture(self.prompt, self.optimise, self.seed, steps, count, scale)
            optimise(wanted, out, prior=self.prior, device=self.device, previews=self.previews)
        else:
            if self.previews or self.count is not None:
                flag = "--previews" if self.previews else "--count"
                raise BadInput(f"{flag} is for a guidance. Say --optimise METHOD too.")
            image(
                self.prompt,
                out,
                seed=self.seed,
                steps=steps,
                scale=scale,
                tries=self.tries,
                reading=self.reading,
                prior=self.prior,
                device=self.device,
            )
        print(out)
        return 0


@dataclass(frozen=True)
class Export:
    """Bring a finished run's object out again, finer or coarser, as one file."""

    run_folder: Annotated[Path, tyro.conf.arg(name="run", metavar="RUN")]
    """The folder that `dreamlift generate` or `dreamlift reconstruct` named."""
    format: Literal[
        "glb", "obj", "stl", "ply", "usdz", "splat-ply", "splat", "spz", "mp4", "png"
    ] = "glb"
    """The object as a mesh (glb, obj, stl, usdz; ply, with colours at its vertices), as Gaussians
    where it is made of them (splat-ply, the INRIA layout; splat; spz), its turntable (mp4) or its
    contact sheet (png)."""
    out: File = None
    """The file to write; by default RUN/export-RESOLUTION-FACES.FORMAT, RUN/splats.ply, ..."""
    resolution: Number = None
    """Samples along each side of the grid that the surface is cut from; by default the run's."""
    smooth: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """World units over which grain is blurred away first, 0: none; by default the run's."""
    faces: Number = None
    """Triangles, at most; by default the run's."""
    texture: Number = None
    """Side of the texture, in texels; by default the run's."""
    frames: Number = None
    """Of the turntable; by default the run's."""
    size: Number = None
    """Side of the turntable's and the contact sheet's pictures, in pixels; by default the run's."""

    def run(self) -> int:
        from dreamlift import reconstructed
        from dreamlift.api import export_again
        from dreamlift.convert.finish import Finish
        from dreamlift.export import SPLATS, suffix_of
        from dreamlift.request import Request
        from dreamlift.run import Run

        run = Run.open(self.run_folder)
        photographs = run.settings.get("recipe") == RECONSTRUCT
        of_run = reconstructed.finish_of(run) if photographs else Request.of(run).finish
        finish = Finish(
            of_run.resolution if self.resolution is None else self.resolution,
            of_run.smooth if self.smooth is None else self.smooth,
            of_run.faces if self.faces is None else self.faces,
            of_run.texture if self.texture is None else self.texture,
            of_run.frames if self.frames is None else self.frames,
            of_run.size if self.size is None else self.size,
        )
        suffix = suffix_of(self.format)
        name = "splats" if self.format in SPLATS else _named(finish, of_run, self.format)
        out = self.out or self.run_folder / f"{name}{suffix}"
        if self.out is not None and out.suffix.lower() != suffix:
            raise BadInput(f"{out.name} is no {suffix} file. Say --format too, or rename it.")
        again = reconstructed.export_again if photographs else export_again
        print(again(self.run_folder, out, finish, self.format))
        return 0


def _named(finish: "Finish", of_run: "Finish", form: "Format") -> str:
    """What an export is called that was given no name: by the numbers that make it another."""
    name = f"export-{finish.resolution}-{finish.faces}"
    if finish.texture != of_run.texture:
        name += f"-texture-{finish.texture}"
    if finish.smooth != of_run.smooth:
        name += f"-smooth-{finish.smooth:g}"
    films = {"png": f"-sheet-{finish.size}", "mp4": f"-film-{finish.frames}-{finish.size}"}
    return name + films.get(form, "")


@dataclass(frozen=True)
class Train:
    """Train an embedded model on this machine; the same command again continues. `whole` begins
    with the weights of text-to-image that ship, `judge-whole` with those of judge, the others with
    nothing."""

    name: Annotated[str, tyro.conf.arg(metavar="NAME")]
    """tower, text-to-image, whole, clip, judge or judge-whole."""
    minutes: Annotated[float | None, tyro.conf.arg(metavar="FLOAT")] = None
    """Stop after this long, to be continued; by default at the last step."""
    stop_after: Annotated[float, tyro.conf.arg(metavar="SHARE")] = 1.0
    """Stop after that share of the steps, to be continued: the beginning of the same training."""
    steps: Number = None
    """Where the training ends; by default the recipe's own."""
    seed: int = 0
    """Every picture, caption and weight follows from it."""
    begin: Folder = None
    """Go on from a prior's weights, with Muon, at a rate that falls from the first step: a folder
    with unet/ and tower/, as a training leaves. Say a --seed of your own for fresh pictures."""
    processes: Annotated[int, tyro.conf.arg(metavar="INT")] = 1
    """How many share each step of a prior's training, each with pictures of its own."""
    out: Folder = None
    """Where to train; by default runs/train/NAME."""

    def run(self) -> int:
        from dreamlift.learn.loop import Stop
        from dreamlift.learn.train import Further, train

        out = self.out or Path("runs/train") / self.name
        try:
            stop = Stop(self.minutes, self.stop_after)
            further = Further(self.begin, self.processes)
            train(self.name, out, stop=stop, steps=self.steps, seed=self.seed, further=further)
        except KeyboardInterrupt:
            said = "Interrupted; the training is saved, and the same command continues it."
            raise KeyboardInterrupt(said) from None
        print(out)
        return 0


@dataclass(frozen=True)
class Doctor:
    """Say what this machine can do, how fast, and what to do about what is missing."""

    runs: Path = Path("runs")
    """Where runs would be written."""
    prior: str = "embedded"
    """The diffusion model to ask about: whether it is here, its licence, and whether it fits."""
    memory: Annotated[str, tyro.conf.arg(metavar="SIZE")] = ""
    """Show how a step of it would be taken in so much memory, such as 8G."""
    device: str = "auto"
    """Where it would be: auto, cpu, mps, cuda or cuda:N."""

    def run(self) -> int:
        from dreamlift.doctor import examine

        return 0 if examine(self.runs, self.prior, self.memory, self.device) else 1
