"""bench/beside.py, readers.py, representations.py: the absent are told of, files are counted."""

import gzip
import struct
from pathlib import Path

import pytest
import torch

from bench import beside, readers, representations
from dreamlift.geometry.gaussians import Gaussians, harmonics_of
from dreamlift.geometry.mesh import Surface
from dreamlift.io.mesh_files import write_mesh
from dreamlift.io.splats import write_splats
from dreamlift.io.video import save_mp4


def test_who_is_not_installed_is_left_out_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(beside, "find_spec", lambda name: None)
    beside.main("--sizes 16 --repeats 1".split())
    said = capsys.readouterr().out
    assert "| mesh | 16 | Mitsuba, prb | left out: mitsuba, drjit is not installed. | |" in said
    for name in ("gsplat", "nerfacc"):
        assert f"| 16 | {name} | left out: {name} is not installed. | |" in said


def _surface() -> Surface:
    """A tetrahedron with sides 1, 2 and 3, and not in the origin."""
    at = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 2, 0], [0, 0, 3]]) + torch.tensor([0.1, 0.2, 0])
    faces = torch.tensor([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
    return Surface(at, faces, colors=torch.rand(4, 3))


@pytest.mark.parametrize("form", ["glb", "obj", "stl", "ply"])
def test_meshes_are_counted_and_have_their_size(tmp_path: Path, form: str) -> None:
    write_mesh(tmp_path / f"it.{form}", [_surface()])
    found = readers.READERS[form][1](tmp_path / f"it.{form}")
    assert found.counts["triangles"] == 4
    assert found.extents == pytest.approx((1, 2, 3), abs=1e-4)


@pytest.mark.parametrize("form", ["splat-ply", "splat", "spz"])
def test_gaussians_are_counted_and_have_their_size(tmp_path: Path, form: str) -> None:
    n, at = 4, _surface().vertices
    turn, sizes = torch.tensor([[1.0, 0, 0, 0]]).repeat(n, 1), torch.full((n, 3), -3.0)
    cloud = Gaussians(at, turn, sizes, torch.zeros(n), harmonics_of(torch.rand(n, 3)))
    path = tmp_path / ("it.ply" if form == "splat-ply" else f"it.{form}")
    write_splats(path, cloud)
    found = readers.READERS[form][1](path)
    assert found.counts == {"Gaussians": 4}
    assert found.extents == pytest.approx((1, 2, 3), abs=1e-3)


def test_films_are_counted_and_other_files_refused(tmp_path: Path) -> None:
    save_mp4(tmp_path / "it.mp4", [torch.rand(18, 32, 3) for _ in range(7)])
    found = readers.mp4(tmp_path / "it.mp4")
    assert found.counts == {"frames": 7, "width": 32, "height": 18}
    (tmp_path / "it.spz").write_bytes(gzip.compress(struct.pack("<4sIIBBBB", b"PGSN", *6 * [2])))
    with pytest.raises(ValueError, match="PGSN"):
        readers.spz(tmp_path / "it.spz")


def test_files_that_disagree_are_told(tmp_path: Path) -> None:
    files = {"glb": readers.Opened({"triangles": 4}, (1.0, 2.0, 3.0))}
    for other in (
        readers.Opened({"triangles": 5}, (1.0, 2.0, 3.0)),
        readers.Opened({"triangles": 4}, (1.0, 2.0, 3.1)),
    ):
        with pytest.raises(RuntimeError, match="obj holds"):
            representations.agree({**files, "obj": other}, "triangles", tmp_path)
    representations.agree({**files, "stl": files["glb"]}, "triangles", tmp_path)
