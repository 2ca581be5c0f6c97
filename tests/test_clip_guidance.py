"""CLIP's losses in closed form: angles, transmittance, its schedule, when photographs count."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from conftest import rng
from test_scores import some_shot
from torch import Tensor

from dreamlift.cameras import orbit
from dreamlift.guidance import clip
from dreamlift.guidance.clip import Alignment, Caption, Consistency, Likeness, Sides, Transmittance
from dreamlift.guidance.prompts import sided
from dreamlift.lights import Light
from dreamlift.prior import Aligner
from dreamlift.scene import Shot
from dreamlift.step import Step
from dreamlift.untextured import untextured


class Colours:
    """A picture is its mean colour, a text the colour that a generator gives its letters."""

    def __init__(self, length: float = 1.0) -> None:
        self.length = length
        self.asked: list[Tensor] = []
        self.said: list[str] = []

    def embed_image(self, x: Tensor) -> Tensor:
        self.asked.append(x)
        return self.length * (x.mean((1, 2)) - 0.4)

    def embed_text(self, texts: Sequence[str]) -> Tensor:
        self.said += texts
        return torch.stack([self.length * torch.randn(3, generator=rng(len(t))) for t in texts])


def pictures(b: int = 4) -> Tensor:
    return torch.rand(b, 4, 4, 3, generator=rng(1))


def at(index: int, total: int = 100) -> Step:
    return Step(index, total, rng(2))


def unit(x: Tensor) -> Tensor:
    return x / x.norm(dim=-1, keepdim=True)


def check_value() -> None:
    """-(w_1 cos_1 + w_2 cos_2), means over pictures, CLIP-Mesh's weights."""
    x, others = pictures(), torch.rand(3, 4, 4, 3, generator=rng(3))
    aligner = Colours()
    guide = Alignment(aligner, {Caption(aligner, "frog"): 1.0, Likeness(aligner, others): 0.33})
    seen, said = unit(x.mean((1, 2)) - 0.4), unit(aligner.embed_text(["frog"]))
    like = unit(unit(others.mean((1, 2)) - 0.4).mean(0, keepdim=True))
    wanted = -(seen @ said.T).mean() - 0.33 * (seen @ like.T).mean()
    torch.testing.assert_close(guide(x, some_shot(0, 0, 0, 0), at(3)), wanted)


def check_angles() -> None:
    """Lengths of the aligner's vectors count for nothing, neither pictures' nor targets'."""
    x, shot = pictures(), some_shot(0, 0, 0, 0)
    values: list[Tensor] = []
    for length in (1.0, 30.0):
        aligner = Colours(length)
        near = Consistency(aligner, pictures(1))
        pulled = Alignment(aligner, {Caption(aligner, "a mug"): 1.0})
        values.append(torch.stack([pulled(x, shot, at(0)), near(x, shot, at(0))]))
    torch.testing.assert_close(*values)


def check_downhill() -> None:
    """A step against the gradient turns each picture toward the sentence."""
    aligner, x = Colours(), pictures().requires_grad_()
    target = Caption(aligner, "frog")
    Alignment(aligner, {target: 1.0})(x, some_shot(0, 0, 0, 0), at(0)).backward()
    assert x.grad is not None
    said = target(some_shot(0))
    before, after = (
        (unit(aligner.embed_image(y)) @ said.T)[:, 0] for y in (x.detach(), x.detach() - 5 * x.grad)
    )
    assert (after > before + 1e-3).all()


def check_sides() -> None:
    """Each camera's picture is compared with the sentence of its own side; copies in turn."""
    aligner = Colours()
    texts = sided("a frog")
    guide = Alignment(aligner, {Sides(aligner, texts): 1.0})
    x, shot = pictures(6), some_shot(0, 90, 180)
    seen = unit(x.mean((1, 2)) - 0.4)
    said = unit(aligner.embed_text([texts[s] for s in ("front", "left side", "back")]))
    wanted = -(seen * said.repeat_interleave(2, 0)).sum(-1).mean()
    torch.testing.assert_close(guide(x, shot, at(0)), wanted)


def check_textureless() -> None:
    """A picture whose light shows no colours is compared with a sentence that says none."""
    aligner, texts, x = Colours(), sided("a red frog"), pictures(2)
    plain = sided(untextured("a red frog"))
    shot, place = some_shot(0, 0), torch.full((2, 3), 2.0)
    bare = torch.tensor([False, True])
    lit = replace(shot, light=Light(place, torch.ones(2), torch.zeros(2), bare))
    seen, said = unit(x.mean((1, 2)) - 0.4), [texts["front"], plain["front"]]
    wanted = -(seen * unit(aligner.embed_text(said))).sum(-1).mean()
    guide = Alignment(aligner, {Sides(aligner, texts, plain): 1.0})
    torch.testing.assert_close(guide(x, lit, at(0)), wanted)
    alike = Alignment(aligner, {Sides(aligner, texts): 1.0})
    assert float((alike(x, lit, at(0)) - wanted).abs()) > 1e-3


