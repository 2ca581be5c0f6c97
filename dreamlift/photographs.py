"""Folders of photographs taken from known places, read and made ready (posed.py).

    NeRF-synthetic, instant-ngp, nerfstudio     transforms.json, or transforms_train.json, ...
    COLMAP                                      sparse/0/cameras.bin, images.bin, or .txt

`read_album` says what a folder holds without opening a photograph, `develop` straightens, shrinks
and places them. One similarity takes the data's world to ours, where what is to be seen fills the
ball around the origin; it is kept, so that every place can be taken back.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from dreamlift.cameras import Cameras
from dreamlift.errors import BadInput
from dreamlift.geometry.lens import shrink, straighten
from dreamlift.io.album import Album, Photo
from dreamlift.io.colmap import model_folder, read_colmap
from dreamlift.io.images import load_image
from dreamlift.io.transforms import is_transforms, read_transforms
from dreamlift.posed import Posed

OBJECT = 1.05
"""Radius, in our world, of the ball that an object fills (docs/conventions.md)."""
LEAST = 3
"""Photographs to learn from, at least."""
CELLS = 64
"""Along a side of the grid in which silhouettes are intersected."""


def read_album(folder: Path, *, hold_out: int = 8, views: int | None = None) -> Album:
    """What a folder of posed photographs holds; those to be held out are marked.

    The data's own split is kept; where there is none, every `hold_out`-th photograph by its place
    in the list is held out, from the first on (0: none). Photographs that are told of and not
    there, those that are told of twice, and those of another size than most, are left out and said
    so. Of those to learn from only `views` are kept, where so many are asked for (`few`). Raises
    BadInput, also for one photograph that was taken from several places.
    """
    if not folder.is_dir():
        raise BadInput(f"{folder} is no folder. Name one that holds posed photographs.")
    if is_transforms(folder):
        album = read_transforms(folder)
    elif (model := model_folder(folder)) is not None:
        album = read_colmap(folder, model)
    else:
        raise BadInput(
            f"{folder} holds no posed photographs: neither transforms.json nor "
            "transforms_train.json, and no COLMAP model (sparse/0/cameras.bin or .txt) was found."
        )
    photos, twice = _once(album)
    photos, others = _of_one_size(photos)
    if all(photo.held_out is None for photo in photos):
        marks = [hold_out > 0 and i % hold_out == 0 for i in range(len(photos))]
        photos = [replace(p, held_out=m) for p, m in zip(photos, marks, strict=True)]
    album = replace(album, photos=photos, left_out=(*album.left_out, *twice, *others))
    learned = sum(not photo.held_out for photo in photos)
    if learned < LEAST:
        missing = f" Left out: {'; '.join(album.left_out[:3])}." if album.left_out else ""
        raise BadInput(
            f"{album.source} leaves {learned} photographs to learn from; at least {LEAST} are "
            f"needed.{missing} Bring the pictures, or hold out fewer."
        )
    return album if views is None else few(album, views)


def few(album: Album, views: int) -> Album:
    """All that are held out, and `views` of the others: the first, then always the one whose
    camera stands farthest from those that are taken. Raises BadInput where there are fewer."""
    learned = [photo for photo in album.photos if not photo.held_out]
    if not LEAST <= views <= len(learned):
        raise BadInput(
            f"The views to learn from must be {LEAST} to {len(learned)}, all that {album.source} "
            f"leaves; {views} were asked for."
        )
    place = torch.stack([photo.camera_to_world[:3, 3] for photo in learned])
    taken = [0]
    while len(taken) < views:
        away = torch.cdist(place, place[taken]).amin(-1)
        away[taken] = -1.0  # several may stand at one place
        taken.append(int(away.argmax()))
    names = {learned[i].name for i in taken}
    kept = [photo for photo in album.photos if photo.held_out or photo.name in names]
    return replace(album, photos=kept)


def _once(album: Album) -> tuple[list[Photo], list[str]]:
    """Each photograph once, and a sentence for each that is told of again. Raises BadInput where
    that is of another place; a photograph may be both learned from and held out."""
    first: dict[Path, Photo] = {}
    kept: dict[tuple[Path, bool | None], Photo] = {}
    again: list[str] = []
    for photo in album.photos:
        path = photo.path.resolve()
        other = first.setdefault(path, photo).camera_to_world
        if not torch.allclose(photo.camera_to_world, other, rtol=1e-4, atol=1e-4):
            raise BadInput(
                f"{album.source} names the picture {photo.name} more than once, of unlike poses. "
                "A photograph is taken from one place: name each camera's own picture."
            )
        if (path, photo.held_out) in kept:
            again.append(f"{photo.name}: named again, of the same pose")
        else:
            kept[path, photo.held_out] = photo
    return [*kept.values()], again


def _of_one_size(photos: Sequence[Photo]) -> tuple[list[Photo], list[str]]:
    """The photographs of the commonest size, and a sentence for each other one."""
    if not photos:
        return [], []
    sizes = [(photo.lens.width, photo.lens.height) for photo in photos]
    (width, height), _ = Counter(sizes).most_common(1)[0]
    kept = [p for p, size in zip(photos, sizes, strict=True) if size == (width, height)]
    others = [
        f"{p.name}: {w}x{h} pixels, where most have {width}x{height}"
        for p, (w, h) in zip(photos, sizes, strict=True)
        if (w, h) != (width, height)
    ]
    return kept, others


def develop(
    album: Album,
    *,
    downscale: int = 1,
    reach: float | None = None,
    progress: Callable[[int], None] | None = None,
) -> Posed:
    """Open, straighten and shrink the photographs, and place them in our world.

    `reach` is the radius of what shall fill the ball of radius 1.05, as a share of the cameras'
    mean distance from what they look at; None: what the silhouettes of cut-out objects leave, and
    else 1. Raises BadInput for a photograph that cannot be read, by its name.
    """
    lens = album.photos[0].lens
    height, width = lens.height // downscale, lens.width // downscale
    if min(height, width) < 8:
        raise BadInput(
            f"Photographs of {lens.width}x{lens.height} pixels cannot be made {downscale} times "
            "smaller: fewer than 8 would be left. Choose a smaller --downscale."
        )
    rows: list[tuple[Tensor, Tensor, Tensor]] = []
    for i, photo in enumerate(album.photos):
        rows.append(_developed(photo, downscale))
        if progress is not None:
            progress(i + 1)
    images, alpha, known = (torch.stack(x) for x in zip(*rows, strict=True))
    K = torch.stack([photo.lens.K for photo in album.photos])
    K[:, :2] /= downscale
    poses = torch.stack([photo.camera_to_world for photo in album.photos])
    held_out = torch.tensor([bool(photo.held_out) for photo in album.photos])
    flat = Posed(
        names=[photo.name for photo in album.photos],
        cameras=Cameras(torch.linalg.inv(poses), K, height, width),
        images=images,
        alpha=alpha,
        known=known,
        held_out=held_out,
        placement=torch.eye(4, dtype=torch.float64),
        points=album.points,
        colors=album.colors,
    )
    return placed(flat, _placement(flat, album.upright, reach))


def _developed(photo: Photo, downscale: int) -> tuple[Tensor, Tensor, Tensor]:
    """Colour times alpha, alpha, and what is known, of one photograph."""
    picture = load_image(photo.path)
    rgb, alpha = picture[..., :3], torch.ones_like(picture[..., :1])
    if picture.shape[-1] == 4:
        alpha = picture[..., 3:]
    believed = torch.ones_like(alpha)
    if photo.mask is not None:
        believed = _white(load_image(photo.mask))
        if believed.shape != alpha.shape:
            raise BadInput(f"{photo.mask} has another size than {photo.path}, whose mask it is.")
    flat, known = straighten(torch.cat([rgb * alpha, alpha, believed], -1), photo.lens)
    flat, known = shrink(flat, downscale), shrink(known, downscale)
    sure = (known > 0.999) & (flat[..., 4:] > 0.999)
    if not bool(sure.any()):
        if photo.mask is None:
            raise BadInput(f"The lens of {photo.path} leaves no pixel of it. Check its numbers.")
        raise BadInput(
            f"{photo.mask} leaves no pixel of {photo.path} to be believed: a mask is white where a "
            "photograph counts. Turn it over, or leave the photograph out."
        )
    return flat[..., :3], flat[..., 3:4].clamp(0, 1), sure.float()


def _white(mask: Tensor) -> Tensor:
    """1 where a mask is white. What is transparent in it is not; a cut-out of one colour says all
    by what is transparent; in a mask of the numbers 0 and 1, 1 is white."""
    grey = mask[..., :1]
    if mask.shape[-1] == 4:
        alpha = mask[..., 3:]
        grey = alpha if bool((grey == grey[:1, :1]).all()) else grey * alpha
    return (grey > (0.5 if float(grey.max()) > 1.5 / 255 else 0.0)).float()


def placed(posed: Posed, placement: Float[Tensor, "4 4"]) -> Posed:
    """The same photographs with the world moved: a rotation times a scale, and a shift."""
    scale = float(torch.linalg.det(placement[:3, :3])) ** (1 / 3)
    camera_to_world = placement @ torch.linalg.inv(posed.cameras.world_to_camera.double())
    camera_to_world[:, :3, :3] /= scale
    world_to_camera = torch.linalg.inv(camera_to_world).float()
    points = posed.points
    if points is not None:
        points = (points.double() @ placement[:3, :3].T + placement[:3, 3]).float()
    size = posed.cameras.height, posed.cameras.width
    return replace(
        posed,
        cameras=Cameras(world_to_camera, posed.cameras.K.float(), *size),
        placement=placement @ posed.placement,
        points=points,
    )


def _placement(posed: Posed, upright: bool, reach: float | None) -> Float[Tensor, "4 4"]:
    """Where the data's world goes: +z up, and what is looked at in the ball."""
    turn = torch.eye(3, dtype=torch.float64) if upright else _upright(posed.cameras)
    centre = looked_at(posed.cameras)
    distance = float((posed.cameras.position - centre).norm(dim=-1).mean())
    if not distance > 0:
        raise BadInput("The cameras all stand at the place that they look at. Check their poses.")
    radius = distance * (1.0 if reach is None else reach)
    if reach is None and posed.cut_out:
        learned = posed.some(~posed.held_out)
        for _ in range(2):  # the second time in a box that fits
            centre, radius = _hull(learned, centre, radius)
    placement = torch.eye(4, dtype=torch.float64)
    placement[:3, :3] = turn * (OBJECT / radius)
    placement[:3, 3] = -placement[:3, :3] @ centre
    return placement


