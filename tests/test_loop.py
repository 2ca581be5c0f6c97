"""The training loop: what it learns, averages, saves and says."""

import json
import math
import os
import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from dreamlift.learn.loop import LAST, Stop, Training


def network() -> nn.Module:
    torch.manual_seed(3)
    net = nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    net[2].bias.requires_grad_(False)
    return net


def training(folder: Path, steps: int = 12, stop: Stop = LAST) -> Training:
    return Training(network(), folder, steps, lr=0.05, warmup=3, ema=0.9, log_every=4, stop=stop)


class Noisy:
    """A loss that also draws from torch's own generator, as dropout does."""

    def __init__(self, of: Training, stop: int | None = None) -> None:
        self.of, self.stop = of, stop

    def __call__(self, step: int) -> tuple[Tensor, dict[str, float]]:
        if step == self.stop:
            raise KeyboardInterrupt
        rng = torch.Generator().manual_seed(step)
        x = torch.randn(4, 3, generator=rng)
        loss = (self.of.network(x) - torch.randn(4, 2)).square().mean()
        return loss, {"said": float(step)}


def state(of: Training) -> list[Tensor]:
    moments = [m[k] for m in of.optimizer.state_dict()["state"].values() for k in sorted(m)]
    return [*of.network.state_dict().values(), *of.average.values(), *moments]


def test_a_resumed_training_is_bit_for_bit_one_that_never_stopped(tmp_path: Path) -> None:
    torch.manual_seed(9)
    whole = training(tmp_path / "whole")
    torch.manual_seed(9)
    whole.run(Noisy(whole))

    torch.manual_seed(9)
    part = training(tmp_path / "part")
    torch.manual_seed(9)
    with pytest.raises(KeyboardInterrupt):
        part.run(Noisy(part, stop=7))
    torch.manual_seed(12345)
    rest = training(tmp_path / "part")
    assert rest.step == 7
    rest.run(Noisy(rest))
    assert rest.step == whole.step == 12
    for a, b in zip(state(rest), state(whole), strict=True):
        assert torch.equal(a, b)


