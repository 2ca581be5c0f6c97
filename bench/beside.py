"""Our renderers beside other people's, in one run: Mitsuba on a CPU, gsplat and nerfacc on CUDA.

    python -m bench.beside [--only mesh splats field] [--sizes 128 256] [--repeats 5]

mesh: the bumpy ball of bench/raster.py with gradients to vertices and 8 attributes, beside
Mitsuba's `llvm_ad_rgb`: 4 paths a pixel of one bounce to an even light, gradients to vertices and
3 colours, new vertices at every step. Its `prb` knows nothing of silhouettes, `direct_projective`
does (without guiding). What it compiles first is not counted. Both on one thread, CPU ms.
splats: 20,000 Gaussians of bench/splat.py beside gsplat; field: the march of a ball in a dense
grid beside nerfacc's weights and sums over the same samples. Both only on CUDA, in wall ms.

Who is not installed is left out, with a sentence. Mitsuba needs an LLVM that knows this CPU: name
another with DRJIT_LIBLLVM_PATH (on an EPYC with AVX-512, 14 and 15 cannot compile its kernels).
"""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from importlib.util import find_spec
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import torch

from bench import raster, splat
from dreamlift.cameras import Cameras, orbit
from dreamlift.geometry.gaussians import Gaussians
from dreamlift.render import volume_warp
from dreamlift.render.grid import density_of, lookup, raw_of, vertices
from dreamlift.render.volume import Rays, sample_rays

Work = Callable[[], object]
FACES, COUNT = 50_000, 20_000


class Missing(Exception):
    """Why another renderer is left out."""


def needed(*packages: str, cuda: bool = False) -> None:
    """Raises Missing where a package, or a CUDA device, is not there."""
    absent = [name for name in packages if find_spec(name) is None]
    if absent:
        raise Missing(f"left out: {', '.join(absent)} is not installed.")
    if cuda and not torch.cuda.is_available():
        raise Missing(f"left out: {', '.join(packages)} is compared on CUDA, and there is none.")


def _eye(size: int) -> Cameras:
    return orbit(torch.tensor([30.0]), torch.tensor([20.0]), size=size)


def mitsuba(size: int, kind: str) -> tuple[Work, Work]:
    """The same ball by Mitsuba: a picture, and a picture with its gradients. Raises Missing."""
    needed("mitsuba", "drjit")
    import drjit  # pyright: ignore[reportMissingImports]
    import mitsuba as found  # pyright: ignore[reportMissingImports]

    mi: Any = found
    dr: Any = drjit
    try:
        mi.set_variant("llvm_ad_rgb")
        dr.set_thread_count(1)
        dr.eval(dr.arange(mi.Float, 3) + 1)
    except (ImportError, RuntimeError) as error:
        raise Missing(f"left out: Mitsuba finds no LLVM that it can use ({error}).") from error
    scene, vertices, colors = _staged(mi, size, kind)
    numbers = mi.traverse(scene)
    seed = iter(range(1 << 30))

    def drawn() -> tuple[Any, Any, Any]:
        at, color = mi.Float(vertices), mi.Float(colors)
        dr.enable_grad(at, color)
        numbers["ball.vertex_positions"], numbers["ball.vertex_color"] = at, color
        numbers.update()
        return mi.render(scene, numbers, spp=4, seed=next(seed)), at, color

    def seen() -> object:
        image = dr.detach(drawn()[0])
        dr.eval(image)
        dr.sync_thread()
        return image

    def both() -> object:
        image, at, color = drawn()
        dr.backward(dr.sum(image * dr.detach(image), axis=None))
        slopes = dr.grad(at), dr.grad(color)
        dr.eval(*slopes)
        dr.sync_thread()
        return slopes

    return seen, both


def _staged(mi: Any, size: int, kind: str) -> tuple[Any, Any, Any]:
    """Mitsuba's scene, the ball's coordinates and its colours."""
    vertices, faces = raster.ball(FACES)
    painted = {"type": "diffuse", "reflectance": {"type": "mesh_attribute", "name": "vertex_color"}}
    of = mi.Properties()
    of["bsdf"] = mi.load_dict(painted)
    ball = mi.Mesh("ball", len(vertices), len(faces), props=of)
    ball.add_attribute("vertex_color", 3, torch.full((3 * len(vertices),), 0.5).numpy())
    numbers = mi.traverse(ball)
    numbers["vertex_positions"] = mi.Float(vertices.flatten().numpy())
    numbers["faces"] = mi.UInt32(faces.flatten().int().numpy())
    numbers.update()
    eye = _eye(size)
    look = mi.ScalarTransform4f().look_at(eye.position[0].tolist(), [0, 0, 0], [0, 0, 1])
    integrator: dict[str, Any] = {"type": kind}
    if kind == "direct_projective":
        integrator |= {"sppc": 4, "sppp": 4, "sppi": 0, "guiding": "none"}
    film = {"type": "hdrfilm", "width": size, "height": size, "sample_border": True}
    sensor = {"type": "perspective", "to_world": look, "film": film}
    sensor["fov"] = float(2 * torch.rad2deg(torch.atan(size / 2 / eye.K[0, 0, 0])))
    parts = {"integrator": integrator, "light": {"type": "constant"}, "sensor": sensor}
    scene = mi.load_dict({"type": "scene", **parts, "ball": ball})
    return scene, mi.Float(numbers["vertex_positions"]), mi.Float(numbers["vertex_color"])


