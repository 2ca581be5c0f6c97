"""dreamlift/io/settings.py: dataclasses come back from JSON, or are refused by name."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

import pytest

from dreamlift.io.settings import from_json


@dataclass(frozen=True)
class Numbers:
    name: str
    count: int
    share: float
    on: bool
    kind: Literal["fog", "blob"]
    span: tuple[float, int]


TRUE = Numbers("a", 3, 2.0, True, "blob", (1.0, 2))


def test_what_was_written_is_read() -> None:
    again = from_json(Numbers, json.loads(json.dumps(asdict(TRUE))))
    assert again == TRUE
    assert isinstance(again.span, tuple)


def test_a_whole_number_may_stand_for_a_float() -> None:
    share = from_json(Numbers, {**asdict(TRUE), "share": 2, "span": [1, 2]}).share
    assert share == 2.0 and type(share) is float


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"count": 3.0}, "its count is 3.0, not int"),
        ({"count": True}, "its count is True, not int"),
        ({"on": 1}, "its on is 1, not bool"),
        ({"share": float("inf")}, "its share is inf, not float"),
        ({"share": "2"}, "its share is '2', not float"),
        ({"kind": "cube"}, "its kind is 'cube', not Literal['fog', 'blob']"),
        ({"span": [1.0]}, "its span is [1.0], not tuple[float, int]"),
        ({"span": [1.0, 2.5]}, "its span is 2.5, not int"),
        ({"more": 1, "and": 2}, "it has and, more, which this version does not know"),
    ],
)
def test_other_values_are_refused_by_name(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError) as caught:
        from_json(Numbers, {**asdict(TRUE), **change})
    assert str(caught.value) == said


def test_what_is_missing_is_named() -> None:
    with pytest.raises(ValueError, match="^it lacks name, kind$"):
        from_json(Numbers, {k: v for k, v in asdict(TRUE).items() if k not in ("kind", "name")})
    with pytest.raises(ValueError, match="^3 stands where there should be name, count, "):
        from_json(Numbers, 3)
