"""dreamlift/strips.py: what a guidance asks its prior is shown, and the run keeps its bits."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from conftest import rng
from test_cli import Dreamlift, dreamlift, generate
from test_family import family
from test_recipes import NAMES, short
from test_scores import Recorder, some_shot
from tiny_prior import numbers
from torch import Tensor

from dreamlift import split, strips
from dreamlift.api import watching
from dreamlift.cameras import orbit
from dreamlift.diffusion import Cosine, Schedule, add_noise, eps_from_x0
from dreamlift.errors import BadInput
from dreamlift.fit import Stage, fit
from dreamlift.grammar import parse
from dreamlift.guidance.csd import CSD
from dreamlift.guidance.jacobian import Jacobian
from dreamlift.guidance.nfsd import nfsd
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import Mix, Question, cfg, overhearing
from dreamlift.guidance.sds import SDS
from dreamlift.io.images import load_image
from dreamlift.prior import Condition, Embedding, Prior, Prompt
from dreamlift.priors.oracle import Oracle, picture
from dreamlift.recipes import Name
from dreamlift.recipes.clip_mesh import CLIPMesh
from dreamlift.recipes.dreamfields import DreamFields
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.run import Run
from dreamlift.scene import Rendering, Shot
from dreamlift.scenes.image import Image
from dreamlift.step import Step
from dreamlift.strips import ROWS, SIDE, Completed, Strips, strip
from dreamlift.toybox.scenes import toy_scene

__all__ = ["dreamlift"]
SIZE = 8
CELL = SIDE + 4


def wanted() -> Tensor:
    return torch.rand(SIZE, SIZE, 3, generator=rng(1)) * 0.6 + 0.2


def oracle(std: float = 1e-3) -> Oracle:
    return Oracle(picture(wanted()), std=std, size=SIZE)


def cells(sheet: Tensor, columns: int = 4) -> list[Tensor]:
    """The pictures of a strip's first row, at the prior's size."""
    large = [sheet[4 : 4 + SIDE, 4 + i * CELL : 4 + i * CELL + SIDE] for i in range(columns)]
    k = SIDE // SIZE
    return [x[k // 2 :: k, k // 2 :: k] for x in large]


class Coded:
    """A prior of latents: half as wide, four times as many channels, a fifth as large."""

    schedule: Schedule = Cosine()
    size, views, factor = SIZE, 1, 2

    def encode(self, x: Tensor, rng: torch.Generator | None = None) -> Tensor:
        return F.pixel_unshuffle((2 * x - 1).permute(0, 3, 1, 2), 2) / 5

    def decode(self, z: Tensor) -> Tensor:
        return F.pixel_shuffle(5 * z, 2).permute(0, 2, 3, 1) / 2 + 0.5

    def embed(self, prompt: Prompt) -> Embedding:
        return {}

    def condition(self, mix: Any, shot: Shot) -> Condition:
        return {}

    def eps(self, z_t: Tensor, t: Tensor, *conditions: Condition) -> tuple[Tensor, ...]:
        clean = self.encode(wanted()[None]).expand_as(z_t)
        return (eps_from_x0(self.schedule, z_t, t, clean),) * len(conditions)


def side_shot(views: int = 1) -> Shot:
    azimuth = torch.tensor([10.0, 200.0, 80.0, 5.0, 90.0][:views])
    return Shot(orbit(azimuth, torch.full_like(azimuth, 20.0), size=SIZE))


def still(shot: Shot) -> Callable[[Step], Shot]:
    return lambda step: shot


def followed(prior: Prior, guidance: Any, views: int = 1) -> Stage[None]:
    """A grey picture that follows a guidance for 4 steps."""
    shot, scene = side_shot(views), Image(torch.full((SIZE, SIZE, 3), 0.4))

    def objective(view: Rendering[None], shot: Shot, step: Step) -> dict[str, Tensor]:
        return {"guidance": guidance(prior.encode(view.color), shot, step)}

    adam = torch.optim.Adam(scene.parameters(), lr=0.05)
    return Stage(scene, still(shot), objective, adam, 4)


def score(prior: Prior) -> Mix:
    return cfg(prior, Sentence(prior, "y"), Sentence(prior, ""), 3.0)


@pytest.mark.parametrize("prior", [oracle(), Coded()])
def test_a_strip_is_render_noised_guess_and_end(prior: Prior) -> None:
    """A prior of one picture guesses it at once, and DDIM ends with it; latents are decoded."""
    x, t = torch.rand(1, SIZE, SIZE, 3, generator=rng(2)), torch.tensor([0.35])
    z = prior.encode(x)
    noise = 0.1 * torch.randn(z.shape, generator=rng(3))
    z_t = add_noise(prior.schedule, z, t, noise)
    shown = cells(strip(x, Question(score(prior), z_t, t, side_shot()), "step 7"))
    noisy = prior.decode(z_t)[0].clamp(0, 1)
    for cell, expected in zip(shown, (x[0], noisy, wanted(), wanted()), strict=True):
        torch.testing.assert_close(cell, expected, atol=0.006, rtol=0)


def test_ddim_from_the_step_s_own_noise_ends_where_the_closed_form_says() -> None:
    """For a Gaussian prior (z_t - alpha mu) / sqrt(alpha^2 v + sigma^2) stays constant."""
    prior, t = oracle(0.5), torch.tensor([0.8])
    mu, a, s = prior.encode(wanted()[None]), *(f(t) for f in (Cosine().alpha, Cosine().sigma))
    z_t = torch.randn(mu.shape, generator=rng(4)) * 0.4
    question = Question(score(prior), z_t, t, side_shot())
    end = prior.decode(mu + 0.5 * (z_t - a * mu) / (a**2 * 0.25 + s**2).sqrt())[0]
    guess = prior.decode(mu + 0.25 * a * (z_t - a * mu) / (a**2 * 0.25 + s**2))[0]
    shown = cells(strip(wanted()[None], question, "", steps=200))
    torch.testing.assert_close(shown[3], end.clamp(0, 1), atol=0.012, rtol=0)
    torch.testing.assert_close(shown[2], guess.clamp(0, 1), atol=0.003, rtol=0)
    assert float((end - guess).abs().mean()) > 0.05


def test_strips_come_every_so_many_steps_and_change_no_bit(tmp_path: Path) -> None:
    prior, seen = oracle(0.1), list[Tensor]()
    watched, alone = (followed(prior, SDS(score(prior)), views=5) for _ in range(2))
    fit(alone, Run(tmp_path / "alone"))
    fit(watched, Run(tmp_path) / "coarse", [Strips(2), lambda m: seen.append(m.view.color)])
    assert torch.equal(*(stage.scene.state_dict()["logits"] for stage in (watched, alone)))
    names = [f"guidance-coarse-{n:06d}.png" for n in (2, 4)]
    assert sorted(p.name for p in (tmp_path / "previews").iterdir()) == names
    sheet = load_image(tmp_path / "previews" / names[1])
    assert sheet.shape[0] // CELL == ROWS  # of 5 views
    torch.testing.assert_close(cells(sheet)[0], seen[3][0].detach(), atol=0.003, rtol=0)


@pytest.mark.parametrize("name", [*family(Recorder()), "jacobian"])
def test_every_guidance_leaves_a_strip(name: str, tmp_path: Path) -> None:
    prior = Recorder()
    guidance = {**family(prior), "jacobian": Jacobian(score(prior))}[name]
    stage = followed(prior, guidance)
    shot = some_shot(10.0)
    stage = replace(stage, scene=Image(torch.full((4, 4, 3), 0.4)), shots=still(shot))
    adam = torch.optim.Adam(stage.scene.parameters())
    fit(replace(stage, optimizer=adam), Run(tmp_path), [Strips(4)])
    sheet = load_image(tmp_path / "previews" / "guidance-000004.png")
    assert sheet.shape[1] == 4 * CELL + 4


@pytest.mark.parametrize("name", ["ism", "sdi", "reconstruct"])
def test_the_question_with_most_noise_is_shown(name: str) -> None:
    """ISM and SDI walk up to it, a reconstruction walks down from it: not the last of SDI's."""
    prior, t = Recorder(), torch.tensor([0.62])
    guidance = family(prior, lambda n, step: t)[name]
    z = torch.randn(1, 3, 4, 4, generator=rng(5))
    with overhearing() as heard:
        guidance(z, some_shot(10.0), Step(3, 10, rng(6)))
    assert len(heard) > 2
    loudest = max(heard, key=lambda asked: float(asked.t.mean()))
    torch.testing.assert_close(loudest.t, prior.schedule.snap(t))
    with overhearing() as inner:
        pass
    assert not inner


