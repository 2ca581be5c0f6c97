"""Warp, started without a word: a machine without a GPU is nothing to warn of; and its launches
beside torch."""

import os
import sys
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import torch
import warp as wp


@cache
def start() -> None:
    """Initialises Warp once; its native library would write of a missing driver to stderr."""
    wp.config.log_level = wp.LOG_ERROR
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        wp.init()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def stream(device: torch.device) -> Generator[None]:
    """Warp's work in the order of torch's on a GPU; nothing to do on the CPU."""
    if device.type == "cuda":
        with wp.ScopedStream(wp.stream_from_torch(torch.cuda.current_stream(device))):
            yield
    else:
        yield


def shared(launch: Callable[[int, int], None], n: int, device: torch.device) -> None:
    """`launch(first, count)` for n things, on the CPU shared among torch's threads: a launch runs
    on one core and frees the interpreter. Load the module before."""
    threads = torch.get_num_threads() if device.type == "cpu" else 1
    share = -(-n // threads)
    pieces = [(first, min(share, n - first)) for first in range(0, n, share)]
    if len(pieces) == 1:
        launch(0, n)
    else:
        with ThreadPoolExecutor(len(pieces)) as pool:
            list(pool.map(launch, *zip(*pieces, strict=True)))
