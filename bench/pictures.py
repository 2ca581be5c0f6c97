"""The prior's own pictures of a list of prompts, judged: what can be said of a prior before any 3D.

    python -m bench.pictures OUT --list tune [--scales 1 3 7.5 20] [--limit 4] [--prior FOLDER]
                             [--tries 4] [--reading 30]

Of every prompt four pictures from around, the first of them what `dreamlift image` ends with; with
--tries each is the one that the embedded CLIP likes best of so many, with --reading its readings
lead the way there (guidance/reading.py; the judge is no witness of that, docs/benchmarks.md). The
judge must rank the prompt first among its neighbours (toybox/lists.py): by one picture, and by the
four together. True renders of the prompt's toy stand beside them. OUT/pictures.json holds the
figures with 95 % intervals over prompts, OUT/SCALE.png the pictures. It can be stopped and started
again.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch
from jaxtyping import Float
from torch import Tensor

from bench.kept import Kept
from dreamlift.cameras import orbit
from dreamlift.evaluate.figures import figure
from dreamlift.evaluate.judging import Judge, captions, fingerprint, judge_of
from dreamlift.films import key_light
from dreamlift.grammar import parse
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.reading import Read
from dreamlift.guidance.sampling import levels, trajectory
from dreamlift.guidance.scores import Score, cfg
from dreamlift.io.images import contact_sheet, load_image, save_png
from dreamlift.learn.reader import embedded_reader
from dreamlift.pilots import liked
from dreamlift.prior import Prior, Reads
from dreamlift.priors.comparer import comparer_of
from dreamlift.priors.source import source_of
from dreamlift.scene import Shot
from dreamlift.showing import HEARD
from dreamlift.toybox import lists, lists_wide
from dreamlift.toybox.scenes import toy_scene

LISTS = {
    "tune": lists.TUNE,
    "held-out": lists.HELD_OUT,
    "wide-tune": lists_wide.WIDE_TUNE,
    "wide-held-out": lists_wide.HELD_OUT,
    "seeds": lists_wide.SEEDS,
}
AZIMUTHS = torch.tensor([30.0, 120.0, 210.0, 300.0])
BACKGROUND = 0.86


def drawn(
    prior: Prior,
    prompt: str,
    shot: Shot,
    scale: float,
    steps: int,
    led: Callable[[Score], Score],
    rng: torch.Generator,
) -> Float[Tensor, "v h w 3"]:
    """The prior's pictures of a prompt, one for each camera of the shot."""
    score = cfg(prior, Sentence(prior, prompt), Sentence(prior, ""), scale, clamp=1.0)
    like = prior.encode(torch.zeros(len(shot.cameras), prior.size, prior.size, 3))
    noise = torch.randn(like.shape, generator=rng).to(like)
    end = trajectory(led(score), noise, levels(steps), shot)[-1].x0
    return prior.decode(end).clamp(0, 1).float()


def pictures(
    prior: Prior,
    prompt: str,
    scale: float,
    steps: int,
    *,
    tries: int = 1,
    reading: float = 0.0,
    reads: Reads | None = None,
) -> Float[Tensor, "4 h w 3"]:
    """From four sides, of one seed; of each the best of some tries, as the embedded CLIP reads."""
    shot = Shot(orbit(AZIMUTHS, torch.full_like(AZIMUTHS, 20.0)))
    rng = torch.Generator().manual_seed(0)

    def led(score: Score) -> Score:
        if reads is None or not reading:
            return score
        return Read(score, reads, prompt, reading, between=HEARD)

    made = torch.stack([drawn(prior, prompt, shot, scale, steps, led, rng) for _ in range(tries)])
    if reads is None or tries == 1:
        return made[0]
    best = torch.stack([liked(x, prompt, reads) for x in made]).argmax(0)
    return made[best, torch.arange(len(best))]


def truths(prompt: str) -> Float[Tensor, "4 h w 3"]:
    """True renders from the same sides."""
    cameras = orbit(AZIMUTHS, torch.full_like(AZIMUTHS, 20.0), size=128)
    seen = toy_scene(parse(prompt), 0).render(Shot(cameras, key_light(cameras)))
    return seen.over(torch.full((1, 1, 1, 3), BACKGROUND))


