"""The training of text-to-image: what its network is told, and that it learns."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from dreamlift.cameras import orbit
from dreamlift.grammar import parse
from dreamlift.learn import denoiser
from dreamlift.learn.denoiser import (
    Recipe,
    Teacher,
    make_unet,
    noise_levels,
    owned,
    sample,
    save_sheet,
    wording,
)
from dreamlift.learn.grounding import attend
from dreamlift.learn.pictures import FIRST_WORLD, Pictures, Pool
from dreamlift.learn.together import Together
from dreamlift.phrases import fitting, phrase
from dreamlift.priors.text import TextTower, TowerShape
from dreamlift.toybox.captions import coloured, shape_graph
from dreamlift.toybox.lists import category
from dreamlift.toybox.wide import wide_coloured, wide_graph
from dreamlift.views import Views
from dreamlift.words import CONTEXT, NOUNS, PATTERNS, RELATIONS, split, tokens


def tower() -> TextTower:
    torch.manual_seed(0)
    return TextTower(TowerShape(layers=1)).eval().requires_grad_(False)


def some_pictures(text: str, n: int) -> Pictures:
    graphs = [parse(text)] * n
    angle = torch.linspace(0, 100, n)
    return Pictures(
        torch.zeros(n, 4, 4, 3), graphs, orbit(angle, angle / 4), torch.zeros(n, 2, 4, 4)
    )


def test_noise_is_mostly_high() -> None:
    t = noise_levels(20_000, torch.Generator().manual_seed(1))
    assert t.min() >= 1e-3 and t.max() <= 1 - 1e-3
    assert float(t.median()) == pytest.approx(0.64, abs=0.02)
    assert float((t < 0.1).float().mean()) == pytest.approx(0.25 * 0.1, abs=0.01)


def test_captions_are_dropped_in_their_share_and_never_too_long() -> None:
    pictures = some_pictures("a small red cube on top of a large blue cube, left side view", 600)
    texts = wording(pictures, random.Random(2), 0.1)
    assert texts.count("") / 600 == pytest.approx(0.1, abs=0.04)
    assert max(len(tokens(text)) for text in texts) <= CONTEXT
    assert len(set(texts)) > 50
    assert all(parse(text) == pictures.graphs[0] for text in texts if text)


def test_a_wording_too_long_to_read_gives_way_to_the_plain_one() -> None:
    glasses = "small red sunglasses, left lens is pink, right lens is green"
    graph = parse(
        f"a large blue teddy bear on top of a small green ball wearing {glasses}, back view"
    )
    long = [phrase(graph, random.Random(i)) for i in range(300)]
    assert max(len(split(text)) for text in long) > CONTEXT >= len(split(phrase(graph)))
    short = [fitting(graph, random.Random(i)) for i in range(300)]
    assert max(len(tokens(text)) for text in short) <= CONTEXT and len(set(short)) > 50
    assert all(parse(text) == graph for text in short)


def test_words_are_owned_and_dropped_captions_own_nothing() -> None:
    rows = owned(["a red cube on top of a ball", ""], 9)
    assert rows.tolist() == [[-1, 0, 0, -1, -1, -1, -1, 1, -1], [-1] * 9]


def test_the_sheets_are_of_trained_compositions() -> None:
    for prompt in (*denoiser.SHEET, *denoiser.WIDE_SHEET):
        assert category(prompt) != "held-out pair", prompt


def test_a_sheet_is_written_where_pictures_can_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_sheet(tmp_path / "a.png", torch.rand(3, 8, 8, 3))
    assert (tmp_path / "a.png").stat().st_size > 100
    monkeypatch.setattr(denoiser, "find_spec", lambda _: None)
    save_sheet(tmp_path / "b.png", torch.rand(3, 8, 8, 3))
    assert not (tmp_path / "b.png").exists()


@pytest.mark.parametrize("n", [1, 2, 4, 8, 16])
def test_processes_share_a_step_evenly(n: int) -> None:
    whole = Recipe()
    parts = [whole.part(Together(rank, n)) for rank in range(n)]
    assert sum(part.batch for part in parts) == whole.batch
    assert sum(part.pool for part in parts) == whole.pool
    assert sum(part.per_step for part in parts) >= whole.per_step
    assert all(part.pool % part.per_step == part.per_step % 4 == 0 for part in parts)
    assert len({part.seed for part in parts}) == n


@pytest.mark.weights
def test_the_shipped_network_has_its_size() -> None:
    unet = make_unet()
    assert 10e6 < sum(p.numel() for p in unet.parameters()) < 12e6
    assert unet.config["in_channels"] == 12 and unet.config["sample_size"] == 32


@pytest.fixture(scope="module")
def small() -> nn.Module:
    torch.manual_seed(1)
    return make_unet((32, 32, 64))


@pytest.mark.weights
def test_a_step_has_a_gradient_everywhere_and_grounds_its_words(small: nn.Module) -> None:
    recipe = Recipe(steps=10, half=0.5, batch=3, pool=4, per_step=4)
    pool = Pool(4, seed=0, views=Views(), per_step=4)
    teacher = Teacher(small, tower(), pool, recipe, attend(small))
    loss, said = teacher(0)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in small.parameters())
    assert 0 <= said["ground"] <= 1 and 0.3 < said["mse"] < 5
    assert float(loss.detach()) == pytest.approx(said["mse"] + 0.05 * said["ground"], rel=1e-3)
    for keep in teacher.maps:
        assert keep.maps is not None
        torch.testing.assert_close(keep.maps.float().sum(-1).mean(), torch.tensor(1.0))
    sides = {round(keep.maps.shape[1] ** 0.5) for keep in teacher.maps if keep.maps is not None}
    assert sides == {8, 4}
    again, _ = teacher(0)
    torch.testing.assert_close(again.detach(), loss.detach(), rtol=1e-3, atol=1e-3)
    full, _ = teacher(5)
    assert full.isfinite()
    assert {round(k.maps.shape[1] ** 0.5) for k in teacher.maps if k.maps is not None} == {16, 8}


@pytest.mark.weights
def test_samples_follow_their_seed(small: nn.Module) -> None:
    def one(seed: int) -> torch.Tensor:
        return sample(small, tower(), ["a red cube", "a ball"], steps=2, side=8, seed=seed)

    assert one(1).shape == (2, 16, 16, 3)
    assert torch.equal(one(1), one(1)) and not torch.equal(one(1), one(2))
    front = orbit(torch.zeros(2), torch.zeros(2))
    told = sample(small, tower(), ["a red cube", "a ball"], cameras=front, steps=2, side=8, seed=1)
    assert not torch.equal(told, one(1))


@pytest.mark.weights
def test_what_is_shipped_is_what_the_embedded_prior_loads(small: nn.Module, tmp_path: Path) -> None:
    from dreamlift.prior import Prompt
    from dreamlift.priors.embedded import embedded

    language = tower()
    denoiser.ship(small, language, tmp_path, FIRST_WORLD)
    prior = embedded(folder=tmp_path, dtype=torch.float32)
    x = torch.rand(1, 64, 64, 3)
    z = prior.encode(x)
    assert z.shape == (1, 12, 32, 32)
    torch.testing.assert_close(prior.decode(z), x)
    said = prior.embed(Prompt("a red cube"))["tokens"]
    torch.testing.assert_close(
        said[:3], language.encode(["a red cube"])[0][0], atol=0.02, rtol=0.02
    )
    with pytest.raises(ValueError, match="'dragons', but no picture has shown it. Nearest"):
        prior.embed(Prompt("two dragons"))
    with pytest.raises(ValueError, match="'striped', but no picture"):
        prior.embed(Prompt("a striped ball"))


@pytest.mark.weights
def test_what_was_shown_the_whole_toybox_reads_every_word(small: nn.Module, tmp_path: Path) -> None:
    from dreamlift.prior import Prompt
    from dreamlift.priors.embedded import embedded

    denoiser.ship(small, tower(), tmp_path)
    prior = embedded(folder=tmp_path, dtype=torch.float32)
    for text in ("two dragons", "a striped ball", "a robot made of cake"):
        assert prior.embed(Prompt(text))["tokens"].isfinite().all()
    known = json.loads((tmp_path / "vocabulary.json").read_text())
    assert known["nouns"] == [*NOUNS] and known["patterns"] == [*PATTERNS]
    assert known["relations"] == [*RELATIONS]


@pytest.mark.weights
@pytest.mark.seconds
def test_a_training_begins_with_what_ships_and_is_of_the_world_that_is_asked_for(
    small: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A first step is of a millionth: what is brought out is nearly what was begun with."""
    language = tower()
    language.save(tmp_path / "tower")
    denoiser.ship(small, language, tmp_path / "begun")
    monkeypatch.setattr(denoiser, "make_unet", lambda channels=(32, 32, 64): make_unet(channels))
    made: list[Pool] = []

    def pool(*args: Any, **options: Any) -> Pool:
        made.append(Pool(*args, **options))
        return made[-1]

    monkeypatch.setattr(denoiser, "Pool", pool)
    some: dict[str, dict[str, torch.Tensor]] = {}
    inner = len([p for p in small.parameters() if p.ndim >= 2]) - 2
    small_steps = Recipe(steps=1, half=1.0, batch=2, pool=4, per_step=4)
    for name, recipe in (
        ("whole", replace(small_steps, begin=tmp_path / "begun", world="whole")),
        ("first", replace(small_steps, adam=0.0)),
    ):
        denoiser.train(tmp_path / name, tmp_path / "tower", recipe)
        out = tmp_path / name / recipe.ships
        assert recipe.ships == {"whole": "whole", "first": "text-to-image"}[name]
        some[name] = load_file(out / "unet" / "diffusion_pytorch_model.safetensors")
        known = json.loads((out / "vocabulary.json").read_text())
        assert len(known["nouns"]) == (84 if name == "whole" else 17)
        kept = load_file(tmp_path / name / "checkpoint.safetensors")
        squares = {k.removesuffix("_sq") for k in kept if k.endswith("exp_avg_sq")}
        muon = {k for k in kept if k.endswith("exp_avg")} - squares
        assert len(muon) == (0 if name == "whole" else inner), "what Muon takes has no squares"
    shipped = load_file(tmp_path / "begun" / "unet" / "diffusion_pytorch_model.safetensors")
    off = {
        name: max(float((state[k] - shipped[k]).abs().max()) for k in shipped)
        for name, state in some.items()
    }
    assert off["whole"] < 1e-3 and off["first"] > 0.05
    told = [(of.graphs, of.paint) for of in made]
    assert told == [(wide_graph, wide_coloured), (shape_graph, coloured)]
