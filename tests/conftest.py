"""What every test shares: threads and seeds held still, the shared data, and the quick lane."""

import os

# Before anything imports torch: idle OpenMP threads must sleep, or a busy machine crawls.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import signal
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest
import torch

torch.set_num_threads(1)
# A shell that runs the tests in its background has them ignore Ctrl-C; some press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

SHARED = Path(__file__).resolve().parents[2] / "shared"
NO_DATA = "the shared data is not here"
LONG = ("seconds", "weights")
"""Marks of what the quick lane leaves out, beside `slow`, which only `make slow` runs."""


def rng(seed: int = 0) -> torch.Generator:
    """A CPU generator; tests take `from conftest import rng`."""
    return torch.Generator().manual_seed(seed)


def shared_data(*parts: str) -> Path:
    """A file or folder of the shared data; the test is skipped where the whole folder is absent.

    Where ../shared exists, a path missing from it is a failure, not a skip.
    """
    path = SHARED.joinpath(*parts)
    if not SHARED.exists():
        pytest.skip(f"{NO_DATA}: {'/'.join(parts)} of ../shared")
    if not path.exists():
        pytest.fail(f"../shared has no {'/'.join(parts)}; the test names a file that moved.")
    return path


class QuickLane:
    """`--quick` must not import diffusers, which costs seconds: whoever tries is told."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name in ("diffusers", "transformers"):
            raise ImportError(f"The quick lane imports no {name}: mark this test `weights`.")
        return None


@pytest.fixture(autouse=True, scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Embeddings are kept among the tests' own files, not in the user's cache."""
    folder = tmp_path_factory.mktemp("library")
    os.environ["DREAMLIFT_CACHE"] = str(folder)
    return folder


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--quick", action="store_true", help="leave out slow, seconds, weights; refuse diffusers"
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--quick"):
        sys.meta_path.insert(0, QuickLane())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--quick"):
        out = [item for item in items if any(map(item.get_closest_marker, LONG))]
        items[:] = [item for item in items if item not in out]
        config.hook.pytest_deselected(items=out)
    if not torch.cuda.is_available():
        for item in items:
            if item.get_closest_marker("gpu"):
                item.add_marker(pytest.mark.skip(reason="no CUDA device on this machine"))


def _skipped_beside_the_data(config: pytest.Config) -> list[str]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not SHARED.exists():
        return []
    reports = reporter.stats.get("skipped", [])
    return [report.nodeid for report in reports if "shared" in report.longrepr[2]]


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A data test skipped beside the data fails the session: green must mean that it ran."""
    if _skipped_beside_the_data(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    for test in _skipped_beside_the_data(config):
        terminalreporter.write_line(
            f"FAILED {test}: skipped for want of data, yet ../shared exists"
        )