def gsplat(size: int) -> tuple[Work, Work]:
    """The shell of bench/splat.py by gsplat. Raises Missing."""
    needed("gsplat", cuda=True)
    from gsplat import rasterization  # pyright: ignore[reportMissingImports, reportUnknownVariableType]  # fmt: skip

    draw: Any = rasterization
    gaussians, eye = splat.shell(COUNT), _eye(size)
    leaves = [getattr(gaussians, field.name) for field in fields(Gaussians)]
    leaves = [leaf.detach().cuda().requires_grad_() for leaf in leaves]
    means, turns, sizes, opacities, harmonics = leaves
    pose, lens = eye.world_to_camera.cuda(), eye.K.cuda()

    def picture() -> torch.Tensor:
        numbers = (means, turns, sizes.exp(), opacities.sigmoid(), harmonics, pose, lens)
        color, _, _ = draw(*numbers, size, size, sh_degree=3)
        return color

    return _alone(picture), lambda: _slopes(picture(), leaves)


def _grid(size: int) -> tuple[torch.Tensor, Rays]:
    """A dense grid around the ball on the GPU, and rays of 48 samples along a diameter."""
    at = vertices(65)
    raw = raw_of(torch.where(at.norm(dim=-1) < 0.6, 40.0, 1e-5))[..., None]
    origins, directions = (x.flatten(1, 2).cuda() for x in _eye(size).rays())
    grid = torch.cat([raw, at], -1).cuda().requires_grad_()
    return grid, sample_rays(origins, directions, samples=48)


def nerfacc(size: int) -> tuple[Work, Work]:
    """The march of that grid with nerfacc's weights and sums. Raises Missing."""
    needed("nerfacc", cuda=True)
    import nerfacc as found  # pyright: ignore[reportMissingImports]

    acc: Any = found
    grid, rays = _grid(size)
    number = torch.arange(rays.count.numel(), device=grid.device)
    ray = number.repeat_interleave(rays.count.flatten().long())
    begun = (rays.count.flatten().cumsum(0) - rays.count.flatten())[ray]
    nth = torch.arange(len(ray), device=grid.device) - begun
    step = rays.step.flatten()[ray]
    t = rays.first.flatten()[ray] + nth * step
    points = rays.origins.flatten(0, 1)[ray] + t[:, None] * rays.directions.flatten(0, 1)[ray]
    n = rays.count.numel()

    def picture() -> torch.Tensor:
        held = lookup(grid, points)
        ends = (t - step / 2, t + step / 2, density_of(held[:, 0]))
        weights = acc.render_weight_from_density(*ends, ray_indices=ray, n_rays=n)[0]
        return acc.accumulate_along_rays(weights, held[:, 1:4].sigmoid(), ray, n)

    return _alone(picture), lambda: _slopes(picture(), [grid])


def ours(what: str, size: int) -> tuple[Work, Work]:
    """This package's, of the same thing and on the same device."""
    if what == "mesh":
        return raster.works(size, FACES, reference=False)
    if what == "field":
        grid, rays = _grid(size)
        march = partial(volume_warp.march_grid, grid, rays)
        return _alone(lambda: march().color), lambda: _slopes(march().color, [grid])
    shell, eye = splat.shell(COUNT), _eye(size).to("cuda")
    leaves = [getattr(shell, field.name).detach().cuda() for field in fields(Gaussians)]
    moved = Gaussians(*(leaf.requires_grad_() for leaf in leaves))
    project, composite = splat.TWINS["warp"]

    def picture() -> torch.Tensor:
        return composite(project(moved, eye), size, size)

    return _alone(picture), lambda: _slopes(picture(), leaves)


OTHERS: Mapping[str, Mapping[str, Callable[[int], tuple[Work, Work]]]] = {
    "mesh": {
        "Mitsuba, prb": partial(mitsuba, kind="prb"),
        "Mitsuba, direct_projective": partial(mitsuba, kind="direct_projective"),
    },
    "splats": {"gsplat": gsplat},
    "field": {"nerfacc": nerfacc},
}


def _alone(picture: Callable[[], torch.Tensor]) -> Work:
    def seen() -> object:
        with torch.no_grad():
            return picture()

    return seen


def _slopes(picture: torch.Tensor, leaves: Sequence[torch.Tensor]) -> object:
    return torch.autograd.grad((picture * picture.detach()).sum(), leaves)


def milliseconds(work: Work, repeats: int) -> float:
    """The least: of CPU, or on a GPU of wall time with its queue empty."""
    if not torch.cuda.is_available():
        return splat.cost(work, repeats)[0]

    def waited() -> None:
        work()
        torch.cuda.synchronize()

    return splat.cost(waited, repeats)[1]


def measured(what: str, size: int, repeats: int, only: Sequence[str]) -> list[str]:
    """Rows of the table: ours, and each other's that is here."""
    lines: list[str] = []
    for name, make in {"dreamlift": partial(ours, what), **OTHERS[what]}.items():
        if only and name != "dreamlift" and name not in only:
            continue
        try:
            if name == "dreamlift" and what != "mesh":
                needed("torch", cuda=True)
            works = make(size)
        except Missing as why:
            lines.append(f"| {what} | {size} | {name} | {why} | |")
            continue
        times = [milliseconds(work, repeats) for work in works]
        lines.append(f"| {what} | {size} | {name} | {times[0]:.0f} | {times[1]:.0f} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Our renderers beside other people's.")
    parser.add_argument("--only", choices=OTHERS, nargs="+", default=[*OTHERS])
    parser.add_argument("--others", nargs="+", default=[], help="who; by default all")
    parser.add_argument("--sizes", type=int, nargs="+", default=(128, 256))
    parser.add_argument("--repeats", type=int, default=5, help="the least counts")
    choices = parser.parse_args(arguments)
    torch.set_num_threads(1)
    print("| what | pixels | whose | forward | with gradients |\n" + "|---" * 5 + "|")
    for what in choices.only:
        for size in choices.sizes:
            for line in measured(what, size, choices.repeats, choices.others):
                print(line, flush=True)


if __name__ == "__main__":
    main()
