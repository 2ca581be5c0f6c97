"""dreamlift/offers.py: every recipe by its name, its presets, and what it does, in words."""

import math
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import get_args

import pytest

from dreamlift.errors import BadInput
from dreamlift.offers import RECIPES, Recipe, check_numbers, explain, kind, name_of, recipe_of
from dreamlift.recipes import Name, Preset
from dreamlift.recipes.clip_mesh import CLIPMesh
from dreamlift.recipes.csd import CSD
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.recipes.dreamgaussian import DreamGaussian
from dreamlift.recipes.fantasia3d import Fantasia3D
from dreamlift.recipes.mvdream import MVDream

NAMES: tuple[Name, ...] = get_args(Name)


def test_every_name_offered_has_its_class_and_its_file() -> None:
    folder = Path(__file__).parents[1] / "dreamlift" / "recipes"
    assert {name_of(recipe) for recipe in RECIPES} == set(NAMES)
    assert all((folder / f"{name}.py").is_file() for name in NAMES)


def test_a_name_that_no_recipe_has_is_refused() -> None:
    with pytest.raises(ValueError, match="no recipe 'reconstruct'"):
        kind("reconstruct")


@pytest.mark.parametrize("name", NAMES)
def test_presets_keep_what_was_asked_and_do_more(name: Name) -> None:
    presets: tuple[Preset, ...] = get_args(Preset)
    made = [recipe_of(name, preset, "a cone", 7) for preset in presets]
    assert all((recipe.prompt, recipe.seed) == ("a cone", 7) for recipe in made)
    draft, full, paper = (recipe.steps * recipe.batch for recipe in made)
    assert draft < full and draft < paper


@pytest.mark.parametrize("name", NAMES)
def test_every_number_is_explained_with_its_value(name: Name) -> None:
    recipe = recipe_of(name, "draft", "a cone")
    said = explain(recipe)
    assert "arXiv:" in said.splitlines()[0]
    assert "repeat: c ~ p(c)" in said
    for field in fields(recipe):
        [line] = [line for line in said.splitlines() if line.startswith(f"  {field.name} ")]
        value = asdict(recipe)[field.name]
        shown = " ".join(map(str, value)) if isinstance(value, tuple) else str(value) or "-"
        assert shown in line
        assert len(line.split(shown, 1)[1].split()) >= 2, f"{field.name} has no meaning"


@pytest.mark.parametrize("name", NAMES)
def test_the_numbers_of_every_preset_are_within_their_limits(name: Name) -> None:
    for preset in get_args(Preset):
        check_numbers(recipe_of(name, preset, "a cone"))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"seed": 1 << 63}, "seed must be 0 to 4611686018427387904; 9223372036854775808 was"),
        ({"scale": math.inf}, "scale must be 0 to 10000000; inf was asked for."),
        ({"scale": 1e300}, "scale must be 0 to 10000000; 1e+300 was asked for."),
        ({"lr": (1e30, 1e30)}, "lr must be 0 to 10000000; 1e+30 1e+30 was asked for."),
        ({"size": 5000}, "size must be 1 to 4096; 5000 was asked for."),
        ({"samples": 1 << 40}, "samples must be 1 to 4096; 1099511627776 was asked for."),
        ({"batch": 5000}, "batch must be 1 to 1024; 5000 was asked for."),
        ({"albedo_first": 7.0}, "albedo_first must be 0 to 1; 7 was asked for."),
    ],
)
def test_a_number_out_of_its_limits_is_told_both(changed: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_numbers(replace(DreamFusion("a cone"), **changed))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("recipe", "said"),
    [
        (CLIPMesh("a cone", radius=0.0), "radius must be 0.2 to 1; 0 was asked for."),
        (CLIPMesh("a cone", fineness=2), "fineness must be 16 to 512; 2 was asked for."),
        (Fantasia3D("a cone", resolution=1), "resolution must be 16 to 512; 1 was asked for."),
        (Fantasia3D("a cone", axes=(0.7, 0.0, 0.7)), "axes must be 0.2 to 1; 0.7 0 0.7 was"),
        (DreamGaussian("a cone", radius=9.0), "radius must be 0.2 to 1; 9 was asked for."),
    ],
)
def test_a_start_of_nothing_is_refused(recipe: Recipe, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_numbers(recipe)
    assert said in str(caught.value)


def test_the_least_start_is_a_whole_surface() -> None:
    ball = CLIPMesh("a cone", radius=0.2, fineness=16)
    drop = Fantasia3D("a cone", axes=(0.2, 0.2, 0.2), resolution=16)
    for recipe in (ball, drop):
        check_numbers(recipe)
        part = recipe.scene().surface()
        assert len(part.faces) >= 20 and 0.1 < float(part.vertices.abs().max()) < 0.25


@pytest.mark.parametrize("recipe", [CSD("a cone", t_until=0.0), MVDream("a cone", t_until=0.0)])
def test_t_moves_in_some_of_the_steps(recipe: CSD | MVDream) -> None:
    with pytest.raises(BadInput, match="The t_until must be above 0; 0 was asked for"):
        check_numbers(recipe)


def test_every_range_of_noise_levels_is_looked_at() -> None:
    with pytest.raises(BadInput, match="t_end_looks must be two noise levels .*; 0.9 0.2 was"):
        check_numbers(Fantasia3D("a cone", t_end_looks=(0.9, 0.2)))
