"""dreamlift/priors/comparer.py: which CLIP a run follows, and what is none."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import tiny_pipelines
import torch

from dreamlift.api import Request, generate, make, request, start
from dreamlift.errors import BadInput
from dreamlift.learn.pictures import FIRST_WORLD
from dreamlift.prior import Aligner
from dreamlift.priors import comparer
from dreamlift.priors.comparer import comparer_of
from dreamlift.priors.source import source_of
from dreamlift.recipes.clip_mesh import CLIPMesh
from dreamlift.recipes.dreamfields import DreamFields
from dreamlift.recipes.prolificdreamer import ProlificDreamer

pytestmark = pytest.mark.weights
SHORT = DreamFields("a red cube", steps=2, size=16, samples=8, copies=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    tiny_pipelines.clip(folder)
    return folder


def test_a_run_remembers_its_clip_and_not_the_prior_of_pictures(tmp_path: Path) -> None:
    asked = request(SHORT)
    assert asked.prior == comparer_of("embedded", "cpu") != source_of("embedded", "cpu")
    assert Request.of(start(asked, tmp_path / "run")) == asked
    assert isinstance(asked.prior.load("cpu"), Aligner)


def test_a_clip_of_other_people_is_followed(folder: Path, tmp_path: Path) -> None:
    recipe = replace(SHORT, prompt="an unheard-of gryphon")
    run = start(request(recipe, prior=folder), tmp_path / "run")
    assert run.settings["prior"] == asdict(comparer_of(folder, "cpu"))
    aligner = Request.of(run).prior.load("cpu")
    assert isinstance(aligner, Aligner)
    recipe.run(run, aligner)
    assert all(torch.isfinite(p).all() for p in recipe.made(run).parameters())


@pytest.mark.parametrize("prior", ["sd21", "nowhere"])
@pytest.mark.parametrize("recipe", [SHORT, CLIPMesh("a cone")])
def test_what_is_no_clip_is_refused_before_a_folder_is_made(
    recipe: DreamFields | CLIPMesh, prior: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=f"--prior takes a CLIP here, and {prior} is none: there"):
        make(recipe, prior=prior, out=tmp_path / "run")
    assert not list(tmp_path.iterdir())


def test_a_prompt_is_refused_for_the_embedded_clip_alone(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A word that is none, and one that no picture had shown an earlier one."""
    monkeypatch.setattr(comparer, "seen", lambda _: FIRST_WORLD)
    with pytest.raises(BadInput, match="gryphon"):
        generate("a gryphon", recipe="dreamfields", out=tmp_path / "run")
    with pytest.raises(BadInput, match="The embedded CLIP knows the word 'corgi', but has never"):
        generate("a corgi", recipe="dreamfields", out=tmp_path / "run")
    comparer_of(folder, "cpu").check("a gryphon")
    with pytest.raises(BadInput, match="empty"):
        comparer_of(folder, "cpu").check(" ")


def test_changed_or_broken_weights_are_told_of(tmp_path: Path) -> None:
    tiny_pipelines.clip(tmp_path)
    before = comparer_of(tmp_path, "cpu")
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "projection_dim": 13}))
    with pytest.raises(BadInput, match="other weights than the run was started with"):
        before.load("cpu")
    (tmp_path / "tokenizer_config.json").rename(tmp_path / "tokenizer_config.old")
    with pytest.raises(BadInput, match=r"is none: it has no tokenizer_config\.json"):
        comparer_of(tmp_path, "cpu")
    (tmp_path / "tokenizer_config.old").rename(tmp_path / "tokenizer_config.json")
    (tmp_path / "model.safetensors").write_bytes(b"none")
    with pytest.raises(BadInput, match="cannot be loaded"):
        comparer_of(tmp_path, "cpu").load("cpu")


def test_a_clip_that_is_not_installed_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dreamlift.priors.comparer.WEIGHTS", tmp_path)
    with pytest.raises(BadInput, match="dreamlift train clip"):
        request(SHORT)


def test_prolificdreamer_chooses_among_its_particles() -> None:
    with pytest.raises(BadInput, match="no field 3 among 2"):
        ProlificDreamer("a cone", particles=2, chosen=3)
