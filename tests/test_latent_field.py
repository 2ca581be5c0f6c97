"""A field of latents as a scene, and Latent-NeRF's true latent path on a tiny Stable Diffusion."""

import json
from pathlib import Path
from typing import Any

import pytest
import tiny_pipelines
import torch
from conftest import rng
from torch import Tensor

from dreamlift.cameras import orbit
from dreamlift.convert.finish import Finish
from dreamlift.distil.latents import latents, on_white_latents, refuse_other_latents
from dreamlift.errors import BadInput
from dreamlift.export import bring_out
from dreamlift.lights import Light
from dreamlift.prior import Prior
from dreamlift.priors.latent import stable_diffusion
from dreamlift.recipes.latent_nerf import LATENT, LatentNeRF
from dreamlift.render.grid import vertices
from dreamlift.render.volume import march_grid, sample_rays
from dreamlift.run import Run
from dreamlift.scene import Shot
from dreamlift.scenes.field import REFRESH, Field
from dreamlift.scenes.latent import TO_RGB, LatentField, from_rgb, to_rgb
from dreamlift.step import Step


def shot(size: int = 16) -> Shot:
    cameras = orbit(torch.tensor([20.0, -130.0]), torch.tensor([15.0, 40.0]), size=size)
    return Shot(cameras, background=torch.tensor([0.2, 0.7, 0.4]).expand(2, 1, 1, 3))


def painted(resolution: int = 33) -> LatentField:
    """A blob whose latents vary from place to place."""
    scene = LatentField(resolution=resolution, samples=32, levels=2)
    with torch.no_grad():
        at = vertices(resolution)
        scene.body.levels[-1][..., 1:4] = 2 * at
        scene.body.levels[-1][..., 4] = 0.5 - at[..., 0]
    return scene


def test_the_basis_latents_have_the_rows_of_the_matrix() -> None:
    torch.testing.assert_close(2 * to_rgb(torch.eye(4)) - 1, torch.tensor(TO_RGB))
    torch.testing.assert_close(to_rgb(torch.zeros(1, 4)), torch.full((1, 3), 0.5))


def test_latents_of_a_color_are_taken_for_that_color() -> None:
    rgb = torch.rand(5, 3, generator=rng(), dtype=torch.float64)
    z = from_rgb(rgb)
    torch.testing.assert_close(to_rgb(z), rgb)
    null = torch.linalg.svd(torch.tensor(TO_RGB, dtype=torch.float64).T).Vh[-1]
    assert (z @ null).abs().max() < 1e-12, "the shortest: nothing along what cannot be seen"


def test_it_renders_as_a_field_does_channel_by_channel() -> None:
    """Where latents lie in (0, 1), a field of the same colours shows the same."""
    scene = LatentField(resolution=33, samples=40)
    z = torch.rand(33, 33, 33, 4, generator=rng(1)) * 0.8 + 0.1
    flat = torch.full((33, 33, 33, 4), 0.3)
    flat[..., :3] = z[0, 0, 0, :3]
    with torch.no_grad():
        scene.body.levels[-1][..., 1:] = flat
    view = scene.render(shot())
    origins, directions = (x.flatten(1, 2) for x in shot().cameras.rays())
    grid = torch.cat([scene.body.dense()[..., :1], flat[..., :3].logit()], -1)
    wanted = march_grid(grid, sample_rays(origins, directions, samples=40))
    torch.testing.assert_close(view.color[..., :3].flatten(1, 2), wanted.color)
    torch.testing.assert_close(view.alpha.flatten(1, 2), wanted.alpha)
    torch.testing.assert_close(view.color[..., 3:], 0.3 * view.alpha)
    assert view.color.shape == (2, 16, 16, 4)


def test_its_background_is_the_color_of_the_shot() -> None:
    scene = painted()
    z = latents(scene.render(shot()), shot())
    assert z.shape == (2, 4, 16, 16)
    corner = to_rgb(z[:, :, 0, 0])
    torch.testing.assert_close(corner, torch.tensor([[0.2, 0.7, 0.4]]).expand(2, 3))
    white = on_white_latents(scene.render(shot()))
    torch.testing.assert_close(white[:, 0, 0], torch.ones(2, 3))


def test_its_field_of_colors_looks_as_the_matrix_says() -> None:
    scene = painted()
    before = scene.render(shot())
    scene.adapt(Step(REFRESH - 1, 10, rng()), before, torch.optim.Adam(scene.parameters()))
    field = scene.field()
    assert isinstance(field, Field) and torch.equal(field.occupied, scene.occupied)
    after = field.render(shot())
    torch.testing.assert_close(after.alpha, before.alpha, atol=1e-3, rtol=0)
    rgb = to_rgb(before.color / before.alpha.clamp_min(1e-3)) * before.alpha
    solid = before.alpha[..., 0] > 0.5
    torch.testing.assert_close(after.color[solid], rgb[solid], atol=0.05, rtol=0)
    points = torch.rand(40, 3, generator=rng(2)) - 0.5
    torch.testing.assert_close(field.density(points), scene.density(points))