def looked_at(cameras: Cameras) -> Float[Tensor, " 3"]:
    """The point nearest to all optical axes, by least squares (instant-ngp, nerfstudio's focus).

    Where axes are all but parallel, the mean of the cameras' places.
    """
    axis = cameras.world_to_camera[:, 2, :3]
    across = torch.eye(3, dtype=axis.dtype) - axis[:, :, None] * axis[:, None, :]
    A = across.mean(0)
    if float(torch.linalg.eigvalsh(A)[0]) < 1e-4:
        return cameras.position.mean(0)
    return torch.linalg.solve(A, (across @ cameras.position[..., None]).mean(0)[:, 0])


def _upright(cameras: Cameras) -> Float[Tensor, "3 3"]:
    """The smallest turn that brings the mean of the cameras' up to +z (nerfstudio's "up")."""
    up = -cameras.world_to_camera[:, 1, :3].mean(0)
    up, z = F.normalize(up, dim=0), up.new_tensor([0.0, 0.0, 1.0])
    if float(up @ z) < -1 + 1e-9:
        return torch.diag(up.new_tensor([1.0, -1.0, -1.0]))
    v = torch.linalg.cross(up, z)
    skew = v.new_tensor([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return torch.eye(3, dtype=up.dtype) + skew + skew @ skew / (1 + up @ z)


def _hull(
    posed: Posed, centre: Float[Tensor, " 3"], radius: float
) -> tuple[Float[Tensor, " 3"], float]:
    """The ball around what no silhouette rules out, within `radius` (to each side) of a centre."""
    line = torch.linspace(-radius, radius, CELLS, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3) + centre
    kept = torch.ones(len(grid), dtype=torch.bool)
    views = torch.zeros(len(grid))
    size = grid.new_tensor([posed.cameras.width, posed.cameras.height])
    wide = F.max_pool2d(posed.alpha.permute(0, 3, 1, 2), 3, 1, 1)[:, 0]
    for i in range(len(posed.cameras)):
        xy, depth = posed.cameras[i : i + 1].project(grid)
        seen = ((xy >= 0) & (xy < size)).all(-1)[0] & (depth[0] > 0)
        x, y = xy[0, seen].long().unbind(-1)
        kept[seen] &= wide[i, y, x] > 0.5
        views += seen
    kept &= views >= len(posed.cameras) / 2
    if not bool(kept.any()):
        raise BadInput(
            "No place is inside the silhouettes of all photographs: the poses or the alpha are "
            "wrong. Say --reach to place the scene by its cameras alone."
        )
    low, high = grid[kept].amin(0), grid[kept].amax(0)
    middle = (low + high) / 2
    return middle, float((grid[kept] - middle).norm(dim=-1).max()) + float(line[1] - line[0])
