"""`paper()` has the papers' numbers (../shared/reference/optimisation.md, sections 3 to 5)."""

from typing import Any

import pytest
import torch
from conftest import rng
from test_scores import Recorder

from dreamlift.distil.variation import unlike
from dreamlift.errors import BadInput
from dreamlift.guidance import csd as on_csd
from dreamlift.guidance.times import Annealed
from dreamlift.offers import check_numbers
from dreamlift.priors.lora import teaching
from dreamlift.recipes.csd import CSD
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.recipes.dreamgaussian import DreamGaussian
from dreamlift.recipes.fantasia3d import Fantasia3D
from dreamlift.recipes.gaussiandreamer import GaussianDreamer
from dreamlift.recipes.hifa import HiFA
from dreamlift.recipes.luciddreamer import LucidDreamer
from dreamlift.recipes.magic3d import Magic3D
from dreamlift.recipes.nfsd import NFSD
from dreamlift.recipes.prolificdreamer import ProlificDreamer
from dreamlift.recipes.sdi import SDI
from dreamlift.recipes.textmesh import TextMesh
from dreamlift.recipes.zero123 import Zero123
from dreamlift.scenes.field import Field
from dreamlift.step import Step

WIDE, LATE = (0.02, 0.98), (0.02, 0.5)
FUSED = {"scale": 100.0, "t_start": WIDE, "t_end": WIDE}
PAPERS: dict[Any, dict[str, Any]] = {
    DreamFusion: FUSED | {"steps": 15_000, "batch": 4, "init": "blob", "clamp": False,
                          "albedo_first": 1 / 15, "shares": (0.25, 0.375, 0.375)},
    Magic3D: {"steps": 5000, "fine_steps": 3000, "batch": 32, "scale": 100.0, "t_fine": LATE,
              "size": 64, "fine_size": 512},
    Fantasia3D: {"scale": 100.0, "t_start": LATE, "t_end": LATE, "t_start_looks": WIDE,
                 "t_end_looks": WIDE,
                 "size": 512, "resolution": 128},
    ProlificDreamer: {"steps": 25_000, "shape_steps": 15_000, "texture_steps": 30_000,
                      "scale": 7.5, "scale_shape": 100.0, "t_start": WIDE, "t_end": LATE,
                      "t_change": 0.2, "t_late": LATE, "lr": (1e-3, 1e-3), "lr_student": 1e-4,
                      "resolution": 256, "size": 512, "fine_size": 512, "init": "blob"},
    DreamGaussian: {"steps": 500, "texture_steps": 50, "scale": 100.0, "count": 5000,
                    "push": 0.01, "t_range": WIDE, "t_texture": (0.05, 0.2), "batch": 1},
    GaussianDreamer: {"steps": 1200, "batch": 4, "scale": 101.0, "size": 1024, "t_most": 0.98,
                      "t_change": 500 / 1200, "push": 2e-4},
    LucidDreamer: {"steps": 5000, "batch": 4, "t_most": 0.98, "push": 7.5e-4, "entropy": 0.0},
    TextMesh: FUSED | {"batch": 4},
    CSD: {"steps": 10_000, "t_start": WIDE, "t_end": LATE, "t_until": 0.5},
    NFSD: {"scale": 7.5, "t_start": WIDE, "t_end": WIDE},
    HiFA: {"scale": 100.0, "t_first": 0.98, "t_last": 0.3},
    SDI: {"scale": 8.5, "inversion": 6.5, "walk": 10, "t_first": 0.98, "t_last": 0.2},
    Zero123: {"steps": 5000, "scale": 5.0, "t_start": (0.2, 0.6), "t_end": (0.2, 0.6)},
}  # fmt: skip


@pytest.mark.parametrize("recipe", PAPERS, ids=lambda recipe: recipe.__name__)
def test_a_paper_s_numbers(recipe: Any) -> None:
    made = recipe("a cone").paper()
    check_numbers(made)
    found = vars(made)
    assert {key: found[key] for key in PAPERS[recipe]} == PAPERS[recipe]


def test_magic3d_s_coarse_stage_is_dreamfusion_s_own() -> None:
    coarse = Magic3D("a cone", seed=3, negative="a cube").paper().coarse()
    own = vars(DreamFusion("a cone").paper())
    other = {"seed": 3, "negative": "a cube", "steps": 5000, "batch": 32}
    assert vars(coarse) == own | other
    draft = Magic3D("a cone", scale=3.0).coarse()
    assert vars(draft) == vars(DreamFusion("a cone", steps=400, scale=3.0))


def test_gaussiandreamer_s_short_run_is_told_what_it_should_not_be() -> None:
    short = GaussianDreamer("a cone", seed=3, negative="a cube", scale=4.0).points()
    other = {"seed": 3, "negative": "a cube", "scale": 4.0, "steps": GaussianDreamer("").coarse}
    assert vars(short) == vars(DreamFusion("a cone")) | other


def test_csd_s_bad_pictures_take_over_as_t_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[on_csd.CSD] = []

    def kept(*args: Any, **more: Any) -> on_csd.CSD:
        made.append(on_csd.CSD(*args, **more))
        return made[-1]

    monkeypatch.setattr("dreamlift.recipes.csd.Classifier", kept)
    CSD("a cone").paper().guidance(Recorder())
    CSD("a cone").guidance(Recorder())
    paper, draft = made
    assert (paper.shares, paper.until, draft.negative, draft.shares) == ((0, 1), 0.5, None, (0, 0))
    for progress, most in ((0.0, 0.98), (0.25, 0.74), (0.5, 0.5), (1.0, 0.5)):
        assert paper.times.bounds(progress) == pytest.approx((0.02, most))  # pyright: ignore


def test_a_range_of_t_changes_at_once_or_gradually() -> None:
    def most(change: float, index: int) -> float:
        times = Annealed(WIDE, LATE, "step", change) if change else Annealed(WIDE, LATE)
        return float(times(4000, Step(index, 1001, rng(1))).max())

    assert [most(0.2, index) for index in (0, 199, 201)] == pytest.approx(
        [0.98, 0.98, 0.5], abs=2e-3
    )
    assert [most(0.0, index) for index in (0, 500, 1000)] == pytest.approx(
        [0.98, 0.74, 0.5], abs=2e-3
    )


def test_particles_begin_unlike_one_another() -> None:
    first, second, third = unlike(3, "blob", seed=1)
    alone = Field(init="blob").dense()
    assert torch.equal(first.dense(), alone)
    for a, b in ((first, second), (second, third)):
        assert torch.equal(a.dense()[..., 0], b.dense()[..., 0]), "all are the same blob"
        assert float((a.dense()[..., 1:] - b.dense()[..., 1:]).std()) > 0.05


def test_a_prior_without_a_network_teaches_no_student() -> None:
    with pytest.raises(BadInput, match="a prior that is a UNet"):
        teaching(Recorder())
