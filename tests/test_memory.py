"""Memory is kept where the C library can be told to."""

import sys

import pytest

from dreamlift import memory


def test_it_says_whether_it_took_effect_and_may_be_asked_twice() -> None:
    first = memory.keep()
    assert memory.keep() is first
    if not sys.platform.startswith("linux"):
        assert not first


def test_elsewhere_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert memory.keep.__wrapped__() is False


def test_a_c_library_without_the_call_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda _: object())
    assert memory.keep.__wrapped__() is False
