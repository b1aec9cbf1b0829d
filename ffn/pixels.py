"""Videos decoded once: all frames, resized, in one file that every process maps into its memory.

The file holds the frames of the videos one after another, uint8 (T, 3, h, w) each, then where they lie as JSON, then
the length of that in 8 bytes. A video that cannot be read is not in it.

Files that were remembered without being asked for take a bounded room together: those that were used longest ago go,
but none that a process has mapped, nor one so large that somebody asked for it and it would take hours to make anew.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from math import prod
from pathlib import Path
from typing import IO, TypeVar

import numpy as np

from ffn.eviction import surplus, touch
from ffn.files import cache_folder, clear_remains, replacing
from ffn.lists import Record
from ffn.processes import processes
from ffn.progress import Progress
from ffn.transforms import Preprocessing
from ffn.video import UnreadableVideoError, open_video

try:
    import fcntl
except ImportError:  # no such locks on Windows: who starts at once builds at once, and mapped files cannot be removed
    fcntl = None  # type: ignore[assignment]

R = TypeVar("R")
Shape = tuple[int, int, int, int]  # T, 3, h, w
FEW = 256  # videos are decoded here sooner than by processes that have yet to import torch
SMALL = 4 * 2**30  # bytes of pixels that are remembered without being asked for
LIMIT = 4 * SMALL  # bytes of all such files together


class Pixels:
    """The frames of many videos, by position; nothing is read before it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            _lock(file, exclusive=False)  # for as long as it is mapped: the map keeps a copy of the descriptor
            self._bytes = np.asarray(np.memmap(file, np.uint8, "r"))
        end = len(self._bytes) - 8
        length = int.from_bytes(self._bytes[end:].tobytes(), "little")
        self._places = [place and _Place(*place) for place in json.loads(self._bytes[end - length : end].tobytes())]

    def __getitem__(self, index: int) -> np.ndarray | None:
        """All frames of one video, uint8 (T, 3, h, w), read-only; None if it could not be read."""
        place = self._places[index]
        if place is None:
            return None
        return self._bytes[place.start : place.end].reshape(place.shape)

    def __reduce__(self) -> tuple[type["Pixels"], tuple[Path]]:
        return Pixels, (self.path,)  # another process maps the file anew


@dataclass(frozen=True)
class _Place:
    """Where the frames of a video lie, in bytes from the start."""

    start: int
    shape: Shape

    @property
    def end(self) -> int:
        return self.start + prod(self.shape)


def remembered(
    records: Sequence[Record],
    preprocessing: Preprocessing,
    *,
    contents: Sequence[str],
    workers: int = 0,
    progress: Progress | None = None,
) -> Pixels:
    """The frames of `records` as `preprocessing.shrink` leaves them, decoded now unless they have been before.

    `contents` tell the videos from others, and from what they were before. Of several processes that ask at once, one
    builds and the others wait.
    `progress` is called with (steps done, steps in all).

    Raises:
        OSError: when the disk is too full, with the bytes that are needed and free; nothing is left behind.
    """
    name = sha256("\n".join(contents).encode()).hexdigest()[:16]
    path = cache_folder() / "pixels" / f"{name}-{preprocessing.resize}.pixels"
    if path.exists() and not os.access(path.parent, os.W_OK):
        return Pixels(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _alone(path):
        if not path.exists():
            _build(path, records, preprocessing, workers, progress or (lambda done, total: None))
        touch(path)
        found = Pixels(path)
    _evict(path.parent)
    return found


def estimate(records: Sequence[Record], preprocessing: Preprocessing, probes: int = 16) -> int:
    """About how many bytes the pixels of all videos take, judged by a few of them."""
    few = records[:: max(1, len(records) // probes)]
    return sum(map(_size, (measure(record, preprocessing) for record in few))) * len(records) // max(1, len(few))


@contextmanager
def _alone(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Waits until no other process is here for the same path, and clears away what a killed one left.

    Raises:
        OSError: when another process is here, and there is no time to `wait`.
    """
    with path.with_suffix(".lock").open("w") as file:
        _lock(file, wait=wait)
        if fcntl:
            clear_remains(path.parent, path.name)
        yield


def _lock(file: IO, *, exclusive: bool = True, wait: bool = True) -> None:
    """Until `file` and all copies of its descriptor are closed."""
    if fcntl:
        fcntl.flock(file, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB))


def _evict(folder: Path) -> None:
    """Removes what was used longest ago of what nobody asked for, until the rest takes at most `LIMIT` bytes."""
    for path in surplus(folder.glob("[!.]*.pixels"), LIMIT, largest=SMALL):
        with suppress(OSError), _alone(path, wait=False):  # in use, and so it stays
            with path.open("rb") as file:
                _lock(file, wait=False)
            path.unlink()


def _build(
    path: Path, records: Sequence[Record], preprocessing: Preprocessing, workers: int, progress: Progress
) -> None:
    count = len(records)
    with processes(workers if count >= FEW else 0) as run:
        measured = run(partial(measure, preprocessing=preprocessing), records)
        shapes = list(_told(measured, lambda done: progress(done, 2 * count)))
        ends = np.cumsum([0, *map(_size, shapes)], dtype=np.int64).tolist()
        _check_room(path.parent, ends[-1], count)
        places = [shape and _Place(start, shape) for start, shape in zip(ends[:-1], shapes, strict=True)]
        with replacing(path) as temporary:
            _reserve(temporary, ends[-1])
            fill = partial(_fill, path=temporary, preprocessing=preprocessing)
            filled = run(fill, zip(records, places, strict=True))
            kept = list(_told(filled, lambda done: progress(count + done, 2 * count)))
            _append_index(temporary, kept)


def _append_index(path: Path, places: Sequence[_Place | None]) -> None:
    index = json.dumps([place and (place.start, place.shape) for place in places]).encode()
    with path.open("ab") as file:
        file.write(index + len(index).to_bytes(8, "little"))


def _told(results: Iterator[R], tell: Callable[[int], object]) -> Iterator[R]:
    for done, result in enumerate(results, start=1):
        tell(done)
        yield result


def measure(record: Record, preprocessing: Preprocessing) -> Shape | None:
    """The shape (T, 3, h, w) of a video's frames once they are resized; None if it cannot be read."""
    try:
        video = open_video(record.path, record.num_frames, record.template)
        _, channels, height, width = preprocessing.shrink(video.frames([0])).shape
    except UnreadableVideoError:
        return None
    return len(video), channels, height, width


def _size(shape: Shape | None) -> int:
    return prod(shape) if shape else 0


def _check_room(folder: Path, needed: int, videos: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise OSError(
            f"the pixels of {videos:,} videos take {needed:,} bytes in {folder}, where {free:,} are free; "
            "make room, let FFN_CACHE name another place, or decode anew every time (cache=False, --cache off)"
        )


def _reserve(path: Path, size: int) -> None:
    """A file of `size` bytes whose room nobody else can take."""
    with path.open("wb") as file:
        if size and hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)


def _fill(job: tuple[Record, _Place | None], *, path: Path, preprocessing: Preprocessing) -> _Place | None:
    """Writes one video's frames in their place and returns that; None if they cannot be read."""
    record, place = job
    if place is None:
        return None
    try:
        video = open_video(record.path, record.num_frames, record.template)
        pixels = preprocessing.shrink(video.frames(range(len(video)))).numpy()
    except UnreadableVideoError:
        return None
    if pixels.shape != place.shape:
        return None
    with path.open("r+b") as file:  # not through a map: a full disk is then an error, not the end of the process
        file.seek(place.start)
        file.write(np.ascontiguousarray(pixels).data)
    return place
