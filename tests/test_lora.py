"""VSD's student: the teacher to begin with, then itself; and never the teacher's undoing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from conftest import rng
from test_pixel_prior import CAMERA, TINY, Words
from test_scores import some_shot
from torch import Tensor, nn

from dreamlift.diffusion import Cosine, add_noise
from dreamlift.fit import Stage, Terms, fit
from dreamlift.guidance import vsd
from dreamlift.guidance.prompts import Sentence
from dreamlift.guidance.scores import Score, cfg
from dreamlift.guidance.times import Uniform
from dreamlift.guidance.vsd import VSD, Study
from dreamlift.priors import lora
from dreamlift.priors.lora import Student, pose_numbers
from dreamlift.priors.pixel import Pixel
from dreamlift.run import Run
from dreamlift.scene import Rendering, Shot
from dreamlift.scenes.image import Image
from dreamlift.scenes.particles import Part, Particles
from dreamlift.step import Step

pytestmark = pytest.mark.weights  # builds networks through diffusers

WHERE: tuple[lora.Where, ...] = ("attention", "everywhere")


def tiny(
    prediction: Literal["epsilon", "v_prediction"] = "v_prediction",
    dtype: torch.dtype = torch.float32,
    **network: Any,
) -> Pixel:
    """A small untrained network: of pictures 8x8, or with 12 channels of 16x16."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    torch.manual_seed(0)
    config = {**TINY, "in_channels": 3, "out_channels": 3, **network}
    unet = UNet2DConditionModel(**config)
    return Pixel(unet, Words(), Cosine(), prediction, dtype=dtype)


def own(dtype: torch.dtype = torch.float32) -> Pixel:
    """The embedded prior's kind."""
    return tiny("v_prediction", dtype, in_channels=12, out_channels=12, **CAMERA)


def deep(dtype: torch.dtype = torch.float32) -> Pixel:
    """DeepFloyd IF's kind: eps, a learned variance, no cameras."""
    return tiny("epsilon", dtype, out_channels=6)


KINDS = {"own": own, "deep": deep}


def student(prior: Pixel, where: lora.Where = "attention", **choices: Any) -> Student:
    return Student(prior, Sentence(prior, "a frog"), rng=rng(1), where=where, **choices)


def asked(prior: Pixel) -> tuple[Tensor, Tensor, Tensor, Shot]:
    """z, t, noise and a shot of two unlike cameras."""
    like = prior.encode(torch.zeros(2, prior.size, prior.size, 3))
    z, noise = (torch.randn(like.shape, generator=rng(k)) for k in (2, 3))
    return z, torch.tensor([0.31, 0.83]), noise, some_shot(10, -130)


