"""In which numbers a device computes."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from dreamlift.priors import pixel


@pytest.mark.parametrize(("major", "dtype"), [(7, torch.float32), (8, torch.bfloat16)])
def test_bfloat16_that_is_emulated_is_not_the_best(
    major: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the device that is named, and not of the one that is current."""
    asked: list[Any] = []

    @contextmanager
    def entered(device: Any) -> Generator[None]:
        asked.append(str(device))
        yield

    def native(*, including_emulation: bool = True) -> bool:
        return including_emulation or major >= 8

    monkeypatch.setattr(torch.cuda, "device", entered)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", native)
    assert pixel.best_dtype("cuda:1") == dtype and asked == ["cuda:1"]
