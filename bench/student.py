"""How fast VSD's student learns one picture, and what a step of it costs.

    python -m bench.student [--steps 100] [--lr 1e-3] [--batch 2]

Mean squared error of the noise that the student of the embedded prior predicts in one picture (a
block of green on grey, told "a red cube"), at six fixed noises in three ranges of t, before and
after; the prior's own error is the first row's. CPU time is what the process used.
"""

import argparse
import os
import time

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch

from dreamlift.diffusion import add_noise
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.vsd import Study
from dreamlift.priors.embedded import embedded
from dreamlift.priors.lora import Student, Where
from dreamlift.priors.pixel import Pixel
from dreamlift.step import Step
from dreamlift.views import Views

RANGES = ((0.2, 0.4), (0.6, 0.8), (0.9, 0.97))


def learn(prior: Pixel, where: Where, steps: int, lr: float, batch: int) -> None:
    """One student; prints its errors at five moments."""
    rng = torch.Generator().manual_seed(0)
    student = Student(prior, Sentence(prior, "a red cube"), rng=rng, where=where)
    x = torch.full((1, 64, 64, 3), 0.3)
    x[:, 20:44, 15:40] = torch.tensor([0.1, 0.6, 0.3])
    z, views, study = prior.encode(x), Views(), Study(student)
    quiz = [(views.draw(2, rng), torch.randn(2, *z.shape[1:], generator=rng)) for _ in RANGES]
    optimizer = torch.optim.AdamW(student.parameters(), lr=lr)

    def errors() -> str:
        with torch.no_grad():
            said = [
                student(add_noise(prior.schedule, z.expand_as(n), torch.tensor(t), n),
                        torch.tensor(t), shot) - n
                for (shot, n), t in zip(quiz, RANGES, strict=True)
            ]  # fmt: skip
        return "  ".join(f"{error.square().mean():.5f}" for error in said)

    numbers = sum(p.numel() for p in student.parameters())
    print(f"{where}, {numbers} numbers; error at t in {RANGES}", flush=True)
    print(f"{0:5d}  {errors()}")
    used = 0.0
    for i in range(steps):
        shot = views.draw(batch, rng)
        start = time.process_time()
        optimizer.zero_grad()
        study(z.repeat(batch, 1, 1, 1), shot, Step(i, steps, rng)).backward()
        optimizer.step()
        used += time.process_time() - start
        if (i + 1) % max(steps // 4, 1) == 0:
            print(f"{i + 1:5d}  {errors()}  {1000 * used / (i + 1):.0f} CPU ms a step", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=2)
    asked = parser.parse_args()
    prior = embedded()
    for where in ("attention", "everywhere"):
        learn(prior, where, asked.steps, asked.lr, asked.batch)


if __name__ == "__main__":
    main()
