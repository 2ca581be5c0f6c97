"""Whether the fast twins can be had, which need Warp."""

import warnings
from functools import cache
from importlib.util import find_spec


@cache
def has_warp(lost: str) -> bool:
    """Whether Warp is installed; each sentence of what is `lost` where it is not is said once."""
    found = find_spec("warp") is not None
    if not found:
        warnings.warn(
            f"{lost}, because the warp-lang package is missing. Install it with: "
            "pip install warp-lang",
            stacklevel=4,
        )
    return found
