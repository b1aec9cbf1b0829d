"""Folders that stay below a size: what was used longest ago goes first."""

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def touch(path: Path) -> None:
    """Notes that a file is used now: in the time of its last change, as many systems do not keep that of access."""
    with suppress(OSError):  # another process may have removed it, or own it
        os.utime(path)


def surplus(files: Iterable[Path], limit: int) -> list[Path]:
    """Those of `files` that were used longest ago, without which the others take at most `limit` bytes together."""
    known = sorted(filter(None, map(_about, files)), reverse=True)
    left, found = limit, []
    for _, size, path in known:
        left -= size
        if left < 0:
            found.append(path)
    return found[::-1]


def _about(path: Path) -> tuple[int, int, Path] | None:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_mtime_ns, about.st_size, path
