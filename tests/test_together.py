"""Processes that train one network: as one that sees all their pictures."""

import os
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from dreamlift.learn.loop import Training
from dreamlift.learn.together import ALONE, Parted, Together, beside

STEPS = 8


def loss(network: nn.Module, step: int, seeds: list[int]) -> Tensor:
    """Of three examples of each seed."""
    draws = [torch.Generator().manual_seed(100 * step + seed) for seed in seeds]
    x = torch.cat([torch.randn(3, 4, generator=rng) for rng in draws])
    return (network(x) - x[:, :2].sin()).square().mean()


def learn(folder: Path, *, together: Together, dies: int | None = None, of: int = 1) -> None:
    """A small training; with `of`, one process sees what so many would. `dies`: at that step."""
    torch.manual_seed(5)
    network = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 8), nn.Linear(8, 2))
    seeds = list(range(of)) if of > 1 else [together.rank]
    training = Training(network, folder, STEPS, lr=0.05, warmup=2, muon=3, together=together)

    def asked(step: int) -> tuple[Tensor, dict[str, float]]:
        if together.rank == 1 and step == dies:
            os._exit(3)
        return loss(network, step, seeds), {}

    training.run(asked)


@pytest.mark.seconds
@pytest.mark.parametrize("count", [2, 3])
def test_as_one_that_sees_all_their_pictures(tmp_path: Path, count: int) -> None:
    threads, said = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    shared = partial(learn, tmp_path / "shared")
    with beside(count, shared) as place:
        assert place == Together(0, count) and torch.get_num_threads() <= max(1, threads // count)
        shared(together=place)
    assert torch.get_num_threads() == threads and os.environ.get("OMP_NUM_THREADS") == said
    learn(tmp_path / "one", together=ALONE, of=count)
    learn(tmp_path / "half", together=ALONE)
    files = [tmp_path / name / "checkpoint.safetensors" for name in ("shared", "one", "half")]
    a, b, other = (load_file(file) for file in files)
    assert a.keys() == b.keys()
    for key, value in a.items():
        torch.testing.assert_close(value, b[key], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(a["network.0.weight"], other["network.0.weight"], atol=1e-3)
    lines = (tmp_path / "shared" / "metrics.jsonl").read_text().splitlines()
    assert len(lines) == 1, "only the first writes"


class Stillborn:
    """What a process cannot even unpickle: it is killed as it begins."""

    def __reduce__(self) -> tuple[object, ...]:
        return os._exit, (3,)

    def __call__(self, *, together: Together) -> None: ...


@pytest.mark.seconds
def test_where_one_dies_as_it_begins_the_first_says_so_at_once() -> None:
    with pytest.raises(Parted, match="ended as it began, and nothing was done"):
        with beside(2, Stillborn()):
            raise AssertionError("it began alone")


@pytest.mark.seconds
def test_where_one_dies_the_training_is_saved_and_says_so(tmp_path: Path) -> None:
    shared = partial(learn, tmp_path, dies=4)
    with pytest.raises(Parted, match="Another process.*the same command continues"):
        with beside(2, shared) as place:
            shared(together=place)
    assert int(load_file(tmp_path / "checkpoint.safetensors")["optimizer.0.step"]) == 4
    again = partial(learn, tmp_path)
    with beside(2, again) as place:
        again(together=place)
    assert int(load_file(tmp_path / "checkpoint.safetensors")["optimizer.0.step"]) == STEPS
    with beside(2, partial(learn, tmp_path / "whole")) as place:
        learn(tmp_path / "whole", together=place)
    straight, resumed = (
        load_file(folder / "checkpoint.safetensors") for folder in (tmp_path / "whole", tmp_path)
    )
    for key, value in straight.items():
        torch.testing.assert_close(resumed[key], value, rtol=0, atol=0)


def test_alone_there_is_nothing_to_share() -> None:
    with beside(1, partial(learn, Path("nowhere"))) as place:
        gradient = torch.ones(3)
        place.mean([gradient])
    assert place == ALONE and torch.equal(gradient, torch.ones(3))
