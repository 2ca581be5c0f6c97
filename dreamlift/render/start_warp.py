"""Warp, started without a word: a machine without a GPU is nothing to warn of."""

import os
import sys
from functools import cache

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
