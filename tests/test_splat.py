"""The reference of Gaussian splatting: closed forms, invariances, finite differences, a golden."""

import json
import math
from dataclasses import fields, replace

import pytest
import torch
from conftest import rng, shared_data
from crowd import crowd, oblong
from torch import Tensor

from dreamlift.cameras import Cameras
from dreamlift.geometry.gaussians import Gaussians, covariances, harmonics_of, rotations
from dreamlift.geometry.turning import turned
from dreamlift.io.images import load_image
from dreamlift.lights import Light
from dreamlift.likeness import psnr
from dreamlift.render import splat
from dreamlift.render.splat import composite, project


def _ahead(height: int = 30, width: int = 41, f: float = 50.0) -> Cameras:
    """A camera at the origin that looks along +z, x right, y down."""
    K = torch.tensor([[[f, 0, 20.5], [0, 1.2 * f, 14.5], [0, 0, 1.0]]], dtype=torch.float64)
    return Cameras(torch.eye(4, dtype=torch.float64)[None], K, height, width)


def _balls(*rows: tuple[float, float, float, float, float]) -> Gaussians:
    """Round Gaussians by x, y, z, standard deviation and opacity, each of its own colour."""
    t = torch.tensor(rows, dtype=torch.float64)
    colors = torch.tensor([[0.9, 0.2, 0.1], [0.1, 0.7, 0.3], [0.2, 0.3, 0.8]], dtype=t.dtype)
    return Gaussians(
        t[:, :3],
        t.new_tensor([[0.3, -0.2, 0.5, 0.7]]).expand(len(t), 4),
        t[:, 3:4].log().expand(-1, 3),
        t[:, 4].logit(),
        harmonics_of(colors[torch.arange(len(t)) % 3]),
    )


def _picture(gaussians: Gaussians, cameras: Cameras) -> Tensor:
    return composite(project(gaussians, cameras), cameras.height, cameras.width)


def test_a_ball_on_the_axis_is_a_gaussian_of_known_width() -> None:
    """sigma'^2 = (f s / z)^2 + 0.3 on each axis, alpha = o exp(-r^2 / 2), zero under 1 / 255."""
    s, z, o, f = 0.1, 2.0, 0.8, 50.0
    out = _picture(_balls((0, 0, z, s, o)), _ahead(f=f))[0]
    y = torch.arange(30, dtype=torch.float64)[:, None] + 0.5
    x = torch.arange(41, dtype=torch.float64) + 0.5
    r2 = (x - 20.5) ** 2 / ((f * s / z) ** 2 + 0.3) + (y - 14.5) ** 2 / (
        (1.2 * f * s / z) ** 2 + 0.3
    )
    alpha = o * torch.exp(-0.5 * r2)
    alpha = torch.where(alpha < 1 / 255, 0.0, alpha)
    torch.testing.assert_close(out[..., 4], alpha, atol=1e-12, rtol=0)
    torch.testing.assert_close(out[..., 0], 0.9 * alpha, atol=1e-12, rtol=0)
    torch.testing.assert_close(out[..., 3], z * alpha, atol=1e-12, rtol=0)
    assert out[14, 20, 4] == pytest.approx(o)


def test_the_nearer_of_two_covers_the_other_whichever_comes_first() -> None:
    cameras = _ahead()
    pair = _balls((0, 0, 3.0, 0.2, 0.6), (0, 0, 2.0, 0.2, 0.7))
    out = _picture(pair, cameras)[0, 14, 20]
    assert out[4].item() == pytest.approx(0.7 + 0.3 * 0.6)
    assert out[0].item() == pytest.approx(0.7 * 0.1 + 0.3 * 0.6 * 0.9)
    assert out[3].item() == pytest.approx(0.7 * 2 + 0.3 * 0.6 * 3)
    torch.testing.assert_close(_picture(pair[torch.tensor([1, 0])], cameras)[0, 14, 20], out)


