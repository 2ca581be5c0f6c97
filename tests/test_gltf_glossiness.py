"""io/gltf_glossiness.py: the older materials of glTF, by metalness."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gltf_drafts import CORNERS, Draft, picture
from torch import Tensor

from dreamlift.errors import BadInput
from dreamlift.geometry.mesh import Surface
from dreamlift.geometry.srgb import to_linear, to_srgb
from dreamlift.io.gltf_glossiness import by_metalness, mirrored

OLD = "KHR_materials_pbrSpecularGlossiness"
PLAIN = {"specularFactor": [0, 0, 0]}


def read(folder: Path, draft: Draft, **old: Any) -> Surface:
    (part,) = draft.material({"extensions": {OLD: old}}).read(folder)
    return part


def glossy(base: Tensor, metalness: Tensor) -> tuple[Tensor, Tensor]:
    """Diffuse and mirror's colour of a material by metalness, as the module's first lines say."""
    m = metalness[..., None]
    mirror = 0.04 * (1 - m) + base * m
    return 0.96 * base * (1 - m) / (1 - mirror.amax(-1, keepdim=True)), mirror


def test_metalness_comes_back() -> None:
    rng = torch.Generator().manual_seed(0)
    greys = 0.06 + 0.9 * torch.rand(200, 1, generator=rng).expand(-1, 3)
    metalness = torch.rand(200, generator=rng)
    base, found = by_metalness(*glossy(greys, metalness))
    torch.testing.assert_close(found, metalness, atol=2e-3, rtol=0)
    torch.testing.assert_close(base, greys, atol=2e-3, rtol=0)
    # Of a colour, both of what is all metal and all none.
    colors = 0.05 + 0.9 * torch.rand(200, 3, generator=rng)
    for metal in (torch.zeros(200), torch.ones(200)):
        base, found = by_metalness(*glossy(colors, metal))
        torch.testing.assert_close(found, metal, atol=2e-3, rtol=0)
        torch.testing.assert_close(base, colors, atol=2e-3, rtol=0)


def test_gold_is_a_golden_metal(tmp_path: Path) -> None:
    gold = [1.0, 0.766, 0.336]
    of = {"diffuseFactor": [0, 0, 0, 1], "specularFactor": gold, "glossinessFactor": 0.9}
    part = read(tmp_path, Draft(), **of)
    assert part.colors is not None
    torch.testing.assert_close(part.colors[0], to_srgb(torch.tensor(gold)), atol=1e-3, rtol=0)
    assert part.material.metallic == pytest.approx(1, abs=1e-3)
    assert part.material.roughness == pytest.approx(0.1)


def test_what_is_no_metal_keeps_its_diffuse_colour(tmp_path: Path) -> None:
    of = {"diffuseFactor": [0.8, 0.1, 0.1, 1], "glossinessFactor": 0.3, **PLAIN}
    part = read(tmp_path, Draft(), **of)
    assert part.colors is not None
    expected = to_srgb(torch.tensor([0.8, 0.1, 0.1]))
    torch.testing.assert_close(part.colors[0], expected, atol=1e-3, rtol=0)
    assert (part.material.metallic, part.material.roughness) == (0, pytest.approx(0.7))
    texels = picture(4, 6)
    for required in ([], [OLD]):
        painted = Draft(uv=CORNERS).painted(texels)
        painted.json["extensionsRequired"] = required
        part = read(tmp_path, painted, diffuseTexture={"index": 0}, **PLAIN)
        assert part.texture is not None
        np.testing.assert_array_equal((part.texture * 255).round(), texels)


def test_glossiness_of_texels_is_their_alpha(tmp_path: Path) -> None:
    texels = np.concatenate([picture(3, 2), picture(2, 3).reshape(3, 2, 3)[..., :1]], -1)
    of = {"specularGlossinessTexture": {"index": 0}, "glossinessFactor": 0.5}
    expected = 1 - 0.5 * torch.from_numpy(texels[..., 3]) / 255
    for mirror in (PLAIN, {}):
        part = read(tmp_path, Draft(uv=CORNERS).painted(texels), **of, **mirror)
        gloss = part.material.gloss
        assert gloss is not None
        torch.testing.assert_close(gloss[..., 0] * part.material.roughness, expected)
        metal = float((gloss[..., 1] * part.material.metallic).max())
        assert metal == 0 if mirror else metal > 0.5
        assert (part.texture is None) == bool(mirror)


def test_metal_and_paint_side_by_side_in_pictures() -> None:
    golden = torch.tensor([0.9, 0.6, 0.1])
    diffuse, mirror = torch.zeros(4, 8, 3), torch.zeros(2, 4, 4)
    diffuse[:, 4:] = to_srgb(torch.tensor([0.1, 0.2, 0.7]))
    mirror[:, :2, :3] = to_srgb(golden)
    mirror[:, 2:, :3] = to_srgb(torch.full((3,), 0.04))
    found = mirrored({}, diffuse, mirror)
    assert found.texture is not None and found.gloss is not None
    assert found.texture.shape == (4, 8, 3) and found.gloss.shape == (4, 8, 2)
    base, metal = to_linear(found.texture), found.gloss[..., 1]
    torch.testing.assert_close(metal[:, 0], torch.ones(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(metal[:, -1], torch.zeros(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(base[:, 0], golden.expand(4, 3), atol=2e-3, rtol=0)
    expected = torch.tensor([0.1, 0.2, 0.7]).expand(4, 3)
    torch.testing.assert_close(base[:, -1], expected, atol=2e-3, rtol=0)
    torch.testing.assert_close(found.gloss[..., 0], torch.ones(4, 8))


@pytest.mark.parametrize(
    "wrong",
    [{"diffuseFactor": [1]}, {"specularFactor": [0.5, float("nan"), 0]}, {"specularFactor": []}],
)
def test_factors_that_are_none_are_told(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match="factors are not numbers"):
        read(tmp_path, Draft(), **wrong)
