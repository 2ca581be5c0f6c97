"""dreamlift/fit.py: the loop does what it says, and stopping it changes nothing."""

import json
import os
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import Picture, Tiny, bits

from dreamlift.errors import BadInput
from dreamlift.fit import Moment, Stage, Terms, fit, on_white
from dreamlift.observers import log
from dreamlift.run import Run
from dreamlift.scene import Rendering, Shot
from dreamlift.step import Step


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run", {"recipe": "tiny"})


def stop_at(step: int, how: Callable[[], object]) -> Callable[[Moment], None]:
    def observer(moment: Moment) -> None:
        if moment.step.index == step:
            how()

    return observer


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def crash() -> None:
    raise RuntimeError("a crash")


def test_fit_is_the_loop_written_out(run: Run) -> None:
    stage, ours = Tiny().stage(), Tiny().stage()
    fit(stage, run)
    rng = torch.Generator().manual_seed(3)
    for index in range(12):
        step = Step(index, 12, rng)
        shot = ours.shots(step)
        view = ours.scene.render(shot, rng=rng)
        loss = sum(ours.objective(view, shot, step).values(), start=torch.zeros(()))
        ours.optimizer.zero_grad()
        loss.backward()
        ours.optimizer.param_groups[0]["lr"] = 0.05 * (1 - 0.5 * index / 12)
        ours.optimizer.step()
        ours.scene.adapt(step, view, ours.optimizer)
    assert bits(stage) == bits(ours)


def test_a_quadratic_is_solved(run: Run) -> None:
    stage = Tiny(steps=150).stage()
    fit(stage, run, [log])
    ramp = torch.linspace(0.1, 0.9, 75).reshape(5, 5, 3)
    assert (stage.scene.state_dict()["pixels"] - ramp).abs().max() < 0.15
    lines = (run.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(150))
    for line in map(json.loads, lines):
        assert line["loss"] == pytest.approx(line["data"] + line["companion"])


@pytest.mark.parametrize("at", [0, 5, 10])
def test_ctrl_c_and_continue_is_never_having_stopped(run: Run, tmp_path: Path, at: int) -> None:
    expected = Tiny().stage()
    whole = Run.create(tmp_path / "whole", {})
    fit(expected, whole, [log])
    stopped = Tiny().stage()
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, run, [log, stop_at(at, interrupt)])
    state = run.load()
    assert state is not None
    assert state["step"] == at + 1
    resumed = Tiny().stage()
    fit(resumed, run, [log])
    assert bits(resumed) == bits(expected)
    assert (run.path / "metrics.jsonl").read_bytes() == (whole.path / "metrics.jsonl").read_bytes()


def test_a_crash_loses_the_steps_since_the_checkpoint_and_nothing_else(run: Run) -> None:
    expected = Tiny().stage()
    fit(expected, run / "whole", [log])
    seen: list[int] = []
    with pytest.raises(RuntimeError, match="a crash"):
        fit(Tiny().stage(), run / "a", [log, stop_at(7, crash)], checkpoint_steps=3)
    resumed = Tiny().stage()
    fit(resumed, run / "a", [log, lambda moment: seen.append(moment.step.index)])
    assert seen == [6, 7, 8, 9, 10, 11]
    assert bits(resumed) == bits(expected)
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["stage"] == "a"] == list(range(12))


def test_a_second_ctrl_c_stops_at_once(run: Run) -> None:
    def twice() -> None:
        interrupt()
        interrupt()

    with pytest.raises(KeyboardInterrupt):
        fit(Tiny().stage(), run, [stop_at(4, twice)])
    assert run.load() is None
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_finished_stage_is_loaded(run: Run) -> None:
    stage = Tiny().stage()
    fit(stage, run)
    written = run.checkpoint.stat().st_mtime_ns
    again = Tiny().stage()
    fit(again, run, [stop_at(0, crash)])
    assert bits(again) == bits(stage)
    assert run.checkpoint.stat().st_mtime_ns == written


