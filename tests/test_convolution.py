"""Convolutions as matrix products are convolutions."""

import pytest
import torch
from torch import nn

from dreamlift.learn.convolution import Convolution, hasten

KINDS = (
    (16, 24, 3, 1, 1, 9, 7),
    (16, 24, 1, 1, 0, 6, 5),
    (16, 24, 1, 2, 1, 7, 6),
    (3, 8, 3, 2, 1, 10, 12),
    (40, 8, 3, 1, 1, 8, 8),
    (16, 16, 3, 1, 1, 3, 4),
    (5, 7, 4, 3, 2, 11, 8),
)
"""In, out, kernel, stride, padding, height, width: awkward ones and one that is not."""


def both(kind: tuple[int, ...], bias: bool = True) -> tuple[nn.Conv2d, nn.Conv2d, torch.Tensor]:
    a, b, k, s, p, h, w = kind
    torch.manual_seed(1)
    plain = nn.Conv2d(a, b, k, stride=s, padding=p, bias=bias)
    fast = nn.Conv2d(a, b, k, stride=s, padding=p, bias=bias)
    fast.load_state_dict(plain.state_dict())
    hasten(nn.Sequential(fast))
    return plain, fast, torch.randn(2, a, h, w)


@pytest.mark.parametrize("kind", KINDS)
def test_it_equals_the_convolution_and_its_gradients(kind: tuple[int, ...]) -> None:
    plain, fast, x = both(kind)
    assert type(fast) is Convolution
    y, z = x.clone().requires_grad_(), x.clone().requires_grad_()
    one, other = plain(y), fast(z)
    torch.testing.assert_close(other, one, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(fast.product(x), one, rtol=1e-5, atol=1e-5)
    weight = torch.randn_like(one)
    (one * weight).sum().backward()
    (other * weight).sum().backward()
    torch.testing.assert_close(z.grad, y.grad, rtol=1e-4, atol=1e-4)
    for p, q in zip(plain.parameters(), fast.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad, rtol=1e-4, atol=1e-4)


def test_it_needs_no_bias() -> None:
    plain, fast, x = both(KINDS[2], bias=False)
    torch.testing.assert_close(fast(x), plain(x), rtol=1e-5, atol=1e-5)


def test_in_half_precision_it_is_near() -> None:
    plain, fast, x = both(KINDS[1])
    with torch.autocast("cpu", torch.bfloat16):
        y = fast(x)
    assert y.dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), plain(x), rtol=0.03, atol=0.03)


def test_a_network_keeps_its_parameters() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Sequential(nn.Conv2d(4, 4, 1)))
    before = list(net.parameters())
    hasten(net)
    assert all(p is q for p, q in zip(before, net.parameters(), strict=True))
    assert type(net[0]) is Convolution and type(net[2][0]) is Convolution


def test_what_it_cannot_do_is_left_alone() -> None:
    others = nn.Sequential(
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, dilation=2),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, (3, 1)),
        nn.Conv2d(4, 4, 3, padding=(1, 0)),
        nn.Conv2d(4, 4, 3, stride=(2, 1)),
        nn.ConvTranspose2d(4, 4, 3),
    )
    hasten(others)
    assert not any(type(layer) is Convolution for layer in others)
