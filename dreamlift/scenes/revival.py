"""Scenes that can begin again where they have become empty: fields, Gaussians, several at once."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Revivable(Protocol):
    """A scene that can begin again, in place, as a compact grey blob."""

    def revive(self) -> None: ...
