"""dreamlift/io/states.py: what is saved comes back, and what is damaged is refused."""

from pathlib import Path

import pytest
import torch
from conftest import rng

from dreamlift.io.states import Damaged, load_state, save_state


def test_nested_state_comes_back_exactly(tmp_path: Path) -> None:
    state = {
        "scene": {"grid": torch.randn(2, 3, generator=rng()).T, "step": torch.tensor(7.0)},
        "groups": [{"lr": 0.1 + 0.2, "betas": (0.9, 0.99), "name": "all", "fused": None}],
        "slots": {0: torch.arange(3), 12: torch.tensor([True, False])},
        "kinds": [torch.zeros(0, 4), torch.ones(3, dtype=torch.bfloat16), float("inf")],
        "rng": rng(5).get_state(),
    }
    save_state(tmp_path / "a.safetensors", state)
    back = load_state(tmp_path / "a.safetensors")
    for part in ("scene", "slots", "kinds", "rng"):
        torch.testing.assert_close(back[part], state[part], rtol=0, atol=0)
    assert back["groups"] == state["groups"]
    assert list(back["slots"]) == [0, 12]


def test_an_adam_continues_bit_for_bit(tmp_path: Path) -> None:
    def fresh() -> tuple[torch.Tensor, torch.optim.Adam]:
        x = torch.linspace(-1, 2, 7).requires_grad_()
        return x, torch.optim.Adam([x], lr=0.1)

    def descend(x: torch.Tensor, adam: torch.optim.Adam, steps: int) -> None:
        for _ in range(steps):
            adam.zero_grad()
            (x**2 * torch.arange(7)).sum().backward()
            adam.step()

    x, adam = fresh()
    descend(x, adam, 3)
    save_state(tmp_path / "s.safetensors", {"x": x, "adam": adam.state_dict()})
    descend(x, adam, 4)
    y, other = fresh()
    state = load_state(tmp_path / "s.safetensors")
    with torch.no_grad():
        y.copy_(state["x"])
    other.load_state_dict(state["adam"])
    descend(y, other, 4)
    assert torch.equal(x, y)


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "other"])
def test_a_damaged_file_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "s.safetensors"
    save_state(path, {"x": torch.arange(100.0)})
    whole = path.read_bytes()
    flipped = whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:]
    path.write_bytes(
        {"cut": whole[:-9], "flip": flipped, "empty": b"", "other": b"PK" * 99}[damage]
    )
    with pytest.raises(Damaged):
        load_state(path)


def test_a_plain_safetensors_file_is_no_state(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"x": torch.ones(2)}, tmp_path / "x.safetensors")
    with pytest.raises(Damaged, match="no saved state"):
        load_state(tmp_path / "x.safetensors")


def test_what_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="mappings, lists, tensors"):
        save_state(tmp_path / "x", {"f": print})
    with pytest.raises(TypeError, match="text or integers"):
        save_state(tmp_path / "x", {(1, 2): 3})