def teach(pupil: Student, steps: int = 3, lr: float = 1e-2) -> None:
    """A few steps on noise."""
    z, t, noise, shot = asked(prior_of(pupil))
    optimizer = torch.optim.AdamW(pupil.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        pupil.loss(z, t, noise, shot, rng(4)).backward()
        optimizer.step()


def prior_of(pupil: Student) -> Pixel:
    assert isinstance(pupil.prior, Pixel)
    return pupil.prior


def check_start() -> None:
    """B = 0, and the camera's network says 0: the teacher, bit for bit, in either dtype."""
    for make in KINDS.values():
        for dtype in (torch.float32, torch.bfloat16):
            for where in WHERE:
                prior = make(dtype)
                z, t, _, shot = asked(prior)
                (said,) = prior.eps(z, t, Sentence(prior, "a frog")(shot))
                with torch.no_grad():
                    assert torch.equal(student(prior, where)(z, t, shot), said), (dtype, where)


def check_teacher() -> None:
    """However much the student has learned, the teacher says and holds what it did, bit for bit."""
    for where in WHERE:
        prior = own()
        z, t, _, shot = asked(prior)
        told = Sentence(prior, "a frog")(shot)
        (before,), modules = prior.eps(z, t, told), [*prior.network.modules()]
        held = {name: value.clone() for name, value in prior.network.state_dict().items()}
        pupil = student(prior, where)
        teach(pupil)
        with torch.no_grad():
            after = pupil(z, t, shot)
            (again,) = prior.eps(z, t, told)
        assert torch.equal(again, before)
        assert (after - before).abs().max() > 1e-3, "the student learned nothing"
        state = prior.network.state_dict()
        assert state.keys() == held.keys()
        assert all(torch.equal(state[name], value) for name, value in held.items())
        assert all(a is b for a, b in zip(prior.network.modules(), modules, strict=True))
        assert not any(p.requires_grad or p.grad is not None for p in prior.network.parameters())


def check_owns() -> None:
    """Its parameters and its state are the low-rank tensors and the camera's network alone."""
    prior = own()
    shared = {p.data_ptr() for p in prior.network.parameters()}
    pupil = student(prior)
    names = {name.split(".")[0] for name in pupil.state_dict()}
    assert names == {"factors", "pose"}
    assert {name for name, _ in pupil.named_parameters()} == pupil.state_dict().keys()
    assert not any(p.data_ptr() in shared for p in pupil.parameters())
    assert all(p.dtype == torch.float32 for p in student(own(torch.bfloat16)).parameters())
    mine = sum(p.numel() for p in pupil.factors.parameters())
    assert mine < 0.2 * sum(p.numel() for p in prior.network.parameters())


def check_low_rank() -> None:
    """W + BA, layer by layer: the teacher's own network with other weights says the same."""
    for where in WHERE:
        for make in KINDS.values():
            prior = make()
            pupil = student(prior, where, rank=3)
            with torch.no_grad():
                for k, factors in enumerate(pupil.factors.parameters()):
                    factors.copy_(0.3 * torch.randn(factors.shape, generator=rng(k)))
            weights = dict(prior.network.named_parameters())
            for name, factors in pupil.factors.items():
                layer = f"{name.replace('/', '.')}.weight"
                down, up = (getattr(factors, end).detach() for end in ("down", "up"))
                grown = (up.flatten(1) @ down.flatten(1)).reshape(weights[layer].shape)
                weights[layer] = nn.Parameter(weights[layer] + grown)
            other = make()
            other.network.load_state_dict(weights)
            z, t, _, shot = asked(prior)
            with torch.no_grad():
                ours = pupil(z, t, shot)
            (theirs,) = other.eps(z, t, Sentence(prior, "a frog")(shot))
            plain = prior.eps(z, t, Sentence(prior, "a frog")(shot))[0]
            assert (ours - plain).abs().max() > 0.05
            torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


def check_loss() -> None:
    """The error of what the network says: of eps, or of v = (eps_phi's error) / alpha."""
    for name, make in KINDS.items():
        prior = make()
        pupil = student(prior, dropout=0.0)
        teach(pupil)
        z, t, noise, shot = asked(prior)
        with torch.no_grad():
            loss = pupil.loss(z, t, noise, shot, rng(5))
            error = pupil(add_noise(Cosine(), z, t, noise), t, shot) - noise
        if name == "own":
            error = error / Cosine().alpha(t)[:, None, None, None]
        torch.testing.assert_close(loss, error.square().mean(), atol=1e-5, rtol=1e-4)


def poses(pupil: Student, n: int, monkeypatch: pytest.MonkeyPatch) -> Tensor:
    """What n cameras of a loss are told as."""
    said: list[Tensor] = []

    def predict(self: Pixel, z_t: Tensor, t: Tensor, *told: Any) -> tuple[Tensor, ...]:
        said.append(told[0]["pose"])
        return (z_t,)

    monkeypatch.setattr(Pixel, "predict", predict)
    z = torch.zeros(n, 3, 8, 8)
    pupil.loss(z, torch.full((n,), 0.5), z, some_shot(*[30] * n), rng(6))
    pupil(z, torch.full((n,), 0.5), some_shot(*[30] * n))
    return torch.stack(said)


def check_dropout() -> None:
    """A tenth of the cameras is told as zeros while it learns, none while it is asked."""
    pupil, n = student(deep()), 3000
    with pytest.MonkeyPatch.context() as monkeypatch:
        learning, asking = poses(pupil, n, monkeypatch)
    hidden = (learning == 0).all(1)
    assert 0.08 < hidden.float().mean() < 0.12
    whole = pose_numbers(some_shot(*[30] * n).cameras)
    assert torch.equal(learning[~hidden], whole[~hidden])
    assert torch.equal(asking, whole)


def check_pose() -> None:
    """The sixteen numbers of camera to world; a student that was taught tells cameras apart."""
    shot = some_shot(10, -130)
    inverse = torch.linalg.inv(shot.cameras.world_to_camera)
    torch.testing.assert_close(pose_numbers(shot.cameras), inverse.flatten(1))
    prior = deep()
    pupil = student(prior)
    with torch.no_grad():
        pupil.pose.out.weight.copy_(torch.randn(pupil.pose.out.weight.shape, generator=rng(7)))
    z, t = torch.zeros(2, 3, 8, 8), torch.tensor([0.5, 0.5])
    with torch.no_grad():
        here, there = pupil(z, t, shot)
    assert (here - there).abs().max() > 1e-3
    one, other = prior.eps(z, t, Sentence(prior, "a frog")(shot))[0]
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)  # the teacher is not told


