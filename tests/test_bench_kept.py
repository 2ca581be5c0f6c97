"""Figures that a bench keeps: gone on with, never taken for those of another prior."""

from pathlib import Path

import pytest

from bench.kept import Kept


def test_rows_stay_and_are_gone_on_with(tmp_path: Path) -> None:
    file, made = tmp_path / "figures.json", {"prior": "1f", "count": (4, 4)}
    Kept(file, made).keep("a frog", (0.5, 1.0))
    again = Kept(file, made)
    assert again.rows == {"a frog": [0.5, 1.0]}
    again.keep("a pig", None)
    assert list(Kept(file, made).rows) == ["a frog", "a pig"]


def test_rows_of_another_prior_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    Kept(file, {"prior": "1f", "scale": 3.0}).keep("a frog", 1)
    with pytest.raises(SystemExit, match=r"\(prior 1f, now 2e\)\. Name another folder"):
        Kept(file, {"prior": "2e", "scale": 3.0})
    assert Kept(file, {"prior": "1f", "scale": 3.0}).rows == {"a frog": 1}
    file.write_text('{"3": {"a frog": [1, 1]}}')
    with pytest.raises(SystemExit, match="an earlier version"):
        Kept(file, {"prior": "1f"})