def test_of_a_step_in_parts_the_asker_s_own_render_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loudest question may be the second part's, whose camera is another."""
    shown: list[tuple[Tensor, Tensor]] = []
    whole = strips.strip

    def seen(x: Tensor, question: Question, name: str) -> Tensor:
        assert question.shot.seen is not None
        shown.append((x, question.shot.seen.before(question.shot)))
        return whole(x, question, name, steps=1)

    monkeypatch.setattr(strips, "strip", seen)
    with split.into(2):
        recipe = DreamFusion("a cone", steps=8, batch=2, size=16, samples=8)
        recipe.run(Run(tmp_path), Oracle(toy_scene(parse("a cone"), 0).render), [Strips(1)])
    assert len(shown) == 8
    for x, own in shown:
        torch.testing.assert_close(x, own)


@pytest.mark.parametrize("scale", [2.0, 7.5])
def test_what_is_no_noise_prediction_is_completed(scale: float) -> None:
    """CSD's eps_y - eps_null by eps_y, NFSD's by eps_null where t is large, CFG's by nothing."""
    prior, shot = Recorder(), some_shot(10.0, 50.0)
    y, null, bad = (Sentence(prior, text) for text in ("y", "", "bad"))
    z_t, t = torch.randn(2, 3, 4, 4, generator=rng(7)), torch.tensor([0.1, 0.9])
    e_y, e_null, e_bad = prior.eps(z_t, t, y(shot), null(shot), bad(shot))
    guided = e_null + scale * (e_y - e_null)
    pairs = [
        (cfg(prior, y, null, scale), guided),
        (CSD(prior, y, null).at(0.5).score, 2 * e_y - e_null),
        (
            nfsd(prior, y, null, bad, scale=scale).score,
            guided + torch.tensor([0.0, 1.0])[:, None, None, None] * (e_null - e_bad),
        ),
    ]
    for mix, expected in pairs:
        assert isinstance(mix, Mix)
        torch.testing.assert_close(Completed(mix)(z_t, t, shot), expected, atol=1e-5, rtol=1e-5)


