"""The only training loop over networks: seeded, resumable, with a moving average of the weights.

A network's recipe gives `loss(step) -> scalar`; this file owns the optimiser, the learning rate,
the moving average, the checkpoint and the log. Imports nothing but torch and safetensors, so that
it runs on a bare GPU machine.
"""

import json
import math
import os
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from dreamlift import memory
from dreamlift.interrupts import interrupts
from dreamlift.learn.muon import matrices, take
from dreamlift.learn.together import ALONE, Together


@dataclass(frozen=True)
class Stop:
    """Where a training stops, to be continued: what comes first of these."""

    minutes: float | None = None
    share: float = 1.0
    """Of the steps; the schedule is that of the whole training."""


LAST = Stop()
"""At the last step."""


@dataclass
class Training:
    """One training of one network; its state lives in `folder`."""

    network: nn.Module
    folder: Path
    steps: int
    """Where the learning rate ends."""
    lr: float = 4e-4
    warmup: int = 200
    fall: float = 0.3
    """The share of the steps, the last, over which the rate falls."""
    weight_decay: float = 0.01
    ema: float = 0.999
    clip: float = 1.0
    muon: int | None = None
    """The step from which on Muon takes the matrices; None: AdamW takes everything."""
    stop: Stop = LAST
    together: Together = ALONE
    save_every: float = 120.0
    """Seconds between checkpoints."""
    log_every: int = 50
    step: int = field(default=0, init=False)
    halfway: bool = field(default=False, init=False)
    """Whether a step is being taken: nothing to save."""

    def __post_init__(self) -> None:
        memory.keep()
        if self.steps < 1:
            raise ValueError(f"A training needs at least one step, not {self.steps}.")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.average = {k: v.detach().clone().float() for k, v in self._trained()}
        self.optimizer = torch.optim.AdamW(
            [p for _, p in self._trained()],
            lr=self.lr,
            betas=(0.9, 0.99),
            weight_decay=self.weight_decay,
            fused=True,
        )
        if self.checkpoint.exists():
            self._load()

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    def _trained(self) -> list[tuple[str, nn.Parameter]]:
        return [(k, p) for k, p in self.network.named_parameters() if p.requires_grad]

    def rate(self) -> float:
        """The learning rate: a linear warm-up, flat, over the last steps linearly down to 2 %.

        Flat in the middle, so that a training can be lengthened or cut short while it runs.
        """
        warm = min(1.0, (self.step + 1) / self.warmup)
        left = max(0.0, 1 - self.step / self.steps)
        return self.lr * warm * max(0.02, min(1.0, left / self.fall))

    def update(self, loss: Tensor) -> float:
        """One optimiser step on a loss; returns its value.

        Raises FloatingPointError, before anything has changed, where it or its gradient is not
        finite.
        """
        value = float(loss.detach())
        self._refuse("loss", value)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        self.optimizer.zero_grad()
        loss.backward()
        parameters = [p for _, p in self._trained()]
        self.together.mean([p.grad for p in parameters if p.grad is not None])
        self._refuse("gradient", float(nn.utils.clip_grad_norm_(parameters, self.clip)))
        self.halfway = True
        if self.muon is not None and self.step >= self.muon:
            take(matrices(self.network), self.optimizer, self.rate(), self.weight_decay)
        self.optimizer.step()
        decay = min(self.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
                list(self.average.values()), [p.detach().float() for p in parameters], 1 - decay
            )
        self.step += 1
        self.halfway = False
        return value

    def _refuse(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            raise FloatingPointError(
                f"The {what} is {value} after step {self.step} of {self.folder.name}. That step's "
                f"state is {self.checkpoint}; lower the learning rate."
            )

    def run(
        self,
        loss: Callable[[int], tuple[Tensor, dict[str, float]]],
        watch: Callable[[int], dict[str, float]] | None = None,
        watch_every: int = 1000,
    ) -> None:
        """Train to the last step, to where it is to stop, or Ctrl-C; saves when it stops.

        Ctrl-C is heard when a step is done; a second one at once, and half a step is not saved.
        Where another process is the first, train for as long as it does, and write nothing.
        """
        while self.together.rank > 0:
            self.update(loss(self.step)[0])
        with interrupts() as interrupted:
            self._lead(loss, watch, watch_every, interrupted)

    def _lead(
        self,
        loss: Callable[[int], tuple[Tensor, dict[str, float]]],
        watch: Callable[[int], dict[str, float]] | None,
        watch_every: int,
        interrupted: Callable[[], bool],
    ) -> None:
        start = saved = time.monotonic()
        last = min(self.steps, math.ceil(self.stop.share * self.steps))
        sums: dict[str, float] = {}
        count, first = 0, self.step
        try:
            while self.step < last:
                value, said = loss(self.step)
                said = {"loss": self.update(value), **said}
                sums = {k: sums.get(k, 0.0) + v for k, v in said.items()}
                count += 1
                if self.step % self.log_every == 0 or self.step == last:
                    seconds = time.monotonic() - start
                    means = {k: v / count for k, v in sums.items()}
                    self.log(seconds=seconds, lr=self.rate(), **means)
                    self._progress(seconds, self.step - first, means)
                    sums, count = {}, 0
                if watch is not None and self.step % watch_every == 0:
                    with self.averaged():
                        self.log(**watch(self.step))
                now = time.monotonic()
                if now - saved > self.save_every:
                    self.save()
                    saved = now
                if self.stop.minutes is not None and now - start > 60 * self.stop.minutes:
                    break
                if interrupted():
                    raise KeyboardInterrupt
        finally:
            if not self.halfway:
                self.save()

    def _progress(self, seconds: float, done: int, means: dict[str, float]) -> None:
        rate = done / max(seconds, 1e-9)
        left = (self.stop.share * self.steps - self.step) / max(rate, 1e-9)
        if self.stop.minutes is not None:
            left = min(left, 60 * self.stop.minutes - seconds)
        said = "  ".join(f"{k} {v:.4f}" for k, v in means.items())
        line = f"{self.folder.name} {self.step}/{self.steps}  {said}  {rate:.2f}/s"
        print(f"{line}  {max(left, 0) / 60:.0f} min left", file=sys.stderr, flush=True)

    def log(self, **values: float) -> None:
        """Add a line to the folder's metrics.jsonl."""
        with (self.folder / "metrics.jsonl").open("a") as file:
            file.write(json.dumps({"step": self.step, **values}) + "\n")

    @contextmanager
    def averaged(self) -> Generator[None]:
        """The network with its moving average in place of its weights."""
        now = {k: p.detach().clone() for k, p in self._trained()}
        with torch.no_grad():
            for k, p in self._trained():
                p.copy_(self.average[k])
        try:
            yield
        finally:
            with torch.no_grad():
                for k, p in self._trained():
                    p.copy_(now[k])

    def save(self) -> None:
        """Write the checkpoint atomically."""
        state: dict[str, Tensor] = {}
        for i, (k, p) in enumerate(self._trained()):
            state[f"network.{k}"], state[f"average.{k}"] = p.detach(), self.average[k]
            for name, value in self.optimizer.state_dict()["state"].get(i, {}).items():
                state[f"optimizer.{i}.{name}"] = value
        state = {k: v.detach().cpu().contiguous() for k, v in state.items()}
        state["torch_rng"] = torch.get_rng_state()
        temporary = self.checkpoint.with_suffix(".tmp")
        with temporary.open("wb") as file:  # save_file's would be readable by us alone
            file.write(save(state, {"step": str(self.step)}))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.checkpoint)

    def _load(self) -> None:
        state = load_file(self.checkpoint)
        moments: dict[int, dict[str, Tensor]] = {}
        with torch.no_grad():
            for i, (k, p) in enumerate(self._trained()):
                p.copy_(state[f"network.{k}"])
                self.average[k] = state[f"average.{k}"].to(p.device)
                prefix = f"optimizer.{i}."
                moments[i] = {n[len(prefix) :]: v for n, v in state.items() if n.startswith(prefix)}
        loaded = self.optimizer.state_dict()
        loaded["state"] = {i: m for i, m in moments.items() if m}
        self.optimizer.load_state_dict(loaded)
        torch.set_rng_state(state["torch_rng"])
        self.step = int(moments[0]["step"]) if moments[0] else 0
