"""The script for a bare GPU machine, rehearsed where there is neither; its parcels."""

import json
from pathlib import Path

import bare
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from dreamlift.errors import BadInput
from dreamlift.learn import gpu, parcels
from dreamlift.learn.loop import Training
from dreamlift.priors.text import load_tower

MACHINE = ("torch", "numpy", "safetensors", "jaxtyping")


def rehearse(site: Path, out: Path, *what: str) -> str:
    ran = bare.run(
        site, "-W", "ignore", "-m", "dreamlift.learn.gpu", "--out", str(out), "--minutes", "0.2",
        "--tiny", "--what", *what,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.seconds
def test_all_but_the_denoiser_is_rehearsed_with_torch_and_little_else(tmp_path: Path) -> None:
    """Neither warp, PIL, tyro, rich, trimesh nor diffusers is there to be imported."""
    site = bare.site(tmp_path / "site", *MACHINE)
    assert not [name for name in ("warp", "PIL", "tyro", "rich", "trimesh", "diffusers")
                if (site / name).exists()]  # fmt: skip
    out = tmp_path / "out"
    said = rehearse(site, out, "tower", "judge", "clip")
    for what in ("tower", "judge", "clip"):
        assert f"{what}: finished" in said or f"{what}: step" in said
    files = list(out.iterdir())
    assert 0 < len(files) <= parcels.MOST
    assert all(path.stat().st_size <= parcels.LIMIT for path in files)
    assert parcels.unpack(out, tmp_path / "work")
    done = tmp_path / "work" / "tower"
    assert load_tower(done / "tower").shape.width == 256
    assert json.loads((done / "finished.json").read_text())["steps"] == gpu.TINY.tower[0]


@pytest.mark.weights
def test_the_denoiser_is_rehearsed_with_a_diffusers_wheel_in_pieces(tmp_path: Path) -> None:
    site = bare.site(tmp_path / "site", *MACHINE, "diffusers")
    assert not [n for n in ("warp", "tyro", "rich", "trimesh", "peft") if (site / n).exists()]
    out = tmp_path / "out"
    said = rehearse(site, out, "tower")
    assert "tower: finished" in said
    while "denoiser: finished" not in said:
        said = rehearse(site, out, "denoiser")
    assert parcels.unpack(out, tmp_path / "work")
    shipped = tmp_path / "work" / "denoiser" / "whole"
    for name in ("unet/config.json", "scheduler/scheduler_config.json", "vocabulary.json",
                 "tower/model.safetensors"):  # fmt: skip
        assert (shipped / name).exists()


def test_what_needs_the_tower_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--out", str(tmp_path / "o"), "--what", "clip", "--tiny"]) == 2
    assert "trained on the text tower" in capsys.readouterr().err
    assert gpu.main(["--what", "clip"]) == 2
    assert "--out DIR" in capsys.readouterr().err
    assert gpu.main(["--unpack", str(tmp_path), str(tmp_path / "x")]) == 2
    assert "no files part_" in capsys.readouterr().err


def test_seeds_move_every_recipe() -> None:
    moved = gpu.seeded(gpu.LARGE, 7)
    assert (gpu.LARGE.seed, moved.seed) == (0, 7)
    assert moved.judge.seed == gpu.LARGE.judge.seed + 7
    assert moved.clip.seed == gpu.LARGE.clip.seed + 7
    assert moved.denoiser.seed == gpu.LARGE.denoiser.seed + 7
    assert len({moved.judge.seed, moved.clip.seed, moved.denoiser.seed}) == 3


def trained(folder: Path, steps: int = 6) -> Training:
    torch.manual_seed(1)
    of = Training(nn.Linear(40, 30), folder, steps, lr=0.01, warmup=1)
    rng = torch.Generator().manual_seed(2)
    while of.step < steps - 2:
        of.update((of.network(torch.randn(8, 40, generator=rng)) ** 2).mean())
    of.save()
    return of


def test_a_carried_training_goes_on_nearly_where_it_was(tmp_path: Path) -> None:
    of = trained(tmp_path / "work" / "linear")
    (tmp_path / "work" / "note.txt").write_text("hello")
    parts = parcels.pack(tmp_path / "work", tmp_path / "out", limit=3000)
    assert 3 < len(parts) < 7 and max(p.stat().st_size for p in parts) == 3000
    assert parcels.unpack(tmp_path / "out", tmp_path / "new")
    assert (tmp_path / "new" / "note.txt").read_text() == "hello"
    torch.manual_seed(5)
    again = Training(nn.Linear(40, 30), tmp_path / "new" / "linear", 6)
    assert again.step == of.step == 4
    for a, b in zip(again.network.parameters(), of.network.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)
    moments = zip(again.optimizer.state.values(), of.optimizer.state.values(), strict=True)
    for mine, theirs in moments:
        torch.testing.assert_close(mine["exp_avg_sq"], theirs["exp_avg_sq"], rtol=0.07, atol=1e-12)
        assert float(mine["exp_avg"].abs().max()) == 0 and mine["step"] == theirs["step"]
    again.update(again.network(torch.ones(1, 40)).square().mean())


def test_second_moments_are_squeezed_to_six_percent() -> None:
    v = torch.logspace(-12, -0.01, 500)
    again = parcels.expand(parcels.squeeze(v))
    assert float((again / v - 1).abs().max()) < 0.061
    assert parcels.expand(parcels.squeeze(torch.zeros(2))).tolist() == [0, 0]


def test_a_later_packing_replaces_an_earlier_one(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "a.bin").write_bytes(bytes(5000))
    parcels.pack(work, tmp_path / "out", limit=1000)
    (work / "a.bin").write_bytes(bytes(1500))
    parts = parcels.pack(work, tmp_path / "out", limit=1000)
    assert sorted((tmp_path / "out").iterdir()) == sorted(parts) and len(parts) == 2


def test_what_is_too_much_missing_or_damaged_is_said(tmp_path: Path) -> None:
    work, out = tmp_path / "work", tmp_path / "out"
    work.mkdir()
    (work / "a.bin").write_bytes(bytes(5000))
    with pytest.raises(ValueError, match="9 parts of 0 MB; 8 is the most|is the most"):
        parcels.pack(work, out, limit=500)
    assert not parcels.unpack(out, tmp_path / "x")
    parts = parcels.pack(work, out, limit=1000)
    content = parts[2].read_bytes()
    parts[2].unlink()
    with pytest.raises(BadInput, match="6 parts of one packing were expected"):
        parcels.unpack(out, tmp_path / "x")
    parts[2].write_bytes(b"?" + content[1:])
    with pytest.raises(BadInput, match="damaged"):
        parcels.unpack(out, tmp_path / "x")


def test_weights_travel_in_half_precision_and_counters_do_not(tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    state = {"w": torch.randn(4, 5), "n": torch.tensor(7.0), "i": torch.arange(3)}
    save_file(state, work / "model.safetensors", {"step": "9"})
    parcels.pack(work, tmp_path / "out")
    parcels.unpack(tmp_path / "out", tmp_path / "new")
    found = load_file(tmp_path / "new" / "model.safetensors")
    assert {k: v.dtype for k, v in found.items()} == {
        "w": torch.float16, "n": torch.float32, "i": torch.int64
    }  # fmt: skip
    torch.testing.assert_close(found["w"].float(), state["w"], rtol=1e-3, atol=1e-3)


@pytest.mark.gpu
def test_pictures_are_made_on_the_device() -> None:
    from dreamlift.learn.pictures import Pool
    from dreamlift.views import Views

    device = torch.device("cuda")
    one = Pool(8, seed=0, views=Views(), per_step=8, size=32, device=device).draw(8, 0)
    other = Pool(8, seed=0, views=Views(), per_step=8, size=32).draw(8, 0)
    assert one.x.is_cuda
    assert float((one.x.cpu() - other.x).abs().mean()) < 0.01