def test_a_run_with_previews_keeps_its_bits(tmp_path: Path) -> None:
    prior = Oracle(toy_scene(parse("a yellow cone"), 0).render, std=0.1)
    watched, alone = (
        numbers().run(Run(tmp_path / name), prior, observers)
        for name, observers in (("with", watching(numbers(), 3, [])), ("without", []))
    )
    for key, value in alone.state_dict().items():
        assert torch.equal(value, watched.state_dict()[key]), key
    names = sorted(p.name for p in (tmp_path / "with" / "previews").iterdir())
    assert names == ["guidance-000003.png", "guidance-000006.png"]


@pytest.mark.seconds
def test_the_flag_leaves_strips_in_the_run(dreamlift: Dreamlift, tmp_path: Path) -> None:
    ended = generate(dreamlift, "--previews", "4", "--out", "here")
    assert ended.code == 0, ended.err
    names = sorted(p.name for p in (tmp_path / "here" / "previews").glob("guidance*"))
    assert names == ["guidance-000004.png", "guidance-000008.png"]


def test_pictures_that_follow_a_guidance_have_strips_beside_them(
    dreamlift: Dreamlift, tmp_path: Path
) -> None:
    asked = ("image", "a cone", "--prior", "words", "--previews", "2")
    ended = dreamlift(*asked, "--optimise", "sds", "--steps", "2", "--count", "2")
    assert ended.code == 0, ended.err
    assert (tmp_path / "image-a-cone-sds-0-previews" / "guidance-000002.png").is_file()
    assert "Say --optimise" in dreamlift(*asked).err


@pytest.mark.parametrize("recipe", [DreamFields("a cone"), CLIPMesh("a cone")])
def test_recipes_without_a_diffusion_prior_have_nothing_to_preview(recipe: Any) -> None:
    with pytest.raises(BadInput, match="follows CLIP"):
        watching(recipe, 5)
    assert watching(recipe, 0, []) == []
    with pytest.raises(BadInput, match="not every -1"):
        watching(numbers(), -1)


@pytest.mark.seconds
@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_leaves_strips_and_keeps_its_bits(name: Name, tmp_path: Path) -> None:
    """Fields, Gaussians, tetrahedra and textures: no recipe knows of it."""
    prior = Oracle(toy_scene(parse("a yellow cone"), 0).render, std=0.1)
    recipe: Any = short(name)
    if name == "magic3d":
        recipe = replace(recipe, fine_steps=20)
    watched = recipe.run(Run(tmp_path / "with"), prior, [Strips(20)])
    alone = recipe.run(Run(tmp_path / "without"), prior)
    for key, value in alone.state_dict().items():
        assert torch.equal(value, watched.state_dict()[key]), key
    shown = [p.stem for p in (tmp_path / "with" / "previews").iterdir()]
    assert len(shown) == {"magic3d": 3, "gaussiandreamer": 4}.get(name, 2)
