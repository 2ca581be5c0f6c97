"""Likeness against closed forms and scikit-image."""

import itertools
import math

import pytest
import torch
from conftest import rng

from dreamlift.likeness import photometric, psnr, ssim


def test_a_constant_error_has_the_psnr_of_its_square():
    truth = torch.rand(2, 5, 7, 3, generator=rng())
    assert psnr(truth + 0.1, truth) == pytest.approx(20.0, abs=1e-4)
    assert psnr(truth, truth) == math.inf


def test_psnr_sees_only_what_the_mask_weighs():
    truth = torch.rand(1, 4, 6, 3, generator=rng())
    x, mask = truth.clone(), torch.zeros(1, 4, 6, 1)
    x[:, :, 2:] += 0.5
    x[:, :, :2] += 0.01
    mask[:, :, :2] = 1
    assert psnr(x, truth, mask) == pytest.approx(40.0, abs=1e-3)
    half = mask.clone()
    half[:, :, 2:] = 0.5  # 8 pixels of error .01 and 16, weighing half, of error .5
    error = (8 * 1e-4 + 8 * 0.25) / 16
    assert psnr(x, truth, half) == pytest.approx(-10 * math.log10(error), abs=1e-3)
    with pytest.raises(ValueError, match="weighs no pixel"):
        psnr(x, truth, 0 * mask)


def test_structural_similarity_is_that_of_scikit_image():
    """On pictures with a black margin, where both treat the border alike."""
    from skimage.metrics import structural_similarity

    truth, noise = torch.zeros(2, 1, 40, 50, 3, dtype=torch.float64)
    truth[:, 12:-12, 12:-12] = torch.rand(1, 16, 26, 3, generator=rng(), dtype=torch.float64)
    noise[:, 12:-12, 12:-12] = torch.randn(1, 16, 26, 3, generator=rng(1), dtype=torch.float64)
    x = truth + 0.1 * noise
    _, whole = structural_similarity(
        x[0].numpy(), truth[0].numpy(), data_range=1.0, channel_axis=2, gaussian_weights=True,
        sigma=1.5, use_sample_covariance=False, full=True,
    )  # fmt: skip
    assert float(ssim(x, truth, padded=True)) == pytest.approx(float(whole.mean()), abs=1e-9)
    assert float(ssim(x, x, padded=True)) == pytest.approx(1)
    with pytest.raises(ValueError, match="do not say `padded`"):
        ssim(x, x, torch.ones(1, 40, 50, 1), padded=True)
    expected = 0.8 * 0.1 * float(noise.abs().mean()) + 0.2 * (1 - float(whole.mean()))
    assert float(photometric(x, truth)) == pytest.approx(expected)
    small = x[:, 10:19, 11:20].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda y: ssim(y, truth[:, 10:19, 11:20], padded=True), small)


def test_ssim_is_scikit_image_s() -> None:
    from skimage.metrics import structural_similarity

    a = torch.rand(1, 20, 27, 3, generator=rng(1))
    b = (0.7 * a + 0.3 * torch.rand(1, 20, 27, 3, generator=rng(2))).clamp(0, 1)
    _, theirs = structural_similarity(
        a[0].numpy(), b[0].numpy(), channel_axis=-1, data_range=1.0, full=True,
        gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
    )  # fmt: skip
    assert float(ssim(a, b)) == pytest.approx(theirs[5:-5, 5:-5].mean(), abs=1e-5)
    assert float(ssim(a, a)) == pytest.approx(1.0)


def test_ssim_under_a_mask_asks_only_whole_windows() -> None:
    a, b = torch.rand(2, 1, 16, 20, 3, generator=rng(1))
    mask = torch.ones(1, 16, 20, 1)
    mask[:, :, :4] = 0
    spoilt = torch.where(mask == 1, b, 0.0)
    assert float(ssim(a, spoilt, mask)) == pytest.approx(float(ssim(a[:, :, 4:], b[:, :, 4:])))
    with pytest.raises(ValueError, match="no whole window"):
        ssim(a, b, 0 * mask)
    with pytest.raises(ValueError, match="the pictures are 10x16"):
        ssim(a[:, :, :10], b[:, :, :10])


def windows(x: torch.Tensor) -> torch.Tensor:
    """Means over 11 x 11 windows with black around, by a loop."""
    line = [math.exp(-0.5 * (k / 1.5) ** 2) for k in range(-5, 6)]
    h, w = x.shape
    out = torch.zeros_like(x)
    for i, j in itertools.product(range(h), range(w)):
        for k, m in itertools.product(range(-5, 6), range(-5, 6)):
            if 0 <= i + k < h and 0 <= j + m < w:
                out[i, j] += line[k + 5] * line[m + 5] * x[i + k, j + m] / sum(line) ** 2
    return out


def test_the_loss_of_3d_gaussian_splatting_is_eight_tenths_l1_and_two_of_structure() -> None:
    a, b = torch.rand(2, 7, 6, generator=rng(3), dtype=torch.float64)
    at, to = windows(a), windows(b)
    xx, yy, xy = (windows(p) - q for p, q in ((a * a, at * at), (b * b, to * to), (a * b, at * to)))
    c, d = 0.01**2, 0.03**2
    alike = (2 * at * to + c) * (2 * xy + d) / ((at * at + to * to + c) * (xx + yy + d))
    wanted = 0.8 * (a - b).abs().mean() + 0.2 * (1 - alike.mean())
    found = photometric(a[None, ..., None], b[None, ..., None])
    torch.testing.assert_close(found, wanted, atol=1e-12, rtol=0)


def test_structure_of_plain_pictures_is_that_of_their_levels() -> None:
    a, b = torch.full((1, 15, 13, 3), 0.3), torch.full((1, 15, 13, 3), 0.7)
    wanted = (2 * 0.3 * 0.7 + 1e-4) / (0.3**2 + 0.7**2 + 1e-4)
    assert float(ssim(a, b)) == pytest.approx(wanted, abs=1e-4)


@pytest.mark.parametrize("padded", [False, True])
def test_the_gradient_of_structure_is_that_of_finite_differences(padded: bool) -> None:
    a, b = torch.rand(2, 1, 13, 12, 2, generator=rng(), dtype=torch.float64)
    a.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: ssim(x, b, padded=padded), (a,))


def test_the_loss_does_not_see_unknown_pixels() -> None:
    a, b = torch.rand(2, 1, 14, 12, 3, generator=rng(4))
    known = (torch.rand(1, 14, 12, 1, generator=rng(5)) < 0.7).float()
    spoilt = [torch.where(known > 0, x, 0.1) for x in (a, b)]
    assert float(photometric(a, b, known)) == float(photometric(*spoilt, known))
    assert float(photometric(a, b, 0 * known)) == pytest.approx(0, abs=1e-6)
