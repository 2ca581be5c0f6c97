"""Keep freed memory in the process, so that it is not faulted in again at every step."""

import ctypes
import sys
from functools import cache

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_MEBIBYTE = 1 << 20


@cache
def keep() -> bool:
    """Tell glibc to return large blocks to its own heap instead of to the system.

    A training step or a rendering allocates and frees the same hundreds of megabytes again and
    again; by default each is mapped and zeroed anew, which took half of a training step's time on
    a virtual machine (docs/log.md). True where it took effect; elsewhere nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    settings = ((_MMAP_THRESHOLD, 1 << 30), (_TRIM_THRESHOLD, 2047 * _MEBIBYTE),
                (_TOP_PAD, 64 * _MEBIBYTE))  # fmt: skip
    return all(mallopt(key, value) == 1 for key, value in settings)
