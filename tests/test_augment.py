"""What CLIP is shown: windows from anywhere, three kinds of backgrounds, exact where it can be."""

import pytest
import torch
from conftest import rng
from torch import Tensor

from dreamlift.guidance import augment
from dreamlift.scene import Rendering


def view(b: int = 2, size: int = 12, alpha: float | None = None) -> Rendering[None]:
    a = torch.rand(b, size, size, 1, generator=rng(1)) if alpha is None else torch.full(
        (b, size, size, 1), alpha
    )  # fmt: skip
    return Rendering(a * torch.rand(b, size, size, 3, generator=rng(2)), a, None)


def check_windows() -> None:
    """Each is a cut-out of its own picture, from anywhere, the last place included."""
    n = 400
    x = torch.arange(6 * 5).reshape(1, 6, 5, 1) + 1000.0 * torch.arange(n)[:, None, None, None]
    out = augment.windows(x, 3, rng(3))
    corners = out[:, 0, 0, 0] - 1000 * torch.arange(n)
    rows, columns = corners // 5, corners % 5
    assert {*rows.tolist()} == {0, 1, 2, 3} and {*columns.tolist()} == {0, 1, 2}
    steps = torch.tensor([[0, 1, 2], [5, 6, 7], [10, 11, 12]])
    assert torch.equal(out[..., 0] - out[:, :1, :1, 0], steps.expand(n, 3, 3).float())
    assert abs(float(rows.mean()) - 1.5) < 0.2 and abs(float(columns.mean()) - 1) < 0.2


def check_blur() -> None:
    """An impulse becomes a Gaussian of the standard deviation asked for; means are kept."""
    x = torch.zeros(2, 33, 33, 3)
    x[:, 16, 16] = 1
    std = torch.tensor([0.05, 0.09])
    out = augment.blurred(x, std)
    d = torch.arange(33) - 16.0
    for one, s in zip(out, std * 33, strict=True):
        profile = torch.exp(-(d**2) / (2 * s**2)) / (s * (2 * torch.pi) ** 0.5)
        torch.testing.assert_close(one[..., 1], profile[:, None] * profile, atol=1e-4, rtol=0)
    y = torch.rand(1, 8, 8, 3, generator=rng(4))
    torch.testing.assert_close(augment.blurred(y, torch.zeros(1)), y)


def check_composite() -> None:
    """color + (1 - alpha) background: opaque pictures are unchanged, empty ones are it."""
    opaque, empty = view(alpha=1.0), view(alpha=0.0)
    out = augment.augmented(opaque, rng(5), copies=3, side=12)
    torch.testing.assert_close(out, opaque.color.repeat_interleave(3, 0))
    shown = augment.augmented(empty, rng(5), copies=3, side=12)
    again = rng(5)
    augment.windows(opaque.color.repeat_interleave(3, 0), 12, again)
    assert torch.equal(shown, augment.backgrounds(6, 12, again))


def check_kinds() -> None:
    """A third each of noise, checkerboards and clouds; every picture its own; all in [0, 1]."""
    n, kinds = 240, [lambda n, s, g, k=k: torch.full((n, s, s, 3), k / 4) for k in (1, 2, 3)]
    with pytest.MonkeyPatch.context() as patch:
        for name, kind in zip(("noise", "checkerboard", "clouds"), kinds, strict=True):
            patch.setattr(augment, name, kind)
        out = augment.backgrounds(n, 8, rng(6))
    found = (4 * out[:, 0, 0, 0]).round()
    assert all(55 < int((found == k).sum()) < 105 for k in (1, 2, 3))
    out = augment.backgrounds(40, 16, rng(7))
    assert out.min() >= 0 and out.max() <= 1
    assert len({one.mean().item() for one in out}) == 40
    assert len({one.std((0, 1)).sum().item() for one in augment.noise(9, 8, rng(8))}) == 9


def check_checkerboard() -> None:
    """Eight by eight fields of two colours, neighbours unlike."""
    board = augment.checkerboard(3, 32, rng(9))
    cells = board[:, 2::4, 2::4]
    assert torch.equal(cells.repeat_interleave(4, 1).repeat_interleave(4, 2), board)
    assert torch.equal(cells[:, 1:, 1:], cells[:, :-1, :-1])
    assert (cells[:, 1:] != cells[:, :-1]).all() and (cells[:, :, 1:] != cells[:, :, :-1]).all()


def check_clouds() -> None:
    """Smooth: the power of frequencies falls as f^-3 (amplitudes as f^-1.5)."""
    x = augment.clouds(200, 32, rng(10)).logit()
    power = torch.fft.fft2(x, dim=(1, 2)).abs().square().mean((0, 3))
    ratios = [float((power[0, k] + power[k, 0]) / (power[0, 2 * k] + power[2 * k, 0]))
              for k in (2, 4)]  # fmt: skip
    assert ratios == pytest.approx([8, 8], rel=0.2), ratios


CHECKS = {
    check.__name__.removeprefix("check_"): check
    for check in (
        check_windows, check_blur, check_composite, check_kinds, check_checkerboard, check_clouds,
    )
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKS)
def test_augmentation(name: str):
    CHECKS[name]()


def test_all_is_drawn_from_the_generator_alone():
    before, seen = torch.get_rng_state(), view()
    one, same, other = (augment.augmented(seen, rng(k)) for k in (11, 11, 12))
    assert torch.equal(one, same) and not torch.equal(one, other)
    assert one.shape == (16, 11, 11, 3)
    assert torch.equal(torch.get_rng_state(), before)


def test_gradients_reach_color_and_alpha():
    seen = view()
    color, alpha = seen.color.requires_grad_(), seen.alpha.requires_grad_()
    grads: tuple[Tensor, ...] = torch.autograd.grad(
        augment.augmented(Rendering(color, alpha, None), rng(13)).sum(), (color, alpha)
    )
    assert grads[0].abs().min(0).values.max() > 0 and (grads[1] <= 0).all()


def test_windows_larger_than_the_picture_are_refused():
    with pytest.raises(ValueError, match="13 pixels does not fit into pictures of 12x12"):
        augment.windows(view().color, 13, rng(14))
