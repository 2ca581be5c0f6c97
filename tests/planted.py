"""Planting bugs: a check that cannot fail proves nothing.

A bug is (holder, attribute, wrong, checks): `holder.attribute` becomes `wrong`, and then each of
the checks, functions `check_*` of the tests of that room, must fail. A check of another room is
named with its room: `sds.value`.
"""

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, TypeAlias

import pytest

Bug: TypeAlias = tuple[Any, str, Any, str]
Rooms: TypeAlias = Mapping[str, tuple[ModuleType, Mapping[str, Bug]]]
Checks: TypeAlias = Mapping[str, Callable[[], None]]


def checks(rooms: Rooms) -> dict[str, Callable[[], None]]:
    """All `check_*` of the rooms' tests."""
    return {
        f"{room}.{name.removeprefix('check_')}": check
        for room, (module, _) in rooms.items()
        for name, check in vars(module).items()
        if name.startswith("check_")
    }


def bugs(rooms: Rooms) -> dict[str, Bug]:
    """All bugs, with their rooms."""
    return {
        f"{room}: {name}": bug for room, (_, them) in rooms.items() for name, bug in them.items()
    }


def names(name: str, them: Mapping[str, Bug]) -> list[str]:
    """The checks that must see a bug, with their rooms."""
    room, _, _ = name.partition(":")
    return [check if "." in check else f"{room}.{check}" for check in them[name][3].split()]


def caught(them: Mapping[str, Bug]) -> set[str]:
    """The checks that some bug must be seen by."""
    return {check for name in them for check in names(name, them)}


def catch(
    name: str, them: Mapping[str, Bug], all_checks: Checks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each check passes, and fails with the bug planted."""
    holder, attribute, wrong, _ = them[name]
    for check in names(name, them):
        all_checks[check]()
    monkeypatch.setattr(holder, attribute, wrong)
    for check in names(name, them):
        with pytest.raises(AssertionError):
            all_checks[check]()
