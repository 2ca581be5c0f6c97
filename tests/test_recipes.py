"""Every recipe, from the first step to a scene that can be exported, against the oracle."""

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from tiny_prior import FINISH, picture

from dreamlift.cameras import turntable
from dreamlift.errors import BadInput
from dreamlift.export import bring_out
from dreamlift.grammar import parse
from dreamlift.offers import Recipe, recipe_of
from dreamlift.priors.oracle import Oracle
from dreamlift.recipes import Name, dreamgaussian, textmesh
from dreamlift.recipes.prolificdreamer import ProlificDreamer
from dreamlift.run import Run
from dreamlift.scene import Shot
from dreamlift.toybox.scenes import toy_scene

STAGES = {
    "fine_steps": 3,
    "texture_steps": 2,
    "appearance_steps": 3,
    "color_steps": 2,
    "coarse": 40,
}
OTHERS = ("prolificdreamer", "dreamfields", "clip_mesh")
"""They want a network, or a CLIP."""
NAMES = [name for name in get_args(Name) if name not in OTHERS]


def short(name: Name, steps: int = 40) -> Recipe:
    recipe: Any = recipe_of(name, "draft", "a yellow cone", 1)
    known = {field.name for field in fields(recipe)}
    few = {key: value for key, value in STAGES.items() if key in known}
    if "resolution" in known:
        few["resolution"] = 20
    if "picture" in known:
        recipe = replace(recipe, picture=str(picture()))
    return replace(recipe, steps=steps, **few)


def oracle() -> Oracle:
    return Oracle(toy_scene(parse("a yellow cone"), 0).render, std=0.1)


@pytest.mark.seconds
@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_ends_with_a_scene_that_its_folder_gives_back(name: Name, tmp_path: Path) -> None:
    recipe, run, steps = short(name), Run(tmp_path), list[tuple[str, int]]()
    scene = recipe.run(run, oracle(), [lambda m: steps.append((m.run.stage, m.step.index))])
    assert len(steps) == len(set(steps)) >= recipe.steps
    again = recipe.made(Run(tmp_path))
    assert scene.state_dict().keys() == again.state_dict().keys()
    for key, value in scene.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    [part], _ = bring_out(again, FINISH)
    assert len(part.faces) > 20


@pytest.mark.seconds
@pytest.mark.parametrize("name", ["dreamgaussian", "textmesh"])
def test_a_mesh_is_cut_once(name: Name, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another machine would cut it otherwise."""
    recipe, run = short(name), Run(tmp_path)
    scene = recipe.run(run, oracle())

    def cut(*_: Any) -> None:
        raise AssertionError("cut again")

    monkeypatch.setattr(textmesh, "mesh_of", cut)
    monkeypatch.setattr(dreamgaussian.DreamGaussian, "mesh", cut)
    (tmp_path / "texture" / "checkpoint.safetensors").unlink()
    for again in (recipe.run(run, oracle()), recipe.made(run), recipe.run(run, oracle())):
        for key, value in scene.state_dict().items():
            assert torch.equal(value, again.state_dict()[key]), key


@pytest.mark.parametrize("name", NAMES)
def test_an_unfinished_run_has_made_nothing(name: Name, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="Finish it first"):
        short(name).made(Run(tmp_path))


def test_prolificdreamer_says_which_priors_it_can_follow(tmp_path: Path) -> None:
    recipe = ProlificDreamer("a cone", steps=1)
    with pytest.raises(BadInput, match="UNet"):
        recipe.run(Run(tmp_path), oracle())


class Yellow:
    """An Aligner for which pictures are as alike to any sentence as their mean is yellow."""

    def embed_image(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((1, 2)) - 0.5

    def embed_text(self, texts: Sequence[str]) -> torch.Tensor:
        return torch.tensor([[1.0, 1.0, -1.0]]).expand(len(texts), 3)


@pytest.mark.parametrize("name", ["dreamfields", "clip_mesh"])
def test_what_follows_a_clip_becomes_what_it_asks_for(name: Name, tmp_path: Path) -> None:
    recipe: Any = replace(short(name, 30), size=32)
    before, alike = recipe.scene(), list[float]()
    scene = recipe.run(Run(tmp_path), Yellow(), [lambda m: alike.append(m.terms["guidance"])])
    shot = Shot(turntable(4, size=32))
    with torch.no_grad():
        was, now = (
            (view.color.sum((0, 1, 2)) / view.alpha.sum()).tolist()
            for view in (before.render(shot), scene.render(shot))
        )
    assert min(now[:2]) > max(was) + 0.1 and now[2] < min(was) - 0.1
    again = recipe.made(Run(tmp_path))
    for key, value in scene.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key


@pytest.mark.seconds
def test_dreamgaussian_s_numbers_reach_its_cut_and_its_texture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scales, cuts = list[float](), list[dict[str, float]]()
    cfg, cut = dreamgaussian.cfg, dreamgaussian.of_gaussians

    def guided(prior: Any, y: Any, null: Any, scale: float, **more: Any) -> Any:
        scales.append(scale)
        return cfg(prior, y, null, scale, **more)

    def recorded(gaussians: Any, finish: Any, **how: float) -> Any:
        cuts.append(how)
        return cut(gaussians, finish, **how)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(dreamgaussian, "cfg", guided)
    monkeypatch.setattr(dreamgaussian, "of_gaussians", recorded)
    numbers = {"scale": 5.0, "scale_texture": 2.0, "dark": 0.4, "even": 3}
    replace(short("dreamgaussian"), **numbers).run(Run(tmp_path), oracle())
    assert scales == [5.0, 2.0]
    assert cuts == [{"dark": 0.4, "even": 3}]
