"""Muon against its definition, torch's own, and a training that stops and goes on."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dreamlift.learn.loop import LAST, Stop, Training
from dreamlift.learn.muon import matrices, orthogonal, take

SHAPES = ((6, 40), (40, 6), (24, 24))


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_values_become_one_and_directions_stay(shape: tuple[int, int]) -> None:
    u, s, vh = torch.linalg.svd(gradients(shape)[0], full_matrices=False)
    x = 1e-4 * u * torch.linspace(1, 0.03, len(s)) @ vh
    found = torch.linalg.svdvals(orthogonal(x))
    assert found.min() > 0.6 and found.max() < 1.3
    cosine = torch.cosine_similarity(orthogonal(x).flatten(), (u @ vh).flatten(), dim=0)
    assert cosine > 0.97
    assert torch.equal(orthogonal(torch.zeros(shape)), torch.zeros(shape))


def gradients(shape: tuple[int, ...], n: int = 6) -> list[Tensor]:
    rng = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=rng) for _ in range(n)]


def stepped(start: Tensor, given: list[Tensor], lr: float = 0.01, decay: float = 0.1) -> Tensor:
    p = nn.Parameter(start.clone())
    optimizer = torch.optim.AdamW([p])
    for gradient in given:
        p.grad = gradient.clone()
        take([p], optimizer, lr, decay)
        assert p.grad is None
    return p.detach()


@pytest.mark.parametrize("shape", SHAPES)
def test_steps_are_those_of_torch(shape: tuple[int, int]) -> None:
    if "Muon" not in vars(torch.optim):
        pytest.skip("This torch has no Muon of its own; 2.9 has.")
    start = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    p = nn.Parameter(start.clone())
    theirs = torch.optim.Muon([p], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for gradient in gradients(shape):
        p.grad = gradient.clone()
        theirs.step()
    torch.testing.assert_close(stepped(start, gradients(shape)), p.detach(), rtol=1e-4, atol=1e-5)


def test_a_step_is_as_large_as_one_of_adamw() -> None:
    for shape in ((32, 8, 3, 3), (64, 64), (10, 300)):
        moved = stepped(torch.zeros(shape), gradients(shape, 1), lr=0.05)
        assert float(moved.square().mean().sqrt()) == pytest.approx(0.2 * 0.05, rel=0.25)


def test_a_convolution_is_the_matrix_of_its_patches() -> None:
    given = gradients((8, 5, 3, 3))
    flat = stepped(torch.ones(8, 45), [g.flatten(1) for g in given])
    assert torch.equal(stepped(torch.ones(8, 5, 3, 3), given).flatten(1), flat)


def test_it_takes_inner_matrices_only() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.Conv2d(8, 8, 3), nn.Linear(8, 2))
    assert [id(p) for p in matrices(net)] == [id(net[2].weight)]
    worded = nn.Sequential(nn.Embedding(5, 4), *[nn.Linear(4, 4) for _ in range(3)])
    assert [id(p) for p in matrices(worded)] == [id(worded[2].weight)]
    worded[2].requires_grad_(False)
    assert matrices(worded) == []


def training(folder: Path, muon: int | None, stop: Stop = LAST) -> Training:
    torch.manual_seed(3)
    net = nn.Sequential(*[nn.Linear(4, 4) for _ in range(3)])
    return Training(net, folder, 12, lr=0.05, warmup=1, ema=0.9, muon=muon, stop=stop)


def run(of: Training) -> list[Tensor]:
    def loss(step: int) -> tuple[Tensor, dict[str, float]]:
        rng = torch.Generator().manual_seed(step)
        x = torch.randn(5, 4, generator=rng)
        return (of.network(x) - x.flip(1)).square().mean(), {}

    of.run(loss)
    return [p.detach() for p in of.network.parameters()]


def test_it_takes_over_at_its_step_and_no_sooner(tmp_path: Path) -> None:
    six, seven = Stop(share=6 / 12), Stop(share=7 / 12)
    alone = run(training(tmp_path / "alone six", None, six))
    for a, b in zip(alone, run(training(tmp_path / "both six", 6, six)), strict=True):
        assert torch.equal(a, b)
    alone = run(training(tmp_path / "alone seven", None, seven))
    both = run(training(tmp_path / "both seven", 6, seven))
    same = [torch.equal(a, b) for a, b in zip(alone, both, strict=True)]
    assert same == [True, True, False, True, True, True]


def test_a_training_resumed_on_either_side_of_it_has_the_same_bits(tmp_path: Path) -> None:
    whole = run(training(tmp_path / "whole", 6))
    for steps in (3, 6, 9):
        run(training(tmp_path / f"{steps}", 6, Stop(share=steps / 12)))
        again = training(tmp_path / f"{steps}", 6)
        assert again.step == steps
        for a, b in zip(run(again), whole, strict=True):
            assert torch.equal(a, b)