def test_latents_cannot_be_lit() -> None:
    half = torch.full((2,), 0.5)
    lit = Shot(shot().cameras, Light(torch.ones(2, 3), half, half, half > 1))
    with pytest.raises(ValueError, match="without a light"):
        painted().render(lit)


def test_a_latent_and_its_density_can_be_learned() -> None:
    scene = painted()
    latents(scene.render(shot(), rng=rng()), shot()).square().sum().backward()
    for level in scene.body.levels:
        assert level.grad is not None and level.grad.isfinite().all()
        assert all(level.grad[..., k].any() for k in range(5))


class Tiny:
    """Stable Diffusion of random weights, of which it is noted what was asked of its parts."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import tiny_pipelines

        from dreamlift.priors.latent import stable_diffusion

        tiny_pipelines.stable_diffusion(folder)
        self.prior: Any = stable_diffusion(folder, dtype=torch.float32)
        self.encoded, self.noised = list[Tensor](), list[Tensor]()
        encode, eps = self.prior.encode, self.prior.eps

        def spied(x: Tensor, rng: torch.Generator | None = None) -> Tensor:
            self.encoded.append(x)
            return encode(x, rng)

        def asked(z_t: Tensor, t: Tensor, *conditions: Any) -> Any:
            self.noised.append(z_t)
            return eps(z_t, t, *conditions)

        monkeypatch.setattr(self.prior, "encode", spied)
        monkeypatch.setattr(self.prior, "eps", asked)


@pytest.mark.weights
def test_with_stable_diffusion_latents_are_rendered_and_only_colors_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First latents of the network's own side, which no encoder sees; then colours, through it."""
    tiny = Tiny(tmp_path / "prior", monkeypatch)
    assert isinstance(tiny.prior, Prior)
    recipe = LatentNeRF("a frog", steps=3, color_steps=2, samples=16, size=12, init="blob")
    pictures, seen = list[int](), list[tuple[str, Any]]()

    def note(moment: Any) -> None:
        pictures.append(len(tiny.encoded))
        seen.append((moment.run.stage, moment.view))
        assert moment.stage.preview(moment.view).shape[-1] == 3

    run = Run(tmp_path / "run")
    field = recipe.run(run, tiny.prior, [note])
    assert [stage for stage, _ in seen] == ["latent"] * 3 + ["color"] * 2
    assert [view.color.shape[1:] for _, view in seen] == [(8, 8, 4)] * 3 + [(12, 12, 3)] * 2
    start = pictures[0]  # one grey picture, to count the latents' channels
    assert pictures[:3] == [start] * 3 and pictures[3] > start, "latents are not encoded"
    assert all(z.shape[1:] == (4, 8, 8) for z in tiny.noised)
    again = recipe.made(Run(tmp_path / "run"))
    for name, value in field.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name
    [part], _ = bring_out(again, Finish(resolution=32, faces=600, texture=64))
    assert len(part.faces) > 20
    state = (run / LATENT).load()
    assert state is not None and state["scene"]["body.levels.2"].shape[-1] == 5


@pytest.mark.weights
def test_other_latents_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = Tiny(tmp_path / "prior", monkeypatch)
    wide = lambda x, rng=None: torch.zeros(len(x), 16, 8, 8)  # noqa: E731
    monkeypatch.setattr(tiny.prior, "encode", wide)
    with pytest.raises(BadInput, match="16 channels. Choose sd15 or sd21"):
        LatentNeRF("a frog", steps=1).run(Run(tmp_path / "run"), tiny.prior)


@pytest.mark.weights
def test_latents_of_another_autoencoder_are_refused(tmp_path: Path) -> None:
    tiny_pipelines.stable_diffusion(tmp_path / "sd")
    tiny_pipelines.stable_diffusion(tmp_path / "xl")
    refuse_other_latents(
        stable_diffusion(tmp_path / "sd", dtype=torch.float32), torch.device("cpu")
    )
    config = tmp_path / "xl" / "vae" / "config.json"  # four channels too, of other colours
    config.write_text(json.dumps({**json.loads(config.read_text()), "scaling_factor": 0.13025}))
    with pytest.raises(BadInput, match=r"another, of 0\.13025\. Choose sd15"):
        refuse_other_latents(
            stable_diffusion(tmp_path / "xl", dtype=torch.float32), torch.device("cpu")
        )
