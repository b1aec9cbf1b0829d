"""The commands of `ffn`, one a file: `add` declares the options and says which function runs.

Parsing asks for argparse alone; a command imports what it works with when it runs, so that no help waits for torch.
"""

import argparse
from pathlib import Path
from typing import TypeAlias

Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def path(text: str) -> Path:
    """A path; the shell leaves a ~ behind an option's = to us."""
    return Path(text).expanduser()