def test_the_order_of_the_input_does_not_matter() -> None:
    gaussians, cameras = crowd(150), oblong()
    shuffled = gaussians[torch.randperm(150, generator=rng(5))]
    torch.testing.assert_close(_picture(shuffled, cameras), _picture(gaussians, cameras))


def test_nothing_is_wholly_opaque_and_a_pixel_is_closed_at_last() -> None:
    """Capped at .99 one leaves .01; the second would leave 1e-4: just not less, so it is drawn."""
    cameras = _ahead()
    opaque = [(0.0, 0.0, 2.0 + i / 10, 0.5, 1 - 1e-12) for i in range(3)]
    T = [1 - _picture(_balls(*opaque[:n]), cameras)[0, 14, 20, 4].item() for n in (1, 2, 3)]
    assert T[0] == pytest.approx(0.01)
    assert T[1] == T[2] and T[1] in (pytest.approx(0.01), pytest.approx(1e-4))
    dim = [(0.0, 0.0, 2.0, 0.5, 0.98), (0.0, 0.0, 2.1, 0.5, 0.99), (0.0, 0.0, 2.2, 0.5, 0.6)]
    left = 1 - _picture(_balls(*dim), cameras)[0, 14, 20, 4].item()
    assert left == pytest.approx(0.02 * 0.01)  # the third would leave 0.8e-4
    assert T[2] > 0


def test_the_covariance_is_that_of_samples_moved_by_hand() -> None:
    """Sigma = sum of outer products of the axes, each axis turned by Rodrigues' formula."""
    gaussians = crowd(5)
    for g, Sigma in zip(range(5), covariances(gaussians), strict=True):
        q = gaussians.quaternions[g]
        q = q / q.norm()
        angle, axis = 2 * torch.atan2(q[1:].norm(), q[0]), q[1:] / q[1:].norm()
        total = torch.zeros(3, 3, dtype=torch.float64)
        for k in range(3):
            e = torch.zeros(3, dtype=torch.float64)
            e[k] = gaussians.log_scales[g, k].exp()
            v = e * angle.cos() + torch.linalg.cross(axis, e) * angle.sin()
            v = v + axis * (axis @ e) * (1 - angle.cos())
            total += torch.outer(v, v)
        torch.testing.assert_close(Sigma, total)


def test_the_footprint_is_what_automatic_differentiation_of_the_projection_gives() -> None:
    """J Sigma J^T + 0.3 with J by autograd of Cameras.project, for all within 1.3 tan(fov / 2)."""
    gaussians, cameras = crowd(20), oblong(1)
    footprints = project(gaussians, cameras)
    Sigma = covariances(gaussians)
    for k in range(20):

        def at(x: Tensor) -> Tensor:
            return cameras.project(x[None])[0][0, 0]

        J = torch.autograd.functional.jacobian(at, gaussians.means[k])
        assert isinstance(J, Tensor)
        flat = J @ Sigma[k] @ J.T + 0.3 * torch.eye(2, dtype=torch.float64)
        xx, xy, yy = footprints.conic[0, k]
        conic = torch.stack([torch.stack([xx, xy]), torch.stack([xy, yy])])
        torch.testing.assert_close(conic @ flat, torch.eye(2, dtype=torch.float64))
        radius = 3 * torch.linalg.eigvalsh(flat)[-1].sqrt()
        assert footprints.radius[0, k] == radius.ceil()


def test_the_jacobian_is_clamped_outside_the_picture_and_the_centre_is_not() -> None:
    cameras = _ahead()
    limit = 20.5 / 50 * 1.3  # 1.3 tan(fov / 2)
    inside, at, beyond = (
        project(_balls((x * 2, 0, 2.0, 0.6, 0.5)), cameras)
        for x in (0.9 * limit, limit, 1.5 * limit)
    )
    assert not torch.allclose(inside.conic, at.conic)
    torch.testing.assert_close(beyond.conic, at.conic)
    assert beyond.center[0, 0, 0] == pytest.approx(20.5 + 50 * 1.5 * limit)


