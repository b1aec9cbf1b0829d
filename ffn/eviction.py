"""Folders that stay below a size: what was used longest ago goes first."""

import os
from collections.abc import Iterable
from contextlib import suppress
from itertools import accumulate
from math import inf
from pathlib import Path


def touch(path: Path) -> None:
    """Notes that a file is used now: in the time of its last change, as many systems do not keep that of access."""
    with suppress(OSError):  # another process may have removed it, or own it
        os.utime(path)


def surplus(files: Iterable[Path], limit: int, *, largest: float = inf) -> list[Path]:
    """Those of `files` that were used longest ago, without which the others take at most `limit` bytes together.

    What takes more than `largest` bytes by itself is left out of account.
    """
    latest = sorted(filter(None, map(_about, files)), reverse=True)
    counted = [(size, path) for _, size, path in latest if size <= largest]
    totals = accumulate(size for size, _ in counted)
    return [path for (_, path), total in zip(counted, totals, strict=True) if total > limit]


def _about(path: Path) -> tuple[int, int, Path] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size, path
