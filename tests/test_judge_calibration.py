"""What the shipped judges tell, on objects that are right and on the same made wrong."""

import pytest
import torch
from witness import flattened, swapped

from dreamlift.evaluate import judging, look, truths
from dreamlift.evaluate.judging import WEIGHTS, WHOLE

pytestmark = [
    pytest.mark.weights,
    pytest.mark.skipif(
        not (WEIGHTS / "model.safetensors").exists(), reason="no judge is installed"
    ),
]

TOWERS = (
    "a red cube on top of a blue cylinder",
    "a yellow ball on top of a purple cube",
    "a green ball on top of a pink cylinder",
)
FRONTED = ("a purple frog on top of an orange cube", "a snowman on top of a table", "a chair")


@pytest.fixture(scope="module", params=(WEIGHTS, WHOLE), ids=lambda folder: folder.name)
def judge(request: pytest.FixtureRequest) -> judging.Judge:
    return judging.shipped_judge(request.param)


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def test_the_figures_fall_when_objects_are_wrong(judge: judging.Judge):
    found: dict[str, list[float]] = {}
    for prompt in TOWERS:
        parts = truths.true_parts(prompt)
        objects = {"true": parts, "swapped": swapped(parts), "upper alone": parts[:1],
                   "lower alone": parts[1:], "flat": flattened(parts)}  # fmt: skip
        for name, made in objects.items():
            said = judging.verdict(judging.seen(truths.through_a_file(made)), prompt, judge)
            found.setdefault(f"{name} color", []).append(said.color.share)
            found.setdefault(f"{name} geometry", []).append(said.geometry.share)
    shares = {name: mean(values) for name, values in found.items()}
    assert shares["true color"] > 0.9, shares
    assert shares["true geometry"] > 0.9, shares
    assert shares["swapped color"] < 0.05, shares
    assert shares["swapped geometry"] == pytest.approx(shares["true geometry"]), shares
    for part in ("upper alone", "lower alone"):
        assert shares[f"{part} color"] < 0.1, shares
        assert shares[f"{part} geometry"] < shares["true geometry"] - 0.7, shares
    assert shares["flat color"] < shares["true color"] - 0.5, shares
    assert shares["flat geometry"] < shares["true geometry"] - 0.5, shares


def test_a_second_face_is_seen(judge: judging.Judge):
    true, planted = [], []
    for prompt in FRONTED:
        parts = truths.true_parts(prompt)
        for rates, made in ((true, parts), (planted, truths.two_faced(parts))):
            x = look.pictures(truths.through_a_file(made), textureless=False)
            rates.append(judging.janus(x, judge))
    assert mean(true) < 0.15, (true, planted)
    assert mean(planted) > mean(true) + 0.2, (true, planted)


def test_noise_scores_by_chance(judge: judging.Judge):
    x = torch.rand(24, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    marks = [
        judging.marked(x, judging.captions(p, judge.seen, textureless=False), judge) for p in TOWERS
    ]
    assert mean([mark.share for mark in marks]) < 0.1
