"""Trainings by name: the right one is called, in a folder of its own."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from dreamlift.errors import BadInput
from dreamlift.io.lock import alone
from dreamlift.learn import clip, denoiser, judge, tower
from dreamlift.learn import train as dispatch
from dreamlift.learn.loop import Stop
from dreamlift.learn.together import ALONE
from dreamlift.learn.train import NAMES, Further, train
from dreamlift.priors.homes import WHOLE


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, tuple[Any, ...], dict[str, Any]]]:
    """What would have been trained."""
    calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
    for module in (tower, denoiser, clip, judge):
        name = module.__name__.rsplit(".", maxsplit=1)[1]
        monkeypatch.setattr(
            module, "train", lambda *a, _name=name, **k: calls.append((_name, a, k))
        )
    return calls


def test_each_name_is_its_training(tmp_path: Path, called: list[Any]) -> None:
    language = tmp_path / "tower" / "tower"
    language.mkdir(parents=True)
    (language / "model.safetensors").write_bytes(b"another")
    for name in NAMES:
        folder = tmp_path / ("language" if name == "tower" else name)
        train(name, folder, stop=Stop(2.0), steps=5, seed=3)
    each = ["tower", "denoiser", "denoiser", "clip", "judge", "judge"]
    assert [name for name, _, _ in called] == each
    assert all(options["stop"] == Stop(2.0) for _, _, options in called)
    assert called[0][2] == {"steps": 5, "seed": 3, "stop": Stop(2.0)}
    assert called[1][1] == (tmp_path / "text-to-image", language, denoiser.Recipe(steps=5, seed=3))
    whole = replace(denoiser.WHOLE, steps=5, seed=3)
    assert called[2][1] == (tmp_path / "whole", dispatch.SHIPPED_TOWER, whole)
    assert whole.world == "whole" and (denoiser.SHIPPED / "unet").is_dir()
    assert called[3][1][2] == clip.Recipe(steps=5, seed=2003)
    assert called[4][1][1] == judge.Recipe(steps=5, seed=1003)
    assert called[5][1][1] == replace(judge.WHOLE, steps=5, seed=3003)
    assert (judge.SHIPPED / "model.safetensors").is_file()


def test_the_recipes_own_steps_are_the_default(tmp_path: Path, called: list[Any]) -> None:
    train("judge", tmp_path / "j", seed=0)
    assert called[0][1][1] == judge.Recipe() and called[0][2] == {"stop": Stop()}


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"'text-to-imgae'. Nearest: text-to-image"):
        train("text-to-imgae", tmp_path, seed=0)
    with pytest.raises(BadInput, match="at least one step, not 0"):
        train("judge", tmp_path, steps=0, seed=0)
    for share in (0.0, 1.5, math.nan):
        with pytest.raises(BadInput, match=f"above 0 and at most 1, not {share:g}"):
            train("judge", tmp_path, stop=Stop(share=share), seed=0)


def test_a_folder_belongs_to_one_training(tmp_path: Path, called: list[Any]) -> None:
    train("judge", tmp_path / "j", seed=1)
    train("judge", tmp_path / "j", seed=1, stop=Stop(3.0))
    assert len(called) == 2
    for name, seed in (("judge", 2), ("tower", 1)):
        with pytest.raises(BadInput, match="holds another training"):
            train(name, tmp_path / "j", seed=seed)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    with pytest.raises(BadInput, match="holds something else"):
        train("judge", tmp_path / "full", seed=1)


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, called: list[Any]) -> None:
    (tmp_path / "cap.txt").write_text("mine")
    for folder in (tmp_path / "cap.txt", tmp_path / "cap.txt" / "x", Path("/proc/x")):
        with pytest.raises(BadInput, match="training.json cannot be written: "):
            train("judge", folder, seed=0)
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "training.json").write_text("{")
    with pytest.raises(BadInput, match="training.json is damaged"):
        train("judge", tmp_path / "torn", seed=0)
    assert called == []


@pytest.mark.parametrize("minutes", [0.0, -1.0, math.nan, math.inf])
def test_minutes_that_never_come_are_refused(
    tmp_path: Path, called: list[Any], minutes: float
) -> None:
    with pytest.raises(BadInput, match="after minutes above 0, not"):
        train("judge", tmp_path / "j", stop=Stop(minutes), seed=0)
    for seed in (-1, 1 << 63):
        with pytest.raises(BadInput, match="The seed must be 0 to"):
            train("judge", tmp_path / "j", seed=seed)
    assert called == [] and not (tmp_path / "j").exists()


def test_a_training_goes_on_with_the_tower_that_it_began_with(
    tmp_path: Path, called: list[Any]
) -> None:
    names = ("text-to-image", "clip", "whole", "judge")
    for name in names:
        train(name, tmp_path / name, seed=0)
    language = tmp_path / "tower" / "tower"
    language.mkdir(parents=True)
    (language / "model.safetensors").write_bytes(b"another")
    for name in names[:2]:
        with pytest.raises(BadInput, match="holds another training, .*'tower': "):
            train(name, tmp_path / name, seed=0)
    for name in names[2:]:
        train(name, tmp_path / name, seed=0)
    assert len(called) == 6


@pytest.mark.weights
def test_a_prior_goes_on_from_weights_that_are_named(tmp_path: Path, called: list[Any]) -> None:
    train("whole", tmp_path / "more", seed=0, further=Further(WHOLE))
    _, (_, language, recipe), options = called[0]
    assert recipe == denoiser.WHOLE.further(WHOLE) and options["together"] == ALONE
    assert (language / "model.safetensors").is_file() and language == WHOLE / "tower"
    assert (recipe.steps, recipe.half, recipe.adam, recipe.fall) == (2500, 0.0, 0.0, 1.0)
    train("whole", tmp_path / "more", seed=0, further=Further(WHOLE), steps=9)
    assert called[1][1][2].steps == 9
    with pytest.raises(BadInput, match="holds another training"):
        train("whole", tmp_path / "more", seed=0)
    with pytest.raises(BadInput, match="holds another training"):
        train("whole", tmp_path / "more", seed=0, further=Further(denoiser.SHIPPED))


def test_what_cannot_be_begun_with_or_shared_is_refused(tmp_path: Path, called: list[Any]) -> None:
    nowhere, out = Further(tmp_path / "nowhere"), tmp_path / "out"
    with pytest.raises(BadInput, match="diffusion_pytorch_model.safetensors is not there. --begin"):
        train("whole", out, seed=0, further=nowhere)
    for further in (nowhere, Further(processes=2)):
        with pytest.raises(BadInput, match="Only a prior's training .*not judge's"):
            train("judge", out, seed=0, further=further)
    for processes in (0, 3, -2, 32):
        with pytest.raises(BadInput, match=f"^{processes} processes cannot share"):
            train("whole", out, seed=0, further=Further(processes=processes))
    (tmp_path / "other" / "unet").mkdir(parents=True)
    (tmp_path / "other" / "tower").mkdir()
    another = save({"conv_in.weight": torch.zeros(4, 4, 3, 3)})
    for place in ("unet/diffusion_pytorch_model", "tower/model"):
        (tmp_path / "other" / f"{place}.safetensors").write_bytes(another)
    with pytest.raises(BadInput, match="config.json is not there"):
        train("whole", out, seed=0, further=Further(tmp_path / "other"))
    (tmp_path / "other" / "tower" / "config.json").write_text("{}")
    with pytest.raises(BadInput, match="has another network or tower than is trained here"):
        train("whole", out, seed=0, further=Further(tmp_path / "other"))
    assert not called and not out.exists()


@pytest.mark.weights
def test_damaged_weights_are_refused(tmp_path: Path, called: list[Any]) -> None:
    begin, out = tmp_path / "begin", tmp_path / "out"
    shutil.copytree(WHOLE, begin, ignore=shutil.ignore_patterns("*.png"))
    network, tower = begin / "unet/diffusion_pytorch_model.safetensors", begin / "tower/config.json"
    whole, words = network.read_bytes(), json.loads(tower.read_text())
    for shape in (words | {"width": 128}, words | {"height": 3}):
        tower.write_text(json.dumps(shape))
        with pytest.raises(BadInput, match="or a damaged one"):
            train("whole", out, seed=0, further=Further(begin))
    tower.write_text(json.dumps(words))
    network.write_bytes(whole[:5000])
    with pytest.raises(BadInput, match="or a damaged one"):
        train("whole", out, seed=0, further=Further(begin))
    assert not called and not out.exists()
    network.write_bytes(whole)
    train("whole", out, seed=0, further=Further(begin))
    assert called


def test_without_a_tower_nothing_is_started(
    tmp_path: Path, called: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "SHIPPED_TOWER", tmp_path / "nowhere")
    for name in ("clip", "text-to-image"):
        with pytest.raises(BadInput, match="no text tower.*dreamlift train tower"):
            train(name, tmp_path / name, seed=0)
        assert not (tmp_path / name).exists()
    assert not called


def test_two_trainings_do_not_share_a_folder(tmp_path: Path, called: list[Any]) -> None:
    train("judge", tmp_path / "judge", seed=0)
    with alone(tmp_path / "judge"), pytest.raises(BadInput, match="Another process is working"):
        train("judge", tmp_path / "judge", seed=0)
    train("judge", tmp_path / "judge", seed=0)
    assert len(called) == 2
