"""Decoding. Nothing else in the project opens a video."""

from collections.abc import Callable, Iterable
from pathlib import Path

import av
import numpy as np

try:
    import decord
except ImportError:  # no wheel for this platform: PyAV reads everything, more slowly
    decord = None
else:
    decord.logging.set_level(decord.logging.QUIET)

DECORD_ERRORS = (RuntimeError, IndexError, *((decord.DECORDError,) if decord else ()))


class UnreadableVideoError(ValueError):
    """A file that cannot be decoded, with the path and the reason in one line."""


class Video:
    """One video file: its length, and any of its frames.

    decord decodes wherever it is exact. PyAV, reading from the start, takes over where decord has no decoder (AV1,
    MPEG-TS) and for open groups of pictures, in which decord returns wrong frames after a seek.
    Open it where it is used: a reader does not survive a fork and cannot be pickled.

    Raises:
        UnreadableVideoError: when the file is missing, is no video, or breaks while it is read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise UnreadableVideoError(f"{self.path}: no such file")
        self._length, self._read = self._with_decord() or self._with_av()
        if not self._length:
            raise UnreadableVideoError(f"{self.path}: holds no video frames")

    def __len__(self) -> int:
        return self._length

    def frames(self, indices: Iterable[int]) -> np.ndarray:
        """RGB frames (N, H, W, 3), uint8, at increasing `indices`, in one pass."""
        wanted = [int(index) for index in indices]
        try:
            frames = self._read(wanted)
        except (*DECORD_ERRORS, av.FFmpegError) as error:
            raise UnreadableVideoError(f"{self.path}: {_reason(error)}") from None
        if len(frames) != len(wanted):
            raise UnreadableVideoError(f"{self.path}: ends before frame {max(wanted)}, it is cut off")
        return frames

    def _with_decord(self) -> "tuple[int, Callable[[list[int]], np.ndarray]] | None":
        if decord is None:
            return None
        try:
            reader = decord.VideoReader(str(self.path), num_threads=1)
            if len(reader.get_key_indices()) > 1 and _has_open_groups(self.path):
                return None
        except DECORD_ERRORS:
            return None
        return len(reader), lambda indices: reader.get_batch(indices).asnumpy()

    def _with_av(self) -> "tuple[int, Callable[[list[int]], np.ndarray]]":
        try:
            with av.open(str(self.path)) as container:
                length = sum(packet.size > 0 for packet in container.demux(video=0))
        except (av.FFmpegError, IndexError, ValueError) as error:
            raise UnreadableVideoError(f"{self.path}: {_reason(error)}") from None
        return length, self._read_in_order

    def _read_in_order(self, indices: list[int]) -> np.ndarray:
        wanted, frames = set(indices), []
        with av.open(str(self.path)) as container:
            for index, frame in enumerate(container.decode(video=0)):
                if index in wanted:
                    frames.append(frame.to_ndarray(format="rgb24"))
                if index >= indices[-1]:
                    break
        return np.stack(frames) if frames else np.empty((0, 0, 0, 3), np.uint8)


def _has_open_groups(path: Path) -> bool:
    """Whether some frame is shown before the key frame that it follows in the file."""
    key = None
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            if packet.pts is None:
                continue
            if packet.is_keyframe:
                key = packet.pts
            elif key is not None and packet.pts < key:
                return True
    return False


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"cannot be decoded ({lines[-1].strip()[:120]})" if lines else "cannot be decoded"