def check_transmittance() -> None:
    """-w mean_b min(tau, T_b): slope w / (b N) in alpha until a view is clear enough, then 0."""
    shot, guide = some_shot(0, 90), Transmittance(weight=0.5, steps=500)
    alpha = torch.stack([torch.full((4, 4, 1), 0.9), torch.full((4, 4, 1), 0.3)]).requires_grad_()
    loss = guide(alpha, shot, at(0))
    torch.testing.assert_close(loss, torch.tensor(-0.5 * (0.1 + 0.4) / 2))
    loss.backward()
    assert alpha.grad is not None
    torch.testing.assert_close(alpha.grad[0], torch.full((4, 4, 1), 0.5 / (2 * 16)))
    assert torch.equal(alpha.grad[1], torch.zeros(4, 4, 1))


def check_schedule() -> None:
    """40 % at the first step, 88 % from step 500 on; between them the opaque share's logarithm."""
    cameras, guide = some_shot(0).cameras, Transmittance()
    found = [float(guide.target(cameras, at(i, 10_000))) for i in (0, 250, 500, 9000)]
    assert found == pytest.approx([0.4, 1 - (0.6 * 0.12) ** 0.5, 0.88, 0.88], abs=1e-5)


def check_lens() -> None:
    """The opaque share grows with the focal length squared, and falls with distance squared."""
    zero = torch.zeros(1)
    for frame, distance, share in ((1.25, 4.0, 0.6), (1.25, 3.2, 0.6), (2.5, 4.0, 0.15),
                                   (1.0, 4.0, 0.9375), (0.5, 4.0, 1.0)):  # fmt: skip
        cameras = orbit(zero, zero, distance=distance, size=6, frame=frame)
        assert float(Transmittance().target(cameras, at(0))) == pytest.approx(1 - share, abs=1e-5)


def check_photographs() -> None:
    """-.1 cos with one photograph drawn of all, every tenth step; at others nothing is asked."""
    aligner, photographs, x = Colours(), pictures(3), torch.rand(2, 4, 4, 3, generator=rng(5))
    guide = Consistency(aligner, photographs)
    aligner.asked.clear()
    for i in (1, 5, 9, 11):
        assert not guide.due(at(i)) and guide(x, some_shot(0, 0), at(i)) == 0
    assert not aligner.asked
    near = unit(x.mean((1, 2)) - 0.4) @ unit(photographs.mean((1, 2)) - 0.4).T
    wanted, generator = -0.1 * near.mean(0), rng(6)
    drawn = {
        int((guide(x, some_shot(0, 0), Step(10, 20, generator)) - wanted).abs().argmin())
        for _ in range(30)
    }
    value = guide(x, some_shot(0, 0), at(20))
    assert (value - wanted).abs().min() < 1e-6 and drawn == {0, 1, 2}


def check_same_picture() -> None:
    """A rendering that is the photograph scores exactly -weight."""
    x = pictures(1)
    guide = Consistency(Colours(), x, weight=0.3)
    torch.testing.assert_close(guide(x, some_shot(0), at(0)), torch.tensor(-0.3))


CHECKS = {
    check.__name__.removeprefix("check_"): check
    for check in (
        check_value, check_angles, check_downhill, check_sides, check_textureless,
        check_transmittance, check_schedule, check_lens, check_photographs, check_same_picture,
    )
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKS)
def test_clip_guidance(name: str):
    CHECKS[name]()


def test_pictures_that_are_nobody_s_are_refused():
    aligner = Colours()
    guide = Alignment(aligner, {Caption(aligner, "frog"): 1.0})
    for n in (3, 1):
        with pytest.raises(ValueError, match=f"{n} pictures of 2 cameras"):
            guide(pictures(n), some_shot(0, 0), at(0))


def test_the_double_is_an_aligner_and_targets_are_frozen():
    aligner = Colours()
    assert isinstance(aligner, Aligner)
    photographs = pictures(2).requires_grad_()
    shot: Shot = some_shot(0)
    targets: list[clip.Target] = [Caption(aligner, "frog"), Likeness(aligner, photographs)]
    assert not any(target(shot).requires_grad for target in targets)
    Consistency(aligner, photographs)(pictures(1), shot, at(0))
    assert photographs.grad is None


@pytest.mark.weights
def test_the_embedded_clip_is_an_aligner_that_guides():
    from dreamlift.priors.clip import embedded_clip

    aligner = embedded_clip()
    assert isinstance(aligner, Aligner) and not any(p.requires_grad for p in aligner.parameters())
    guide = Alignment(aligner, {Caption(aligner, "a red cube"): 1.0})
    x = torch.full((1, 64, 64, 3), 0.5, requires_grad=True)
    shot = some_shot(0)
    values: list[float] = []
    optimizer = torch.optim.Adam([x], lr=0.02)
    for i in range(15):
        optimizer.zero_grad()
        loss = guide(x, shot, at(i))
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < values[0] - 0.2, values


def test_an_embedded_clip_that_is_not_there_is_said(tmp_path: object):
    from pathlib import Path

    from dreamlift.priors.clip import embedded_clip

    with pytest.raises(FileNotFoundError, match="dreamlift train clip"):
        embedded_clip(folder=Path(str(tmp_path)))
