"""DreamFusion against the oracle: what is missing in the end is not the prior's fault."""

from pathlib import Path

import pytest
import torch

from dreamlift.cameras import turntable
from dreamlift.grammar import parse
from dreamlift.priors.oracle import Oracle
from dreamlift.recipes.dreamfusion import DreamFusion
from dreamlift.run import Run
from dreamlift.scene import Shot
from dreamlift.toybox.scenes import toy_scene


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("prompt", "least"),
    [
        ("a small red cube on top of a large blue cube", 27.0),
        ("a snowman wearing a santa hat", 24.0),
    ],
)
def test_draft_settings_rebuild_a_scene_that_only_the_oracle_has_seen(
    prompt: str, least: float, tmp_path: Path
) -> None:
    """dB over the object, on views that were not drawn; random backgrounds, lights and shading."""
    truth = toy_scene(parse(prompt), seed=0)
    field = DreamFusion(prompt).run(Run(tmp_path), Oracle(truth.render, std=0.1))
    shot, grey = Shot(turntable(6, elevation=25, offset=20)), torch.full((1, 1, 1, 3), 0.6)
    with torch.no_grad():
        seen, found = truth.render(shot), field.render(shot)
        error = (found.over(grey) - seen.over(grey))[seen.alpha[..., 0] > 0.5]
    assert -10 * error.square().mean().log10() >= least
    overlap = (found.alpha > 0.5) & (seen.alpha > 0.5)
    union = (found.alpha > 0.5) | (seen.alpha > 0.5)
    assert overlap.sum() / union.sum() > 0.9


def test_full_is_more_of_the_same() -> None:
    draft, more = DreamFusion("a cone", seed=3), DreamFusion("a cone", seed=3).full()
    assert (more.prompt, more.seed, more.scale) == (draft.prompt, draft.seed, draft.scale)
    assert more.steps * more.batch > draft.steps * draft.batch
