"""One paper, one file: a frozen dataclass of its numbers with a `run` that reads like it.

Importing this costs nothing: the command line reads here what it offers.
"""

from typing import Literal, TypeAlias

Name: TypeAlias = Literal["dreamfusion"]
"""The recipes that the command line offers."""
Preset: TypeAlias = Literal["draft", "full"]
"""Numbers for a look at it in about a minute, or for the best that the embedded prior gives."""
