"""dreamlift/offers.py: every recipe by its name, its presets, and what it does, in words."""

from dataclasses import asdict, fields
from pathlib import Path
from typing import get_args

import pytest

from dreamlift.offers import RECIPES, explain, kind, name_of, recipe_of
from dreamlift.recipes import Name, Preset

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
