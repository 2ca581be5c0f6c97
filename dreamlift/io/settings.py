"""Frozen dataclasses of numbers, from the JSON that `dataclasses.asdict` of them gives."""

import math
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def from_json(kind: type[T], values: object) -> T:
    """The dataclass whose fields `values` holds, all of them and no others, each of its type.

    Raises ValueError, with a clause for a message, where that is not so. Fields may be bool, int,
    float, str, Literal and tuples of a fixed length of these.
    """
    hints = get_type_hints(kind)
    if not isinstance(values, Mapping):
        raise ValueError(f"{values!r} stands where there should be {', '.join(hints)}")
    values = cast("Mapping[str, Any]", values)
    if unknown := sorted(values.keys() - hints.keys()):
        raise ValueError(f"it has {', '.join(unknown)}, which this version does not know")
    if missing := [name for name in hints if name not in values]:
        raise ValueError(f"it lacks {', '.join(missing)}")
    return kind(**{name: _value(hint, values[name], name) for name, hint in hints.items()})


def _value(hint: Any, value: Any, name: str) -> Any:
    """A value as its annotation wants it: lists become tuples, whole numbers floats."""
    if get_origin(hint) is Literal and value in get_args(hint):
        return value
    if hint in (bool, int, str) and type(value) is hint:
        return value
    if hint is float and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if get_origin(hint) is tuple and isinstance(value, list):
        parts, among = cast("list[Any]", value), get_args(hint)
        if len(parts) == len(among):
            return tuple(_value(h, v, name) for h, v in zip(among, parts, strict=True))
    said = hint.__name__ if isinstance(hint, type) else str(hint).removeprefix("typing.")
    raise ValueError(f"its {name} is {value!r}, not {said}")
