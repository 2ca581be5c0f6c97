"""io/gltf_paint.py: what a sampler says of a texture's border and of its texels is done."""

from pathlib import Path

import numpy as np
import pytest
import torch
from gltf_drafts import CORNERS, FACES, Draft, picture
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.geometry.texels import sample


def wrapped(places: Tensor, texels: Tensor, mode: int) -> Tensor:
    """What a sampler shows beyond a picture's border: the texels of its centres' colours, bilinear,
    at u and v (down), by OpenGL's words for each texel."""
    size = torch.tensor([texels.shape[1], texels.shape[0]])
    at = places * size - 0.5
    low, shares = at.floor().long(), at - at.floor()
    total = torch.zeros(len(places), 3)
    for dx in (0, 1):
        for dy in (0, 1):
            i = low + torch.tensor([dx, dy])
            if mode == 33071:
                i = torch.minimum(i.clamp_min(0), size - 1)
            else:  # mirrored: there and back again
                i = i % (2 * size)
                i = torch.minimum(i, 2 * size - 1 - i)
            share = (shares if dx else 1 - shares)[:, :1] * (shares if dy else 1 - shares)[:, 1:]
            total += share * texels[i[:, 1], i[:, 0]]
    return total


@pytest.mark.parametrize("mode", [33071, 33648])
def test_a_sampler_is_obeyed_beyond_the_border(tmp_path: Path, mode: int) -> None:
    """Everywhere on triangles that cross it, in both directions."""
    corners = CORNERS * np.array([3.7, 1.9]) - np.array([1.3, 0.2])
    texels = picture(5, 8)
    draft = Draft(uv=corners).painted(texels, source=0, sampler=0)
    draft.json["samplers"] = [{"wrapS": mode, "wrapT": mode}]
    (part,) = draft.read(tmp_path)
    assert part.texture is not None and part.uv is not None
    weights = torch.rand(200, 3, generator=torch.Generator().manual_seed(1))
    weights /= weights.sum(-1, keepdim=True)
    corner = torch.from_numpy(corners[FACES.reshape(2, 3)]).float()
    for face, there in zip(part.faces, corner, strict=True):
        seen = sample(part.texture, weights @ part.uv[face])
        expected = wrapped(weights @ there, torch.from_numpy(texels) / 255, mode)
        torch.testing.assert_close(seen, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("mode", [33071, 33648, 10497])
def test_a_sampler_changes_nothing_within_the_border(tmp_path: Path, mode: int) -> None:
    draft = Draft(uv=CORNERS).painted(picture(5, 8), source=0, sampler=0)
    draft.json["samplers"] = [{"wrapS": mode, "wrapT": mode}]
    (part,) = draft.read(tmp_path)
    assert part.texture is not None and part.texture.shape == (5, 8, 3)


def test_a_sampler_that_takes_the_nearest_texel_is_obeyed(tmp_path: Path) -> None:
    """Pixel art: up to a thousandth of the picture from its edges, a texel is all of one colour."""
    texels = picture(4, 8)
    draft = Draft(uv=CORNERS).painted(texels, source=0, sampler=0)
    draft.json["samplers"] = [{"magFilter": 9728, "minFilter": 9728}]
    (part,) = draft.read(tmp_path)
    assert part.texture is not None
    row, column = torch.meshgrid(torch.arange(4), torch.arange(8), indexing="ij")
    for inside in (0.02, 0.5, 0.98):
        u, v = (column.flatten() + inside) / 8, 1 - (row.flatten() + inside) / 4
        seen = sample(part.texture, torch.stack([u, v], -1))
        torch.testing.assert_close(seen, torch.from_numpy(texels).reshape(-1, 3) / 255)


def test_parts_beyond_the_border_share_one_picture(tmp_path: Path) -> None:
    draft = Draft(uv=CORNERS * 1.2).painted(picture(64, 64), source=0, sampler=0)
    draft.json["samplers"] = [{"wrapS": 33071, "wrapT": 33071}]
    draft.json["meshes"][0]["primitives"] *= 9
    parts = draft.read(tmp_path)
    assert len({id(part.texture) for part in parts}) == 1


def test_a_border_that_goes_on_for_ever_is_refused(tmp_path: Path) -> None:
    draft = Draft(uv=CORNERS * 1e9).painted(picture(64, 64), source=0, sampler=0)
    draft.json["samplers"] = [{"wrapS": 33071}]
    with pytest.raises(BadInput, match=r"a\.glb.*CLAMP_TO_EDGE.*coordinates from 0 to 1"):
        draft.read(tmp_path)