class Believer(nn.Module):
    """A UNet to look at, exact for what it believes: one picture, from the embedding of t."""

    def __init__(self) -> None:
        super().__init__()
        self.config = {"in_channels": 3, "sample_size": 4, "class_embed_type": None}
        self.device = torch.device("cpu")
        self.time_embedding = nn.Sequential()
        self.time_embedding.add_module("linear_2", nn.Linear(1, 16))
        self.to_q = nn.Linear(16, 48)
        for k, p in enumerate(self.parameters()):
            p.data = 0.3 * torch.randn(p.shape, generator=rng(k))

    def forward(
        self, z_t: Tensor, clock: Tensor, tokens: Tensor, timestep_cond: Tensor | None, **_: Any
    ) -> tuple[Tensor]:
        one = torch.ones(len(z_t), 1)
        told = () if timestep_cond is None else (timestep_cond,)
        believed = self.to_q(self.time_embedding(one, *told)).reshape(z_t.shape)
        alpha, sigma = (f(clock / 999)[:, None, None, None] for f in (Cosine().alpha,
                                                                      Cosine().sigma))  # fmt: skip
        return ((z_t - alpha * believed) / sigma,)


def check_learns() -> None:
    """Taught with a picture for each of two cameras, it says the noise in each: the exact score."""
    prior = Pixel(Believer(), Words(), Cosine(), "epsilon")
    pupil, shot = student(prior), some_shot(40, -100, 40, -100)
    pictures = 2 * torch.rand(2, 3, 4, 4, generator=rng(8)) - 1
    z, noise = pictures.repeat(2, 1, 1, 1), torch.randn(4, 3, 4, 4, generator=rng(10))
    t = torch.tensor([0.2, 0.4, 0.6, 0.9])
    study, steps, generator = Study(pupil, Uniform(0.3, 1.0)), 250, rng(9)
    optimizer = torch.optim.AdamW(pupil.parameters(), lr=0.03, weight_decay=0.0)
    with torch.no_grad():
        before = pupil(add_noise(Cosine(), z, t, noise), t, shot)
    for i in range(steps):
        optimizer.param_groups[0]["lr"] = 0.03 * (1 - i / steps)
        optimizer.zero_grad()
        study(z, shot, Step(i, steps, generator)).backward()
        optimizer.step()
    with torch.no_grad():
        after = pupil(add_noise(Cosine(), z, t, noise), t, shot)
    assert (before - noise).abs().mean() > 0.5
    torch.testing.assert_close(after, noise, atol=0.05, rtol=0)


CHECKS = {
    check.__name__.removeprefix("check_"): check
    for check in (
        check_start, check_teacher, check_owns, check_low_rank, check_loss, check_dropout,
        check_pose, check_learns,
    )
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKS)
def test_a_student(name: str):
    CHECKS[name]()


def test_it_is_a_student_and_a_score():
    pupil = student(own())
    assert isinstance(pupil, vsd.Student) and isinstance(pupil, Score)


