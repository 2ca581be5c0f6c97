"""DietNeRF's loss where photographs are rebuilt: its cameras, its closed form, whom it moves."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import rng
from torch import Tensor

from dreamlift.cameras import orbit
from dreamlift.distil.elsewhere import Elsewhere, arc, squares
from dreamlift.errors import BadInput
from dreamlift.geometry.lens import Lens
from dreamlift.io.album import Album, Photo
from dreamlift.photographs import few
from dreamlift.posed import Posed
from dreamlift.recipes.reconstruct import Reconstruct
from dreamlift.run import Run
from dreamlift.scenes.field import Field
from dreamlift.scenes.rebuilt import Rebuilt
from dreamlift.step import Step


class Colours:
    """A picture is its mean colour less a grey."""

    def __init__(self) -> None:
        self.asked: list[Tensor] = []

    def embed_image(self, x: Tensor) -> Tensor:
        self.asked.append(x.detach())
        return x.mean((1, 2)) - 0.4

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        raise AssertionError("nobody says a word")


def photographs(azimuth: Sequence[float], alpha: float = 1.0) -> Posed:
    """Wide pictures of random colours, at 10, 20, ... degrees of elevation."""
    at = torch.tensor(azimuth)
    cameras = orbit(at, 10.0 * torch.arange(1.0, len(at) + 1), distance=3.0, size=12)
    cameras = replace(cameras, width=16)
    colors = torch.rand(len(at), 12, 16, 3, generator=rng())
    full = torch.ones(len(at), 12, 16, 1)
    held = torch.zeros(len(at), dtype=torch.bool)
    names = [str(a) for a in azimuth]
    return Posed(names, cameras, colors * alpha, alpha * full, full, held, torch.eye(4))


@pytest.mark.parametrize(
    ("azimuth", "wanted"),
    [
        ((10, 200, 100, 300), (0.0, 360.0)),  # gaps of 90, 100, 100 and 70
        ((-20, 30, 5), (340.0, 50.0)),
        ((170, -170), (170.0, 20.0)),
        ((0, 90), (0.0, 90.0)),
        ((50,), (50.0, 0.0)),
    ],
)
def test_the_arc_of_the_cameras_is_all_around_unless_half_of_it_is_empty(
    azimuth: Sequence[float], wanted: tuple[float, float]
) -> None:
    assert arc(torch.tensor(azimuth, dtype=torch.float32)) == pytest.approx(wanted)


def test_cameras_stand_between_the_photographs_and_see_as_much() -> None:
    posed = photographs((340.0, 20.0, 60.0))
    term = Elsewhere(Colours(), posed, (0.1, 10, 8))
    drawn = [term.camera(generator) for generator in (rng(k) for k in range(60))]
    azimuth = torch.cat([c.azimuth for c in drawn]).remainder(360)
    azimuth = torch.where(azimuth > 180, azimuth - 360, azimuth)
    elevation = torch.cat([c.elevation for c in drawn])
    assert azimuth.min() >= -20 - 1e-3 and azimuth.max() <= 60 + 1e-3
    assert azimuth.min() < -5 and azimuth.max() > 45
    assert elevation.min() >= 10 - 1e-3 and elevation.max() <= 30 + 1e-3
    assert all(float(c.distance) == pytest.approx(3.0, abs=1e-4) for c in drawn)
    assert float(drawn[0].K[0, 0, 0]) / 4 == pytest.approx(float(posed.cameras.K[0, 0, 0]) / 6)


def test_photographs_are_seen_square_and_before_white_or_black() -> None:
    posed = photographs((0.0, 120.0, 240.0), alpha=0.25)
    for dark, empty in ((False, 1.0), (True, 0.0)):
        aligner = Colours()
        Elsewhere(aligner, posed, dark=dark)
        wanted = posed.images[:, :, 2:14] + 0.75 * empty
        torch.testing.assert_close(aligner.asked[0], wanted)
    assert squares(torch.zeros(1, 9, 4, 3)).shape == (1, 4, 4, 3)


def test_the_term_is_the_cosine_every_tenth_step_and_moves_the_field() -> None:
    posed = photographs((0.0, 120.0, 240.0))
    aligner = Colours()
    term = Elsewhere(aligner, posed, (0.3, 10, 8))
    made = Rebuilt(Field(resolution=33, samples=24), None)
    assert all(term(made, Step(k, 30, rng())) == {} for k in (1, 9, 11))
    assert len(aligner.asked) == 1  # the photographs
    (value,) = term(made, Step(10, 30, rng(4))).values()
    seen = aligner.asked[1].mean((1, 2)) - 0.4
    each = torch.nn.functional.cosine_similarity(
        seen, posed.images[:, :, 2:14].mean((1, 2)) - 0.4, dim=-1
    )
    assert float((value + 0.3 * each).detach().abs().min()) < 1e-6
    value.backward()
    grad = made.scene.get_parameter("body.levels.2").grad
    assert grad is not None and bool((grad != 0).any())


def test_a_field_of_few_photographs_turns_to_what_the_aligner_likes(tmp_path: Path) -> None:
    """The same run with the loss and without differs by the loss: red photographs, so red."""
    posed = photographs((0.0, 100.0, 200.0))
    posed.images[:] = posed.images.new_tensor([0.9, 0.2, 0.1])
    recipe = Reconstruct(steps=24, rays=32, resolution=65, samples=24)
    cosines: list[float] = []
    pull = Elsewhere(Colours(), posed, (3.0, 2, 8))
    for name, also in (("without", None), ("with", pull)):
        made = recipe.run(Run.create(tmp_path / name, {}), posed, also=also)
        term = Elsewhere(Colours(), posed, (1.0, 1, 8))
        values = [-term(made, Step(0, 1, rng(k)))["consistency"].item() for k in range(5)]
        cosines.append(sum(values) / 5)
    assert cosines[1] > cosines[0], cosines
    assert math.isclose(cosines[1], 1, abs_tol=0.1)


def test_the_views_kept_stand_farthest_apart_and_held_out_ones_stay() -> None:
    lens = Lens(9.0, 9.0, 4.0, 4.0, 8, 8)
    places = {"a": 0.0, "b": 1.0, "c": 9.0, "d": 4.0, "e": 8.0, "held": 5.0}
    photos: list[Photo] = []
    for name, x in places.items():
        pose = torch.eye(4, dtype=torch.float64)
        pose[0, 3] = x
        photos.append(Photo(name, Path(name), pose, lens, held_out=name == "held"))
    album = Album(Path("x"), photos, upright=False)
    assert [p.name for p in few(album, 3).photos] == ["a", "c", "d", "held"]
    at_one = [replace(p, camera_to_world=photos[0].camera_to_world) for p in photos]
    near = Album(Path("x"), at_one, upright=False)
    assert len(few(near, 4).photos) == 5, "several at one place are several"
    with pytest.raises(BadInput, match="must be 3 to 5, all that x leaves; 6 were asked for"):
        few(album, 6)
