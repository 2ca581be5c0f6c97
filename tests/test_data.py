"""dreamlift/data.py: `dreamlift data`, what it is told and what it tells."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dreamlift import data
from dreamlift.cli import main
from dreamlift.geometry.mesh import Surface
from dreamlift.io.glb import unpack
from dreamlift.io.gltf import write_glb

TINY = ("--views", "1", "--size", "16", "--outputs", "albedo", "mesh")
REPO = Path(__file__).parents[1]


def run(capfd: pytest.CaptureFixture[str], *words: str) -> tuple[int, list[str], list[str]]:
    capfd.readouterr()
    try:
        code = main(("data", *words))
    except SystemExit as stop:
        code = int(str(stop.code))
    out, err = capfd.readouterr()
    return code, out.splitlines(), err.splitlines()


def captions(out: str) -> list[str]:
    rows = Path(out, "captions.jsonl").read_text().splitlines()
    return [json.loads(row)["caption"] for row in rows]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_given_captions_are_drawn_and_added_to(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capfd, "out", "--captions", "a cube", "a red ball", *TINY)
    assert (code, out) == (0, ["out"])
    assert err[0] == "1/2 objects" and err[-1].startswith("2/2 objects  0:0")
    assert captions("out") == ["a cube", "a red ball"]
    before = {path: path.read_bytes() for path in Path("out").rglob("0*/*") if path.is_file()}
    Path("list.txt").write_text("a cube\n\na red ball\na blue cone\n")
    assert run(capfd, "out", "--captions-file", "list.txt", *TINY)[0] == 0
    assert captions("out") == ["a cube", "a red ball", "a blue cone"]
    assert all(path.read_bytes() == was for path, was in before.items())
    code, out, err = run(capfd, "out", "--captions-file", "list.txt", "--seed", "1", *TINY)
    assert (code, out) == (2, [])
    assert err == [
        "dreamlift: out holds entries of other settings: seed is 0 there and 1 asked. Ask for the "
        "same to add to them, or choose another folder."
    ]


def test_an_interrupted_export_says_how_to_continue(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def press(parts: object, scene: object) -> None:
        raise KeyboardInterrupt

    words = ("out", "--captions", "a cube", "a ball", *TINY)
    with monkeypatch.context() as patched:
        patched.setattr("dreamlift.toybox.dataset.pictured", press)
        code, out, err = run(capfd, *words)
    assert (code, out) == (130, [])
    said = "dreamlift: Interrupted; what is whole is kept, and the same command continues."
    assert err[-1] == said
    assert run(capfd, *words)[0] == 0 and captions("out") == ["a cube", "a ball"]


REFUSED = {
    "unknown word": (("--captions", "a hamburgr"), "The caption 'a hamburgr' cannot be drawn."),
    "count": (("--count", "0"), "The count must be 1 to 1000000; 0 was asked for."),
    "size": (("--size", "3"), "The size must be 16 to 2048; 3 was asked for."),
    "no list": (("--captions-file", "no.txt"), "There is no file no.txt. A text file"),
    "empty list": (("--captions-file", "empty.txt"), "empty.txt holds no captions. A text file"),
    "no index": (("--meshes", "meshes"), "meshes/captions.jsonl cannot be read ("),
    "no such folder": (("--meshes", "nowhere"), "nowhere/captions.jsonl cannot be read ("),
    "both": (("--meshes", "meshes", "--captions", "a cube"), "Captions and --world are for toys;"),
    "grid": (("--meshes", "meshes", "--grid", "32"), "--grid is of the SDF of toys;"),
    "foreign": ((), "out is not empty: it holds thesis.tex. Nothing was changed;"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_in_a_sentence_before_any_work(
    capfd: pytest.CaptureFixture[str], case: str
) -> None:
    words, said = REFUSED[case]
    Path("out").mkdir()
    Path("out", "thesis.tex").write_text("mine")
    Path("empty.txt").write_text("\n \n")
    Path("meshes").mkdir()
    code, out, err = run(capfd, "out", *words)
    assert (code, out, len(err)) == (2, [], 1)
    assert err[0].startswith(f"dreamlift: {said}")
    assert [p.name for p in Path("out").iterdir()] == ["thesis.tex"]


def test_meshes_are_shown_and_what_is_left_out_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    Path("meshes").mkdir()
    corners = torch.tensor([[0.0, 0, 0], [0, 1, 0], [0.5, 1, 1]])
    write_glb(Path("meshes/a.glb"), [Surface(corners, torch.tensor([[0, 1, 2]]))])
    write_glb(Path("meshes/c.glb"), [Surface(corners, torch.tensor([[0, 1, 2]]))])
    Path("meshes/b.glb").write_text("not a mesh")
    rows = [{"path": f"{x}.glb", "caption": f"a {x}"} for x in "ab"]
    Path("meshes/captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, out, err = run(capfd, "out", "--meshes", "meshes", *TINY)
    assert (code, out) == (0, ["out"])
    assert captions("out") == ["a a"]
    assert err[-3].startswith("left out: meshes/b.glb is not a glTF file")
    assert err[-2:] == [
        "1 of 2 objects; the rest above.",
        "1 mesh files have no line in captions.jsonl.",
    ]
    Path("meshes/a.glb").unlink()
    code, _, err = run(capfd, "other", "--meshes", "meshes", *TINY)
    assert code == 2
    assert err[-1] == "dreamlift: No mesh of meshes can be read; the reasons are above."


def test_the_bar_tells_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    times = iter([0.0, 11.0, 12.0, 22.0, 33.0])
    monkeypatch.setattr(data.time, "monotonic", lambda: next(times))
    with data.progress(20) as told:
        for done in range(5, 10):
            told(done)
    err = capfd.readouterr().err.splitlines()
    # Five were there; one takes eleven seconds: at the sixth 14 x 11 are left, and so on.
    assert err == ["5/20 objects", "6/20 objects  2:34 left", "8/20 objects  1:28 left",
                   "9/20 objects  1:31 left"]  # fmt: skip


def test_help_comes_without_torch() -> None:
    code = (
        "import sys; from dreamlift.cli import main\n"
        "try: main(['data', '--help'])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "assert 'torch' not in sys.modules"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert b"--captions-file FILE" in ran.stdout


def test_only_ends_of_lines_end_lines_and_a_mark_at_the_beginning_is_none(tmp_path: Path) -> None:
    text = "a red cube\r\na ball\u2028on a\u0085cone\n\n a mug \n"
    Path("list.txt").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert data.lines(Path("list.txt")) == ["a red cube", "a ball\u2028on a\u0085cone", "a mug"]


def test_one_bad_file_does_not_end_the_work(capfd: pytest.CaptureFixture[str]) -> None:
    """A name that is no text, a path that is too long for the disk, and JSON that is too deep."""
    Path("meshes").mkdir()
    corners = torch.tensor([[0.0, 0, 0], [0, 1, 0], [0.5, 1, 1]])
    write_glb(Path("meshes/a.glb"), [Surface(corners, torch.tensor([[0, 1, 2]]))])
    content, binary = unpack(Path("meshes/a.glb").read_bytes())
    said = json.loads(content)
    said["nodes"][-1]["name"] = said["meshes"][0]["name"] = 5
    said["buffers"][0]["uri"] = "data:;base64," + base64.b64encode(binary).decode()
    Path("meshes/name.gltf").write_text(json.dumps(said))
    Path("meshes/deep.gltf").write_text("[" * 100_000)
    paths = ["name.gltf", "x" * 300 + ".glb", "meshes/" + "y" * 300, "deep.gltf", "\0.glb", "a.glb"]
    rows = [{"path": path, "caption": "a sheet"} for path in paths]
    Path("meshes/captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    code, out, err = run(capfd, "out", "--meshes", "meshes", *TINY)
    assert (code, out) == (0, ["out"]), err
    left_out = [text for text in err if text.startswith("left out: ")]
    for path in ("x" * 300, "y" * 300, "deep.gltf", "\0"):
        assert len([text for text in left_out if path in text]) == 1, path
    assert sum("name.gltf" in text for text in left_out) == len(left_out) - 4 <= 1
    assert captions("out")[-1] == "a sheet"