def test_its_state_is_enough_to_go_on():
    """A fresh student on the same prior that takes the state says the same bits."""
    pupil, again = student(own(), "everywhere"), student(own(), "everywhere")
    teach(pupil)
    again.load_state_dict(pupil.state_dict())
    z, t, _, shot = asked(prior_of(pupil))
    with torch.no_grad():
        assert torch.equal(pupil(z, t, shot), again(z, t, shot))


def test_nothing_of_the_teacher_is_copied():
    """What the teacher holds is what the student works with."""
    prior = own()
    pupil = student(prior)
    z, t, _, shot = asked(prior)
    with torch.no_grad():
        before = pupil(z, t, shot)
        prior.network.get_parameter("conv_in.weight").mul_(0.5)
        assert not torch.equal(pupil(z, t, shot), before)
        assert torch.equal(pupil(z, t, shot), prior.eps(z, t, pupil.told(shot))[0])


def test_two_students_of_one_prior_do_not_meet():
    prior = own()
    one, other = student(prior), student(prior)
    z, t, _, shot = asked(prior)
    before = other(z, t, shot)
    teach(one)
    assert torch.equal(other(z, t, shot), before)


def test_a_network_without_attention_is_refused():
    prior = own()
    plain = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    prior.network = tiny(mid_block_type=None, **plain).network
    with pytest.raises(ValueError, match="no layer to adapt"):
        student(prior)


def stage(steps: int = 6) -> Stage[tuple[Part[None], ...]]:
    """VSD as a recipe writes it: two particles, a student among the optimiser's groups, kept."""
    prior = own()
    scene = Particles([Image(torch.rand(16, 16, 3, generator=rng(k))) for k in (1, 2)])
    told = Sentence(prior, "a frog")
    pupil = Student(prior, told, rng=rng(3))
    guide = VSD(cfg(prior, told, Sentence(prior, ""), 7.5), pupil)
    study = Study(pupil)

    def shots(step: Step) -> Shot:
        shot = some_shot(*(360 * torch.rand(2, generator=step.rng) - 180).tolist())
        return Shot(shot.cameras.resized(16, 16))

    def objective(view: Rendering[tuple[Part[None], ...]], shot: Shot, step: Step) -> Terms:
        z = prior.encode(view.color)
        return {"vsd": guide(z, shot, step), "student": study(z, shot, step)}

    groups = [
        {"params": scene.parameters(), "name": "scene", "lr": 0.05},
        {"params": pupil.parameters(), "name": "student", "lr": 1e-3},
    ]
    return Stage(
        scene, shots, objective, torch.optim.AdamW(groups), steps, seed=5, keep={"student": pupil}
    )


def bits(stage: Stage[Any]) -> Iterator[bytes]:
    for part in (stage.scene, *stage.keep.values()):
        for value in part.state_dict().values():
            yield value.numpy().tobytes()


def test_a_stopped_run_goes_on_with_the_same_bits(tmp_path: Path):
    whole = stage()
    fit(whole, Run.create(tmp_path / "whole", {}))
    fresh = [*bits(stage())]
    run = Run.create(tmp_path / "stopped", {})

    def crash(moment: Any) -> None:
        if moment.step.index == 3:
            raise RuntimeError("a crash")

    with pytest.raises(RuntimeError, match="a crash"):
        fit(stage(), run, [crash], checkpoint_steps=2)
    resumed = stage()
    fit(resumed, run)
    expected = [*bits(whole)]
    assert [*bits(resumed)] == expected
    assert sum(a != b for a, b in zip(expected, fresh, strict=True)) > len(fresh) / 2


def test_neither_term_reaches_the_other_s_parameters():
    both = stage()
    pupil, step = both.keep["student"], Step(0, 6, rng(5))
    assert isinstance(pupil, Student)
    shot = both.shots(step)
    terms = both.objective(both.scene.render(shot, rng=step.rng), shot, step)
    terms["student"].backward()
    assert all(p.grad is None for p in both.scene.parameters())
    assert any(p.grad is not None and p.grad.any() for p in pupil.parameters())
    pupil.zero_grad()
    terms["vsd"].backward()
    assert any(p.grad is not None and p.grad.any() for p in both.scene.parameters())
    assert all(p.grad is None for p in pupil.parameters())
