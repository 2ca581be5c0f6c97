"""The one loop over scenes: draw a shot, render, score, step, adapt, show, and keep it safe."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeAlias, TypeVar, cast, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.interrupts import interrupts
from dreamlift.run import Run
from dreamlift.scene import Aux, Rendering, Scene, Shot
from dreamlift.step import Step

Made = TypeVar("Made", bound=Scene[Any])
Terms: TypeAlias = Mapping[str, Tensor]
"""Named scalars, already weighted; their sum is minimised."""


@runtime_checkable
class Checkpointable(Protocol):
    """A module, an optimiser, or anything else that can tell its state and take it back."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> object: ...


def on_white(view: Rendering[Any]) -> Float[Tensor, "b h w 3"]:
    """The picture in front of white."""
    return view.over(view.color.new_ones(1, 1, 1, 3))


Score: TypeAlias = Callable[[Shot, Step], tuple[Rendering[Any], Terms]]
"""What a scene shows of a shot, and what that is worth."""
Descended: TypeAlias = tuple[Rendering[Any], dict[str, float]]


def descend(shot: Shot, step: Step, score: Score, optimizer: torch.optim.Optimizer) -> Descended:
    """Leave the gradient of a step in the parameters; what was seen, and the terms."""
    view, terms = score(shot, step)
    scalars = torch.stack(list(terms.values()))
    scalars.sum().backward()
    return view, dict(zip(terms, scalars.tolist(), strict=True))


@dataclass(frozen=True)
class Crew:
    """How a step is done: whole, by this process. split.py has parts, and several processes."""

    leads: Callable[[], bool] = lambda: True
    """Whether this process writes."""
    agreed: Callable[[bool], bool] = lambda stop: stop
    """Whether the run is to stop, by whether this process is to."""
    descend: Callable[[Shot, Step, Score, torch.optim.Optimizer], Descended] = descend


crew: ContextVar[Crew] = ContextVar("crew", default=Crew())  # noqa: B039 (it has no state)


@dataclass(frozen=True)
class Stage(Generic[Aux]):
    """One optimisation of one scene."""

    scene: Scene[Aux]
    shots: Callable[[Step], Shot]
    objective: Callable[[Rendering[Aux], Shot, Step], Terms]
    optimizer: torch.optim.Optimizer
    steps: int
    seed: int = 0
    rates: Callable[[Step], Mapping[str, float]] | None = None
    """Learning rates by the `name` of the optimiser's groups; a lone nameless group is "all"."""
    keep: Mapping[str, Checkpointable] = field(default_factory=dict[str, Checkpointable])
    """What else the steps change (a student, a background): saved and resumed with the scene."""
    preview: Callable[[Rendering[Aux]], Float[Tensor, "b h w 3"]] = on_white
    """Pictures to show of a rendering."""


@dataclass(frozen=True)
class Moment:
    """What an observer is shown after a step; it may look at everything and change nothing."""

    run: Run
    stage: Stage[Any]
    step: Step
    view: Rendering[Any]
    terms: Mapping[str, float]


Observer: TypeAlias = Callable[[Moment], None]
"""Logs, previews, the studio. One that is also a context manager is entered for the stage."""


class Amiss(FloatingPointError):
    """Something wrong with a step: what was found, and what a person can do about it."""

    def __init__(self, found: str, advice: str) -> None:
        super().__init__(f"{found} {advice}")
        self.found = found