def test_turning_the_world_and_the_camera_together_changes_nothing() -> None:
    gaussians, cameras = crowd(60), oblong()
    R = rotations(torch.tensor([[0.4, -0.3, 0.8, 0.2]], dtype=torch.float64))[0]
    back = torch.eye(4, dtype=torch.float64)
    back[:3, :3] = R.T
    moved = replace(cameras, world_to_camera=cameras.world_to_camera @ back)
    torch.testing.assert_close(_picture(turned(gaussians, R), moved), _picture(gaussians, cameras))


def test_a_quaternion_its_opposite_and_its_double_are_one_rotation() -> None:
    gaussians, cameras = crowd(60), oblong()
    one = _picture(gaussians, cameras)
    for factor in (-1.0, 2.5):
        other = replace(gaussians, quaternions=factor * gaussians.quaternions)
        torch.testing.assert_close(_picture(other, cameras), one)


def test_what_is_near_behind_or_outside_is_not_drawn() -> None:
    rows = [(0, 0, 0.2, 0.1, 0.9), (0, 0, -2.0, 0.1, 0.9), (5.0, 0, 2.0, 0.1, 0.9)]
    footprints = project(_balls(*rows, (0, 0, 0.21, 0.1, 0.9)), _ahead())
    assert (footprints.radius[0] > 0).tolist() == [False, False, False, True]
    assert not _picture(_balls(*rows), _ahead()).any()


def test_a_splat_is_drawn_in_whole_tiles_within_three_deviations() -> None:
    """An opaque splat still has alpha .011 at 3 sigma; it ends with the tile that this lies in."""
    ball = _balls((0, 0, 2.0, 0.6, 0.999999))
    K = torch.tensor([[[100, 0, 4], [0, 120, 20.2], [0, 0, 1.0]]], dtype=torch.float64)
    tall = replace(_ahead(height=150, width=8), K=K)
    footprints = project(ball, tall)
    assert footprints.radius[0, 0] == math.ceil(3 * math.sqrt(36**2 + 0.3)) == 109
    rect = splat.tiles(footprints.center, footprints.radius, 150, 8)[0, 0]
    assert rect.tolist() == [0, 0, 1, int((19.7 + 109 + 15) / 16)] == [0, 0, 1, 8]
    alpha = _picture(ball, tall)[0, :, 4, 4]
    assert 2 / 255 < alpha[127] < 3.1 / 255 and alpha[128] == 0


def test_the_reference_has_the_derivatives_of_finite_differences() -> None:
    """All parameters and the cameras, through 1,100 numbers drawn with random weights."""
    gaussians, cameras = crowd(6, scale=0.25), oblong(1, height=7, width=9)
    names = [f.name for f in fields(Gaussians)]
    inputs = [getattr(gaussians, name).clone().requires_grad_() for name in names]
    inputs += [cameras.world_to_camera.clone().requires_grad_(), cameras.K.clone().requires_grad_()]
    light = Light(*(torch.tensor(x, dtype=torch.float64) for x in ([[2.0, 1, 3]], [0.4], [0.6])),
                  torch.tensor([False]))  # fmt: skip

    def drawn(*x: Tensor) -> Tensor:
        seen = Cameras(x[5], x[6], cameras.height, cameras.width)
        footprints = project(Gaussians(*x[:5]), seen, light=light)
        return composite(footprints, cameras.height, cameras.width)

    assert drawn(*inputs)[..., -1].max() > 0.5
    assert torch.autograd.gradcheck(drawn, inputs, eps=1e-7, atol=1e-5, rtol=1e-4, fast_mode=True)


