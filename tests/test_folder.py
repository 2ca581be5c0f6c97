"""Folders of other people's pixel models: their schedules are read as diffusers reads them."""

import json

import pytest
import torch
from conftest import shared_data

from dreamlift.diffusion import Cosine, add_noise, eps_from_v, x0_from_eps
from dreamlift.priors.folder import prediction_from_config, schedule_from_config
from dreamlift.schedules import Table


@pytest.mark.weights
@pytest.mark.parametrize("beta_schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_schedules_are_those_of_diffusers(beta_schedule: str):
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    theirs = DDPMScheduler(beta_schedule=beta_schedule, beta_start=0.0009, beta_end=0.013)
    ours = schedule_from_config(theirs.config)
    assert isinstance(ours, Table)
    torch.testing.assert_close(ours.alpha_bar, theirs.alphas_cumprod, atol=1e-6, rtol=1e-4)


def test_our_own_continuous_schedule_can_be_named():
    assert schedule_from_config({"_class_name": "Cosine"}) == Cosine()


def deterministic() -> torch.Tensor:
    """The sample of diffusers' own scheduler tests."""
    return torch.arange(768.0).reshape(3, 8, 8, 4).div(768).permute(3, 0, 1, 2)


@pytest.mark.parametrize("number", range(3))
def test_ddim_gives_diffusers_golden_numbers(number: int):
    """Ten steps of eta 0, the clean sample clipped, its noise not, ending at alpha 1."""
    file = shared_data("data", "reference", "diffusers_schedulers", "expected.json")
    golden = json.loads(file.read_text())["ddim"]
    case = golden["cases"][number]
    config = {**golden["config"], **case, "beta_schedule": "linear"}
    schedule, prediction = schedule_from_config(config), prediction_from_config(config)
    z = deterministic()
    for i in range(900, -1, -100):
        t, s = (torch.full((4,), step / 999) for step in (i, i - 100))
        out = z * i / (i + 1)
        eps = out if prediction == "epsilon" else eps_from_v(schedule, z, t, out)
        x0 = x0_from_eps(schedule, z, t, eps).clamp(-1, 1)
        z = add_noise(schedule, x0, s, eps) if i else x0
    assert z.abs().sum().item() == pytest.approx(case["sum"], abs=1e-2)
    assert z.abs().mean().item() == pytest.approx(case["mean"], abs=1e-3)


@pytest.mark.parametrize("entry", [487, 999])
def test_the_tables_variances_are_diffusers_golden_numbers(entry: int):
    file = shared_data("data", "reference", "diffusers_schedulers", "expected.json")
    golden = json.loads(file.read_text())["ddpm"]
    schedule = schedule_from_config({**golden["config"], "beta_schedule": "linear"})
    assert isinstance(schedule, Table)
    bar = schedule.alpha_bar.double()
    before, now = bar[entry - 1], bar[entry]
    variance = (1 - before) / (1 - now) * (1 - now / before)
    assert variance.item() == pytest.approx(golden["variance"][str(entry)], abs=1e-5)