@dataclass
class Standing:
    """Where a stage stands: what is saved, resumed and gone back to."""

    stage: Stage[Any]
    run: Run
    rng: torch.Generator
    done: int = 0

    def state(self) -> dict[str, Any]:
        """Of now, not copied; a finished stage needs no optimiser to go on with."""
        stage, going = self.stage, self.done < self.stage.steps
        scene = stage.scene.state_dict()
        for name, value in scene.items():
            if value.is_floating_point() and not value.isfinite().all():
                raise Amiss(f"Step {self.done - 1}: {name} is not finite.", _advice(self.run))
        return {
            "step": self.done,
            "steps": stage.steps,
            "seed": stage.seed,
            "rng": self.rng.get_state() if going else None,
            "scene": scene,
            "optimizer": stage.optimizer.state_dict() if going else None,
            "keep": {name: kept.state_dict() for name, kept in stage.keep.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Stand where a state of this stage says."""
        stage = self.stage
        stage.scene.load_state_dict(state["scene"])
        for name, kept in stage.keep.items():
            kept.load_state_dict(state["keep"][name])
        self.done = state["step"]
        if self.done < stage.steps:
            stage.optimizer.load_state_dict(state["optimizer"])
            self.rng.set_state(state["rng"])


@runtime_checkable
class Guard(Checkpointable, Protocol):
    """An observer that may change a stage's course; its state, {} at first, is saved too."""

    def begin(self, at: Standing) -> None:
        """Before each step."""

    def remedy(self, at: Standing, problem: Amiss) -> None:
        """Go back, or raise `problem`: what the last step, or its observers, found wrong."""


class Paused(Exception):
    """Raised by an observer to stop after the step, which is saved; the next `fit` goes on."""


def fit(
    stage: Stage[Aux],
    run: Run,
    observers: Sequence[Observer] = (),
    *,
    checkpoint_seconds: float = 20.0,
    checkpoint_steps: int | None = None,
) -> None:
    """Optimise stage.scene in place, from the checkpoint that `run` holds if it holds one.

    A stage that was finished is loaded. Ctrl-C saves a checkpoint after the step under way and
    raises KeyboardInterrupt; a kill loses the steps since the last checkpoint, which is written
    every `checkpoint_seconds` and every `checkpoint_steps` steps. Either way the next `fit` ends
    with the same bits as one that was never stopped. Raises Amiss, a FloatingPointError, for
    numbers that are not finite, where no `Guard` is among the observers that knows a remedy.
    """
    if stage.steps < 1:
        raise BadInput(f"A run has at least 1 step; {stage.steps} were asked for.")
    device = next(stage.scene.parameters()).device
    at = Standing(stage, run, torch.Generator(device).manual_seed(stage.seed))
    guards = [observer for observer in observers if isinstance(observer, Guard)]
    _resume(at, guards)
    if crew.get().leads():
        run.rewind(at.done)
    saved_at, stop = time.monotonic(), False
    with ExitStack() as stack:
        interrupted = stack.enter_context(interrupts())
        for observer in observers:
            if isinstance(observer, AbstractContextManager):
                stack.enter_context(observer)
        while at.done < stage.steps:
            try:
                for guard in guards:
                    guard.begin(at)
                _step(at, observers)
                stop = crew.get().agreed(interrupted())
                due = checkpoint_steps is not None and at.done % checkpoint_steps == 0
                due = due or time.monotonic() - saved_at >= checkpoint_seconds
                if due or stop or at.done == stage.steps:
                    _save(at, guards)
                    saved_at = time.monotonic()
            except Paused:
                _save(at, guards)
                raise
            except Amiss as problem:
                if not guards:
                    raise
                guards[0].remedy(at, problem)
                run.rewind(at.done)
            if stop:
                raise KeyboardInterrupt


def _step(at: Standing, observers: Sequence[Observer]) -> None:
    """One step, and those who watch it."""
    step = Step(at.done, at.stage.steps, at.rng)
    view, terms = _advance(at.stage, at.run, step)
    at.done += 1
    for observe in observers:
        observe(Moment(at.run, at.stage, step, view, terms))


def _advance(stage: Stage[Aux], run: Run, step: Step) -> tuple[Rendering[Aux], Mapping[str, float]]:
    """One step: draw, render, score, descend, adapt."""

    def score(shot: Shot, step: Step) -> tuple[Rendering[Any], Terms]:
        view = stage.scene.render(shot, rng=step.rng)
        return view, stage.objective(view, replace(shot, seen=view.detached()), step)

    stage.optimizer.zero_grad()
    view, values = crew.get().descend(stage.shots(step), step, score, stage.optimizer)
    bad = [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]
    if bad:
        raise Amiss(f"Step {step.index}: {', '.join(bad)}.", _advice(run))
    for group in stage.optimizer.param_groups:
        grads = [p.grad.sum() for p in group["params"] if p.grad is not None]
        if grads and not torch.stack(grads).isfinite().all():
            name = group.get("name", "all")
            raise Amiss(f"Step {step.index}: the gradient of {name} is not finite.", _advice(run))
    if stage.rates is not None:
        _set_rates(stage.optimizer, stage.rates(step))
    stage.optimizer.step()
    stage.scene.adapt(step, view, stage.optimizer)
    return view, values


def _set_rates(optimizer: torch.optim.Optimizer, rates: Mapping[str, float]) -> None:
    groups = {group.get("name", "all"): group for group in optimizer.param_groups}
    for name, rate in rates.items():
        if name not in groups:
            raise ValueError(f"The optimiser has no group {name!r}; it has {', '.join(groups)}.")
        groups[name]["lr"] = rate


def _save(at: Standing, guards: Sequence[Guard]) -> None:
    """Write the checkpoint, where this process is the one that writes."""
    if not crew.get().leads():
        return
    told = [guard.state_dict() for guard in guards if at.done < at.stage.steps]
    at.run.save({**at.state(), "guards": told})


def _resume(at: Standing, guards: Sequence[Guard]) -> None:
    """Load the run's checkpoint, if there is one."""
    state, stage = at.run.load(), at.stage
    for guard in guards:
        guard.load_state_dict({})
    if state is None:
        return
    try:
        for name, asked in (("steps", stage.steps), ("seed", stage.seed)):
            if state[name] != asked:
                raise ValueError(f"its {name} is {state[name]}, not {asked}")
        if state["keep"].keys() != stage.keep.keys():
            raise ValueError(f"beside the scene it keeps {[*state['keep']]}, not {[*stage.keep]}")
        at.restore(state)
        for guard, told in zip(guards, state.get("guards", ()), strict=False):
            guard.load_state_dict(told)
    except (KeyError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise BadInput(
            f"{at.run.checkpoint} is of another stage than this one: {reason}. Give another "
            "folder, or delete that file to start this stage again."
        ) from error


def made(scene: Made, run: Run) -> Made:
    """A scene as the finished stage in `run` left it. Raises BadInput where it is not finished."""
    scene.load_state_dict(finished(run))
    return scene


def finished(run: Run) -> dict[str, Any]:
    """The state of the scene that the finished stage in `run` left. Raises BadInput as `made`."""
    state = run.load()
    if state is None or state["step"] < state["steps"]:
        done = "not begun its steps"
        if state is not None:
            done = f"done {state['step']} of {state['steps']} steps"
        of = f" of its stage {run.stage!r}" if run.stage else ""
        raise BadInput(f"{run.path} has {done}{of}. Finish it first: dreamlift resume {run.path}")
    return cast("dict[str, Any]", state["scene"])


def _advice(run: Run) -> str:
    if run.checkpoint.exists():
        step = (run.load() or {}).get("step")
        known = f"The last good checkpoint, of {step} steps, is {run.checkpoint}."
    else:
        known = "No checkpoint had been written yet."
    return f"{known} Lower the learning rate or the weight of that term."