def test_fit_works_off_the_main_thread(run: Run) -> None:
    stage, expected = Tiny().stage(), Tiny().stage()
    thread = threading.Thread(target=fit, args=(stage, run / "thread"))
    thread.start()
    thread.join()
    fit(expected, run / "main")
    assert bits(stage) == bits(expected)


def test_checkpoints_are_written_by_the_clock(run: Run) -> None:
    with pytest.raises(RuntimeError):
        fit(Tiny().stage(), run, [stop_at(3, crash)], checkpoint_seconds=0)
    state = run.load()
    assert state is not None
    assert state["step"] == 3


def test_zero_steps_are_refused(run: Run) -> None:
    with pytest.raises(BadInput, match="at least 1 step; 0 were asked"):
        fit(Tiny(steps=0).stage(), run)


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (replace(Tiny().stage(), steps=13), "its steps is 12, not 13"),
        (replace(Tiny().stage(), seed=4), "its seed is 3, not 4"),
        (replace(Tiny().stage(), keep={}), r"it keeps \['companion'\], not \[\]"),
        (replace(Tiny().stage(), scene=Picture(6)), "size mismatch for pixels"),
    ],
)
def test_another_stage_s_checkpoint_is_refused(run: Run, other: Stage[None], reason: str) -> None:
    fit(Tiny().stage(), run)
    with pytest.raises(BadInput, match=f"is of another stage than this one: .*{reason}"):
        fit(other, run)


def poisoned(step_index: int, value: float) -> Stage[None]:
    """A stage whose term `data` becomes `value` at a step."""
    stage = Tiny().stage()

    def objective(view: Rendering[None], shot: Shot, step: Step) -> dict[str, torch.Tensor]:
        terms = dict(stage.objective(view, shot, step))
        return terms | ({"data": terms["data"] * value} if step.index == step_index else {})

    return replace(stage, objective=objective)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_term_that_is_not_finite_is_named(run: Run, value: float) -> None:
    with pytest.raises(FloatingPointError) as caught:
        fit(poisoned(7, value), run, checkpoint_steps=3)
    assert str(caught.value) == (
        f"Step 7: data is {value}. The last good checkpoint, of 6 steps, is {run.checkpoint}. "
        "Lower the learning rate or the weight of that term."
    )
    with pytest.raises(FloatingPointError, match="No checkpoint had been written yet"):
        fit(poisoned(0, value), run / "other")


def test_a_scene_that_is_not_finite_is_never_saved(run: Run) -> None:
    stage = Tiny().stage()

    def objective(view: Rendering[None], shot: Shot, step: Step) -> dict[str, torch.Tensor]:
        zero = view.color.sum() * 0
        return {"root": (zero if step.index == 5 else zero + 1).sqrt() * zero}  # 0 with slope NaN

    with pytest.raises(FloatingPointError, match="Step 5: the gradient of pixels is .*of 3 steps"):
        fit(replace(stage, objective=objective), run, checkpoint_steps=3)


def test_rates_of_unknown_groups_are_refused(run: Run) -> None:
    stage = replace(Tiny().stage(), rates=lambda step: {"pixel": 0.1})
    with pytest.raises(ValueError, match="no group 'pixel'; it has pixels, companion"):
        fit(stage, run)


def test_on_white_is_the_picture_over_white() -> None:
    view = Rendering(torch.full((2, 4, 5, 3), 0.2), torch.full((2, 4, 5, 1), 0.3), None)
    torch.testing.assert_close(on_white(view), torch.full((2, 4, 5, 3), 0.9))


def test_the_objective_is_told_what_the_scene_shows_now(run: Run) -> None:
    """The very pictures of its view, without gradients: for priors that look at them."""
    stage = Tiny(steps=2).stage()
    told: list[Shot] = []

    def objective(view: Rendering[None], shot: Shot, step: Step) -> Terms:
        assert shot.seen is not None and shot.seen.depth is None
        assert torch.equal(shot.seen.color, view.color) and not shot.seen.color.requires_grad
        told.append(shot)
        return stage.objective(view, shot, step)

    fit(replace(stage, objective=objective), run)
    assert len(told) == 2
