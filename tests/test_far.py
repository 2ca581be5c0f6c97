"""Objects far from the origin keep their shape."""

from pathlib import Path

import numpy as np
import pytest
import torch
from test_gltf_read import SQUARE, Draft
from test_meshes import shelf
from test_ply_read import AXES, LIST, read

from dreamlift.learn.meshes import RADIUS

FAR = ("4500000.25 600000.5 0", "4500001.25 600000.5 0", "4500001.25 600001.5 0")
DOUBLE = "ply\nformat ascii 1.0\nelement vertex 3\n{}element face 1\n{}end_header\n{}\n3 0 1 2\n"
MAPS = {
    "a.obj": "".join(f"v {row}\n" for row in FAR) + "f 1 2 3\n",
    "a.off": "\n".join(["OFF", "3 1 0", *FAR, "3 0 1 2", ""]),
    "a.ply": DOUBLE.format(AXES.replace("float", "double"), LIST, "\n".join(FAR)),
}


@pytest.mark.parametrize("name", MAPS)
def test_an_object_on_a_map_keeps_its_shape(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    content = MAPS[name].replace(".25", ".26").replace(".5", ".53")  # in single precision: others
    (part,) = read(tmp_path, name, content)
    edges = part.vertices[1:] - part.vertices[:-1]
    torch.testing.assert_close(edges, torch.eye(3)[:2], rtol=0, atol=1e-6)
    assert caplog.messages == [
        "It lies far from the origin, and is moved by (-4500001, -600001, 0)."
    ]
    near = content.replace("4500000", "40").replace("4500001", "41").replace("60000", "")
    (part,) = read(tmp_path, name, near)
    assert float(part.vertices[0, 0]) == pytest.approx(40.26) and len(caplog.messages) == 1


def test_a_node_far_away_keeps_its_shape(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As photogrammetry places what it has measured; parts stay beside one another."""
    draft = Draft()
    places = [500_000.3, 0.0, 4_100_000.7], [500_002.3, 0.0, 4_100_000.7]
    draft.json["nodes"] = [{"mesh": 0, "translation": place} for place in places]
    first, second = draft.read(tmp_path)
    np.testing.assert_allclose(second.vertices - first.vertices, [[2, 0, 0]] * 4, atol=1e-6)
    edges = first.vertices - first.vertices[:1]
    np.testing.assert_allclose(edges, SQUARE, atol=1e-6)
    assert "far from the origin" in caplog.text and first.vertices.abs().max() < 3


def test_an_object_far_away_is_brought_near_without_being_bent(tmp_path: Path) -> None:
    """Corners that single precision holds, and whose distance from the middle it would not."""
    rows = [(1e6, 2e6, 0), (1e6 + 1, 2e6, 0), (1e6, 2e6 + 1, 0), (1e6, 2e6, 1)]
    text = "".join(f"v {x:.1f} {y:.1f} {z}\n" for x, y, z in rows)
    (tmp_path / "far.obj").write_text(text + "f 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n")
    folder = shelf(tmp_path, {"path": "far.obj", "caption": "x"})
    (part,) = folder.load(folder.entries[0]).parts
    edges = torch.cdist(part.vertices, part.vertices)
    wanted = torch.tensor([1.0, 2**0.5]) * float(edges[edges > 0].min())
    unlike = (edges[edges > 0][:, None] - wanted).abs().min(1).values
    assert float(unlike.max()) < 1e-6
    assert float(part.vertices.norm(dim=-1).max()) == pytest.approx(RADIUS, abs=1e-6)