def test_computing_again_gives_the_same_gradient_as_remembering(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gaussians, cameras = crowd(80), oblong()
    found: list[Tensor] = []
    for remembered, at_once in ((1 << 18, 1024), (0, 7)):
        monkeypatch.setattr(splat, "REMEMBERED", remembered)
        monkeypatch.setattr(splat, "SPLATS", at_once)
        means = gaussians.means.clone().requires_grad_()
        _picture(replace(gaussians, means=means), cameras).square().sum().backward()
        assert means.grad is not None
        found.append(means.grad)
    torch.testing.assert_close(found[0], found[1])


def test_degree_zero_looks_the_same_from_everywhere_and_colours_stop_at_black() -> None:
    plain, cameras = crowd(9, degree=0), oblong(3)
    carried = project(plain, cameras).carried[..., :3]
    assert torch.equal(carried[0], carried[1]) and torch.equal(carried[0], carried[2])
    dark = replace(plain, harmonics=plain.harmonics - 5)
    assert (project(dark, cameras).carried[..., :3] == 0).all()


def test_normals_are_the_thin_axes_on_the_viewers_side() -> None:
    flat = _balls((0.1, 0, 2.0, 0.3, 0.5))
    thin = flat.log_scales.clone()
    thin[:, 1] -= 3
    flat = replace(flat, log_scales=thin)
    axis = rotations(flat.quaternions)[0, :, 1]
    light = Light(*(torch.tensor(x, dtype=torch.float64) for x in ([[0.0, 0, 0]], [0.2], [0.8])),
                  torch.tensor([True]))  # fmt: skip
    carried = project(flat, _ahead(), light=light).carried[0, 0]
    facing = axis if axis @ flat.means[0] < 0 else -axis
    torch.testing.assert_close(carried[4:], facing)
    cosine = -(facing @ flat.means[0]) / flat.means[0].norm()
    torch.testing.assert_close(carried[0], 0.2 + 0.8 * cosine)


def golden() -> tuple[Gaussians, Cameras, Tensor]:
    """The grid of splats that playcanvas/splat-transform renders, and its picture."""
    path = shared_data("data", "reference", "splat_transform", "golden_tiny.json")
    told = json.loads(path.read_text())
    i = torch.arange(told["w"] * told["h"])
    gx, gz = (i % told["w"]).float(), (i // told["w"]).float()
    means = torch.stack([gx - told["w"] / 2, torch.zeros_like(gx), gz - told["h"] / 2], -1)
    colors = torch.stack(
        [(gx + 1) / (told["w"] + 1), (gz + 1) / (told["h"] + 1), torch.full_like(gx, 0.5)], -1
    )
    n = len(i)
    gaussians = Gaussians(
        told["spacing"] * means,
        torch.tensor([1.0, 0, 0, 0]).expand(n, 4),
        torch.full((n, 3), math.log(told["scale"])),
        torch.full((n,), math.log(told["opacity"] / (1 - told["opacity"])) if "opacity" in told
                   else math.log(9.0)),
        harmonics_of(colors),
    )  # fmt: skip
    position, target, up = (
        torch.tensor(told[key], dtype=torch.float32)
        for key in ("camera_pos", "camera_target", "up")
    )
    forward = torch.nn.functional.normalize(target - position, dim=0)
    right = torch.nn.functional.normalize(torch.linalg.cross(forward, up), dim=0)
    W = torch.eye(4)
    W[:3, :3] = torch.stack([right, torch.linalg.cross(forward, right), forward])
    W[:3, 3] = -W[:3, :3] @ position
    width, height = told["resolution"]
    f = height / 2 / math.tan(math.radians(told["vertical_fov_deg"]) / 2)
    K = torch.tensor([[f, 0, width / 2], [0, f, height / 2], [0, 0, 1]])
    picture = load_image(path.with_name(told["golden"]))[..., :3]
    return gaussians, Cameras(W[None], K[None], height, width), picture[None]


def test_another_programs_render_is_reproduced() -> None:
    gaussians, cameras, picture = golden()
    assert psnr(_picture(gaussians, cameras)[..., :3], picture) >= 46