def test_an_interrupt_in_the_middle_of_a_step_waits_for_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the checkpoint would hold some matrices after the step, and others before it."""
    from dreamlift.learn import muon

    def begun(folder: Path) -> Training:
        torch.manual_seed(9)
        net = nn.Sequential(nn.Linear(3, 8), nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 2))
        return Training(net, folder, 8, lr=0.05, warmup=3, muon=2)

    whole = begun(tmp_path / "whole")
    whole.run(Noisy(whole))
    matrices, orthogonal = len(list(muon.matrices(whole.network))), muon.orthogonal
    assert matrices > 1
    calls, presses = 0, (0,)

    def pressed(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        if calls in presses:
            os.kill(os.getpid(), signal.SIGINT)
        return orthogonal(x)

    monkeypatch.setattr(muon, "orthogonal", pressed)
    for name, presses, left in (("once", (matrices * 2 + 2,), 5), ("twice", (3, 4), 0)):  # noqa: B007
        calls = 0
        part = begun(tmp_path / name)
        with pytest.raises(KeyboardInterrupt):
            part.run(Noisy(part))
        rest = begun(tmp_path / name)
        assert rest.step == left, "of half a step nothing is saved"
        rest.run(Noisy(rest))
        for a, b in zip(state(rest), state(whole), strict=True):
            assert torch.equal(a, b)


def test_the_average_follows_its_formula(tmp_path: Path) -> None:
    of = training(tmp_path)
    mean = {k: p.detach().clone() for k, p in of.network.named_parameters() if p.requires_grad}
    noisy = Noisy(of)
    for step in range(9):
        of.update(noisy(step)[0])
        decay = min(0.9, (1 + step) / (10 + step))
        for k, p in of.network.named_parameters():
            if k in mean:
                mean[k] = decay * mean[k] + (1 - decay) * p.detach()
    for k, value in of.average.items():
        torch.testing.assert_close(value, mean[k])


def test_the_network_wears_its_average_only_inside(tmp_path: Path) -> None:
    of = training(tmp_path)
    of.update(Noisy(of)(0)[0])
    now = [p.detach().clone() for p in of.network.parameters()]
    with of.averaged():
        inside = dict(of.network.named_parameters())
        assert all(torch.equal(inside[k], value) for k, value in of.average.items())
        assert not torch.equal(inside["0.weight"], now[0])
    for p, value in zip(of.network.parameters(), now, strict=True):
        assert torch.equal(p, value)


def test_the_rate_warms_up_stays_and_falls(tmp_path: Path) -> None:
    of = Training(network(), tmp_path, 100, lr=0.4, warmup=10)
    rates = []
    for step in range(101):
        of.step = step
        rates.append(of.rate())
    assert rates[:10] == pytest.approx([0.04 * (step + 1) for step in range(10)])
    assert rates[10:70] == pytest.approx([0.4] * 60)
    assert rates[85] == pytest.approx(0.2) and rates[91] == pytest.approx(0.4 * 0.3)
    assert rates[100] == pytest.approx(0.4 * 0.02)
    further = Training(network(), tmp_path, 100, lr=0.4, warmup=1, fall=1.0)
    falling = []
    for step in (0, 10, 50, 99):
        further.step = step
        falling.append(further.rate())
    assert falling == pytest.approx([0.4, 0.36, 0.2, 0.008])


def test_what_is_frozen_is_neither_trained_nor_averaged_nor_saved(tmp_path: Path) -> None:
    of = training(tmp_path)
    before = of.network[2].bias.detach().clone()
    of.run(Noisy(of))
    assert torch.equal(of.network[2].bias, before)
    assert "2.bias" not in of.average
    assert not [k for k in torch_names(of.checkpoint) if k.endswith("2.bias")]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_checkpoint_is_as_readable_as_any_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        training(tmp_path).save()
    finally:
        os.umask(before)
    assert [(path.name, path.stat().st_mode & 0o777) for path in tmp_path.iterdir()] == [
        ("checkpoint.safetensors", 0o640)
    ]


def torch_names(path: Path) -> list[str]:
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return list(file.keys())


def test_minutes_stop_it_resumably_and_steps_end_it(tmp_path: Path) -> None:
    of = training(tmp_path, stop=Stop(0.0))
    of.run(Noisy(of))
    assert of.step == 1
    again = training(tmp_path)
    assert again.step == 1
    again.run(Noisy(again))
    assert again.step == 12
    done = training(tmp_path)
    done.run(Noisy(done))
    assert done.step == 12


def test_a_share_of_the_steps_is_the_beginning_of_them_all(tmp_path: Path) -> None:
    """The learning rate does not hurry: what is logged is logged of the whole training too."""

    def log(name: str) -> list[dict[str, float]]:
        lines = (tmp_path / name / "metrics.jsonl").read_text().splitlines()
        return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]

    whole = training(tmp_path / "a")
    whole.run(Noisy(whole))
    part = training(tmp_path / "b", stop=Stop(share=0.6))
    part.run(Noisy(part))
    assert part.step == 8  # 7.2 of the 12, rounded up
    assert log("b") == log("a")[:2]
    again = training(tmp_path / "b")
    again.run(Noisy(again))
    assert log("b") == log("a")


def test_it_logs_means_and_watches_the_average(tmp_path: Path) -> None:
    of = training(tmp_path)
    of.run(Noisy(of), lambda step: {"watched": float(step)}, watch_every=5)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [4, 5, 8, 10, 12]
    assert [line["said"] for line in lines if "said" in line] == [1.5, 5.5, 9.5]
    assert [line["watched"] for line in lines if "watched" in line] == [5.0, 10.0]


def test_a_loss_that_is_not_finite_stops_it_and_says_where(tmp_path: Path) -> None:
    of = training(tmp_path)

    def broken(step: int) -> tuple[Tensor, dict[str, float]]:
        loss, said = Noisy(of)(step)
        return (loss * math.nan if step == 2 else loss), said

    with pytest.raises(FloatingPointError, match=r"loss is nan after step 2 .*lower the learning"):
        of.run(broken)
    again = training(tmp_path)
    assert again.step == 2, "what is kept is the state before it"
    assert all(bool(value.isfinite().all()) for value in state(again))


def test_a_gradient_that_is_not_finite_stops_it_before_it_is_followed(tmp_path: Path) -> None:
    of = training(tmp_path)
    before = [p.detach().clone() for p in of.network.parameters()]
    weight = next(of.network.parameters())
    with pytest.raises(FloatingPointError, match="gradient is nan after step 0"):
        of.update((weight.detach() - weight).abs().sqrt().sum())  # 0, with the slope inf * 0
    assert of.step == 0
    assert all(torch.equal(a, b) for a, b in zip(of.network.parameters(), before, strict=True))


def test_no_steps_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one step, not 0"):
        training(tmp_path, steps=0)
