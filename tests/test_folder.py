"""Folders of other people's pixel models: their schedules are read as diffusers reads them."""

import pytest
import torch

from dreamlift.diffusion import Cosine
from dreamlift.priors.folder import schedule_from_config
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