@torch.no_grad()
def marks(x: Float[Tensor, "v h w 3"], prompt: str, judge: Judge) -> tuple[float, float]:
    """Whether the prompt comes first: the share of single pictures, and by all together."""
    scores = (
        judge.embed_image(x) @ judge.embed_text(captions(prompt, judge.seen, textureless=False)).T
    )
    ahead = scores[:, :1] > scores[:, 1:]
    total = scores.sum(0)
    return float(ahead.all(1).float().mean()), float((total[0] > total[1:]).all())


def table(found: dict[str, dict[str, tuple[float, float]]]) -> str:
    """The figures of every scale, in Markdown."""
    rows = ["| guidance | prompts | one picture | four pictures |", "| --- | --- | --- | --- |"]
    for name, of in found.items():
        one, four = (figure([pair[k] for pair in of.values()]) for k in (0, 1))
        rows.append(f"| {name} | {len(of)} | {one} | {four} |")
    return "\n".join(rows)


def folder_of(out: Path, name: str) -> Path:
    return out / name.replace(" ", "-")


def sheet(path: Path, strips_at: Sequence[Path], prompts: Sequence[str]) -> None:
    """One picture of each prompt, the one from the front left, in OUT/SCALE.png."""
    strips = [load_image(strip)[..., :3] for strip in strips_at]
    first = torch.stack([strip[:, : strip.shape[0]] for strip in strips])
    large = first.repeat_interleave(2, 1).repeat_interleave(2, 2) if first.shape[1] < 128 else first
    path.unlink(missing_ok=True)
    save_png(path, contact_sheet(large, columns=10, labels=list(prompts)))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Judge the prior's own pictures of a list.")
    parser.add_argument("out", type=Path, help="folder of figures and pictures")
    parser.add_argument("--list", choices=LISTS, required=True, help="which prompts")
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0, 3.0, 7.5, 20.0])
    parser.add_argument("--steps", type=int, default=16, help="of DDIM")
    parser.add_argument("--limit", type=int, help="only the first prompts")
    parser.add_argument("--prior", default="embedded", help="embedded, or a folder")
    parser.add_argument("--tries", type=int, default=1, help="of each picture the best of so many")
    parser.add_argument("--reading", type=float, default=0.0, help="how strongly CLIP is heard")
    choices = parser.parse_args(arguments)
    choices.out.mkdir(parents=True, exist_ok=True)
    source = source_of(choices.prior, "cpu")
    prior = source.load("cpu")
    prompts = LISTS[choices.list][: choices.limit]
    judge = judge_of(LISTS[choices.list])
    made = {"prior": source.sha256, "list": choices.list, "steps": choices.steps}
    led = choices.tries > 1 or choices.reading
    reads = embedded_reader().likelihood if led else None
    if reads is not None:
        made |= {"tries": choices.tries, "clip": comparer_of("embedded", "cpu").sha256}
    if choices.reading:
        made |= {"reading": choices.reading}
    kept = Kept(choices.out / "pictures.json", made | {"judge": fingerprint(judge)})
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for scale in (None, *choices.scales):
        name = "true renders" if scale is None else f"{scale:g}"
        folder = folder_of(choices.out, name)
        folder.mkdir(exist_ok=True)
        paths = [folder / f"{i:03d}.png" for i in range(len(prompts))]
        for prompt, path in zip(prompts, paths, strict=True):
            if f"{name}: {prompt}" not in kept.rows or not path.exists():
                x = (
                    truths(prompt)
                    if scale is None
                    else pictures(
                        prior,
                        prompt,
                        scale,
                        choices.steps,
                        tries=choices.tries,
                        reading=choices.reading,
                        reads=reads,
                    )
                )
                path.unlink(missing_ok=True)
                save_png(path, torch.cat(list(x), 1))
                kept.keep(f"{name}: {prompt}", marks(x, prompt, judge))
                print(f"{name}: {prompt}  {kept.rows[f'{name}: {prompt}']}", flush=True)
        found[name] = {prompt: kept.rows[f"{name}: {prompt}"] for prompt in prompts}
        sheet(choices.out / f"{folder.name}.png", paths, prompts)
    print(table(found))


if __name__ == "__main__":
    main()
