"""The materials of a glTF document, and their pictures on a surface's coordinates."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from dreamlift.geometry.mesh import Material
from dreamlift.io.gltf_document import Document
from dreamlift.io.gltf_glossiness import mirrored
from dreamlift.io.images import decode

REPEAT, CLAMP, MIRROR = 10497, 33071, 33648
"""What a sampler shows beyond a picture's border."""
NEAREST, SHARP = 9728, 1024
"""To enlarge by whole texels; as we enlarge smoothly, such a picture is read up to this large."""
MOST = 1 << 24
"""Texels that a picture may grow to where it does not repeat, or twice its own."""


@dataclass(frozen=True)
class Paint:
    """A material, and where on its pictures a surface is."""

    factor: Float[Tensor, "3"]  # base colour, linear
    roughness: float
    metallic: float
    place: tuple[int, Mapping[str, Any]] | None  # which TEXCOORD, its KHR_texture_transform
    wraps: tuple[tuple[int, int], ...]  # of each map, to the right and down
    maps: tuple[Float[Tensor, "_h _w _c"] | None, ...]  # base colour, gloss and bumps


class Paints:
    """The materials of a document; a picture that several show is read once, and is one tensor."""

    def __init__(self, file: Document) -> None:
        self.file = file
        self._paints: dict[int, Paint] = {}
        self._images: dict[int, Tensor] = {}
        self._pictures: dict[tuple[int, str, bool], Tensor] = {}
        self._wider: dict[tuple[int, int, int], tuple[Tensor, Tensor]] = {}

    def of(self, primitive: Mapping[str, Any]) -> Paint:
        """The material of a primitive; without one it is white, rough and no metal."""
        if "material" not in primitive:
            return Paint(torch.ones(3), 1.0, 0.0, None, (), (None, None, None))
        index = primitive["material"]
        whole = self.file.entry("materials", index)
        if index not in self._paints:
            self._paints[index] = self._paint(whole)
        return self._paints[index]

    def _paint(self, whole: Mapping[str, Any]) -> Paint:
        mirror, old = whole.get("pbrMetallicRoughness", {}), None
        infos = [mirror.get("baseColorTexture"), mirror.get("metallicRoughnessTexture")]
        if not mirror:
            old = whole.get("extensions", {}).get("KHR_materials_pbrSpecularGlossiness")
        if old is not None:
            infos = [old.get("diffuseTexture"), old.get("specularGlossinessTexture")]
        infos.append(whole.get("normalTexture"))
        kinds = ("color", "gloss" if old is None else "whole", "bumps")
        place: tuple[int, Mapping[str, Any]] | None = None
        maps: list[Tensor | None] = []
        wraps: list[tuple[int, int]] = []
        for info, kind in zip(infos, kinds, strict=True):
            image, sampler = (None, {}) if info is None else self._source(info["index"])
            wraps.append((sampler.get("wrapS", REPEAT), sampler.get("wrapT", REPEAT)))
            if info is None or image is None:
                maps.append(None)
                continue
            transform = info.get("extensions", {}).get("KHR_texture_transform", {})
            own = transform.get("texCoord", info.get("texCoord", 0)), transform
            place = place or own  # as the first map says; those that do not agree are left out
            blocks = sampler.get("magFilter") == NEAREST
            maps.append(self._picture(image, kind, blocks) if own == place else None)
        if old is not None:
            return self._old(old, place, wraps, maps)
        factor = _floats(mirror.get("baseColorFactor", [1, 1, 1, 1]))[:3]
        roughness = float(mirror.get("roughnessFactor", 1)) if whole else 1.0
        metallic = float(mirror.get("metallicFactor", 1)) if whole else 0.0
        if len(factor) < 3 or not all(map(math.isfinite, (*factor.tolist(), roughness, metallic))):
            raise self.file.invalid("a material's factors are not numbers")
        roughness, metallic = (min(max(x, 0.0), 1.0) for x in (roughness, metallic))
        return Paint(factor.clamp(0, 1), roughness, metallic, place, tuple(wraps), tuple(maps))

    def _old(
        self,
        old: Mapping[str, Any],
        place: tuple[int, Mapping[str, Any]] | None,
        wraps: list[tuple[int, int]],
        maps: list[Tensor | None],
    ) -> Paint:
        """A material by its diffuse colour and its mirror's; their pictures lie alike from here."""
        try:
            found = mirrored(old, maps[0], maps[1])
        except ValueError as error:
            raise self.file.invalid(str(error)) from error
        first = wraps[0] if maps[0] is not None else wraps[1]
        here = (found.texture, found.gloss, maps[2])
        wraps = [first, first, wraps[2]]
        return Paint(found.factor, found.roughness, found.metallic, place, tuple(wraps), here)

    def _source(self, index: Any) -> tuple[int | None, Mapping[str, Any]]:
        """Which image a texture shows (None: it says none), and how: its sampler."""
        texture = self.file.entry("textures", index)
        said = texture.get("extensions", {})
        others = {name: more["source"] for name, more in said.items() if "source" in more}
        source = texture.get("source", others.get("EXT_texture_webp"))
        if source is None and others:
            raise self.file.fail(
                f"a texture is {' or '.join(sorted(others))} only, which dreamlift does not "
                "decode. Save it with PNG, JPEG or WebP (from KTX2: `gltf-transform ktxdecompress "
                "in.glb out.glb`)."
            )
        sampler = self.file.entry("samplers", texture["sampler"]) if "sampler" in texture else {}
        return source, sampler

    def _picture(self, image: int, kind: str, blocks: bool) -> Float[Tensor, "h w c"]:
        """What a map takes of an image: colours or bumps, glTF's green and blue, or all of it.
        `blocks`: whether its texels have sharp edges."""
        if (image, kind, blocks) not in self._pictures:
            texels = self._image(image)
            if blocks:
                larger = max(1, SHARP // max(texels.shape[:2]))
                texels = texels.repeat_interleave(larger, 0).repeat_interleave(larger, 1)
            takes = {"gloss": slice(1, 3), "whole": slice(None)}.get(kind, slice(3))
            self._pictures[image, kind, blocks] = texels[..., takes]
        return self._pictures[image, kind, blocks]

    def _image(self, index: int) -> Float[Tensor, "h w c"]:
        image = self.file.entry("images", index)
        if index not in self._images:
            if "uri" in image:
                content = self.file.fetch(image["uri"])
            else:
                content = bytes(self.file.view(image["bufferView"])[0])
            self._images[index] = decode(content, name=f"A texture of {self.file.path}")
        return self._images[index]

    def on(
        self, paint: Paint, uv: Float[Tensor, "n 2"] | None
    ) -> tuple[Float[Tensor, "n 2"] | None, Float[Tensor, "h w 3"] | None, Material]:
        """Our coordinates (v up), base colours and material, of glTF's coordinates."""
        maps: Sequence[Tensor | None] = (None, None, None)
        if uv is None or paint.place is None:
            uv = None
        else:
            moved = _moved(uv, paint.place[1])
            if not bool(moved.isfinite().all()):
                raise self.file.fail("a KHR_texture_transform holds NaN or infinity.")
            uv, maps = self._repeating(moved, paint)
            uv = torch.stack([uv[:, 0], 1 - uv[:, 1]], -1)
        return uv, maps[0], Material(paint.roughness, paint.metallic, maps[1], maps[2])

    def _repeating(
        self, uv: Float[Tensor, "n 2"], paint: Paint
    ) -> tuple[Float[Tensor, "n 2"], Sequence[Tensor | None]]:
        """Coordinates and pictures that show the same when pictures repeat, as ours do.

        A mirrored picture repeats together with its mirror image, and one whose border goes on
        gets as much of that as coordinates reach. A map that has another sampler than the first
        is left out where that matters.
        """
        maps = list(paint.maps)
        first = next(wrap for wrap, x in zip(paint.wraps, maps, strict=True) if x is not None)
        places = list(uv.unbind(-1))
        for axis, wrap in enumerate(first):
            far = float(torch.maximum(places[axis] - 1, -places[axis]).max())
            if far <= 1e-5:
                continue
            maps = [
                x if other[axis] == wrap else None
                for x, other in zip(maps, paint.wraps, strict=True)
            ]
            sizes = [x.shape[1 - axis] for x in maps if x is not None]
            if wrap == MIRROR:
                maps = [self._widened(x, 1 - axis, 0.0) for x in maps]
                places[axis] = places[axis] / 2
            elif wrap == CLAMP:
                # Whole texels of every map; a power of two, so that there are few such pictures.
                grid = math.gcd(*sizes)
                more = (1 << math.ceil(far * grid).bit_length()) / grid
                maps = [self._widened(x, 1 - axis, more) for x in maps]
                places[axis] = (places[axis] + more) / (1 + 2 * more)
        return torch.stack(places, -1), maps

    def _widened(
        self, picture: Float[Tensor, "h w c"] | None, axis: int, more: float
    ) -> Float[Tensor, "y x c"] | None:
        """A picture with `more` times its size of its border at both ends, or (0) its mirror image
        after it."""
        if picture is None:
            return None
        n, texels = picture.shape[axis], picture[..., 0].numel()
        by = round(more * n)
        if by and texels // n * (n + 2 * by) > max(MOST, 2 * texels):
            raise self.file.fail(
                f"a texture ends at its border (CLAMP_TO_EDGE), and a surface goes on for {more:g} "
                "times its size. Save it with coordinates from 0 to 1, or with pictures that "
                "repeat."
            )
        key = (id(picture), axis, by)
        if key not in self._wider:
            at = torch.arange(-by, n + by).clamp(0, n - 1)
            at = at if by else torch.cat([at, at.flip(0)])
            # The picture is kept beside it, so that its id stays its own.
            self._wider[key] = picture, picture.index_select(axis, at)
        return self._wider[key][1]


def _floats(values: list[float]) -> Float[Tensor, " n"]:
    """Numbers of a JSON file, which may be written without a point."""
    return torch.tensor(values, dtype=torch.float32)


def _moved(uv: Float[Tensor, "n 2"], transform: Mapping[str, Any]) -> Float[Tensor, "n 2"]:
    """Texture coordinates by KHR_texture_transform."""
    uv = uv * _floats(transform.get("scale", [1, 1]))
    turn = torch.tensor(float(transform.get("rotation", 0.0)))
    u = turn.cos() * uv[:, 0] + turn.sin() * uv[:, 1]
    v = turn.cos() * uv[:, 1] - turn.sin() * uv[:, 0]
    offset = transform.get("offset", [0.0, 0.0])
    return torch.stack([u + offset[0], v + offset[1]], -1)
