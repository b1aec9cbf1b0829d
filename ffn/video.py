"""Decoding. Nothing else in the project opens a video, or the images that were extracted from one."""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import av
import numpy as np
from PIL import Image, UnidentifiedImageError

try:
    import decord
except ImportError:  # no wheel for this platform: PyAV reads everything, more slowly
    decord = None
else:
    decord.logging.set_level(decord.logging.QUIET)

DECORD_ERRORS = (RuntimeError, IndexError, *((decord.DECORDError,) if decord else ()))

T = TypeVar("T")
IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
TEMPLATE = re.compile(r"(?P<before>[^{}]*)\{:(?:0\d+)?d\}(?P<after>[^{}]*)")  # of the names of extracted frames
_FLOW = re.compile(r"flow(?![a-z])", re.IGNORECASE)
_NUMBERED = re.compile(r"([^{}]*?)(\d+)(\.\w+)")
SEEKABLE = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm")  # by FFmpeg's names; elsewhere decord's seeks go astray


class UnreadableVideoError(ValueError):
    """A file that cannot be decoded, with the path and the reason in one line."""


class Video:
    """One video file: its length, and any of its frames.

    decord decodes wherever it is exact. PyAV, reading from the start, takes over where decord has no decoder (AV1) or
    returns wrong frames without a word: after a seek in open groups of pictures, in containers without reliable
    timestamps (AVI, MPEG-TS), in images narrower than 64 pixels.
    Open it where it is used: a reader does not survive a fork and cannot be pickled.

    Raises:
        UnreadableVideoError: when the file is missing, is no video, is cut off, or breaks while it is read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not os.path.isfile(path):
            raise UnreadableVideoError(f"{self.path}: no such file")
        try:
            survey = _survey(self.path)
        except (av.FFmpegError, ValueError) as error:
            raise UnreadableVideoError(f"{self.path}: {_reason(error)}") from None
        if survey.cut_off:
            raise UnreadableVideoError(f"{self.path}: is cut off or damaged after {survey.length} frames")
        if not survey.length:
            raise UnreadableVideoError(f"{self.path}: holds no video frames")
        self._length = survey.length
        self._read = (self._with_decord() if survey.seekable else None) or self._read_in_order

    def __len__(self) -> int:
        return self._length

    def frames(self, indices: Iterable[int]) -> np.ndarray:
        """RGB frames (N, H, W, 3), uint8, at increasing `indices`, in one pass."""
        wanted = [int(index) for index in indices]
        try:
            frames = self._read(wanted)
        except (*DECORD_ERRORS, av.FFmpegError, ValueError) as error:
            raise UnreadableVideoError(f"{self.path}: {_reason(error)}") from None
        if len(frames) != len(wanted):
            raise UnreadableVideoError(f"{self.path}: ends before frame {max(wanted)}, it is cut off")
        return frames

    def verify(self) -> None:
        """Decodes all frames, to find damage that `frames` may hide: a decoder fills holes from what is around them.

        Raises:
            UnreadableVideoError: when FFmpeg knows that a frame is damaged.
        """
        try:
            for _ in self._decoded():
                pass
        except (av.FFmpegError, ValueError) as error:
            raise UnreadableVideoError(f"{self.path}: {_reason(error)}") from None

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """All frames in order, until one is damaged."""
        with _opened(self.path) as container:
            container.streams.video[0].thread_type = "NONE"  # slices decoded side by side tell of no damage
            for index, frame in enumerate(container.decode(video=0)):
                if frame.is_corrupt:
                    raise ValueError(f"frame {index} is damaged")
                yield frame

    def _with_decord(self) -> "Callable[[list[int]], np.ndarray] | None":
        if decord is None:
            return None
        try:
            reader = decord.VideoReader(os.path.abspath(self.path), num_threads=1)
        except (*DECORD_ERRORS, UnicodeEncodeError):  # it takes no path that is not UTF-8
            return None
        return (lambda indices: reader.get_batch(indices).asnumpy()) if len(reader) == self._length else None

    def _read_in_order(self, indices: list[int]) -> np.ndarray:
        wanted = set(indices)
        decoded = enumerate(islice(self._decoded(), indices[-1] + 1))
        frames = [_upright(frame) for index, frame in decoded if index in wanted]
        return np.stack(frames) if frames else np.empty((0, 0, 0, 3), np.uint8)


def _opened(path: Path) -> av.container.InputContainer:
    return av.open(os.path.abspath(path))  # what stands before a colon in a relative path may be a protocol to FFmpeg


def _upright(frame: av.VideoFrame) -> np.ndarray:
    """The pixels of a frame, turned as the file says that players should."""
    return np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))


class Frames:
    """A folder of extracted frames, read like a `Video`.

    Files are numbered from 1, as in TSN's lists; from 0 where there is a file 0 and none with the number `num_frames`.

    Args:
        num_frames: as a list says; by default what the folder holds.
        template: of the file names, such as "{:05d}.jpg"; by default what the folder shows.

    Raises:
        UnreadableVideoError: when the folder or a frame is missing, or an image cannot be decoded.
    """

    def __init__(self, path: str | Path, num_frames: int | None = None, template: str = "") -> None:
        self.path = Path(path)
        if not os.path.isdir(path):
            raise UnreadableVideoError(f"{self.path}: no such folder of frames")
        try:
            names = set(os.listdir(path))
        except OSError as error:
            raise UnreadableVideoError(f"{self.path}: cannot be opened ({error.strerror})") from None
        self.template = template or template_of(names)
        self.there = there = count_frames(names, self.template)  # perhaps more than the list says
        if not there:
            raise UnreadableVideoError(f"{self.path}: holds no frames like {self.template or '00001.jpg'}")
        self._length = num_frames or there
        name = self.template.format
        self._first = 0 if name(0) in names and name(self._length) not in names else 1
        if self._length > there:
            raise UnreadableVideoError(f"{self.path}: holds {there} frames, not {self._length} as its list says")
        gap = next((i for i in range(self._length) if name(self._first + i) not in names), None)
        if gap is not None:
            raise UnreadableVideoError(f"{self._file(gap)}: no such frame")

    def __len__(self) -> int:
        return self._length

    def frames(self, indices: Iterable[int]) -> np.ndarray:
        """RGB frames (N, H, W, 3), uint8, at `indices`."""
        images = [self._read(int(index), _pixels) for index in indices]
        self._check_sizes(image.shape[1::-1] for image in images)
        return np.stack(images) if images else np.empty((0, 0, 0, 3), np.uint8)

    def verify(self) -> None:
        """Finds that every frame is an image, and all are of one size; the pixels are not decoded.

        Raises:
            UnreadableVideoError: when they are not.
        """
        self._check_sizes(self._read(index, lambda image: image.size) for index in range(len(self)))

    def _file(self, index: int) -> Path:
        return self.path / self.template.format(self._first + index)

    def _read(self, index: int, what: Callable[[Image.Image], T]) -> T:
        path = self._file(index)
        try:
            with Image.open(path) as image:
                return what(image)
        except FileNotFoundError:
            raise UnreadableVideoError(f"{path}: no such frame") from None
        except UnidentifiedImageError:
            raise UnreadableVideoError(f"{path}: is no image") from None
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise UnreadableVideoError(f"{path}: {_reason(error)}") from None

    def _check_sizes(self, sizes: Iterable[tuple[int, ...]]) -> None:
        if len(several := set(sizes)) > 1:
            raise UnreadableVideoError(f"{self.path}: its frames have several sizes, {sorted(several)} pixels")


def _pixels(image: Image.Image) -> np.ndarray:
    """RGB pixels (H, W, 3), uint8."""
    if image.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off at 255
        return np.repeat((np.asarray(image) >> 8).astype(np.uint8)[:, :, None], 3, axis=2)
    return np.asarray(image.convert("RGB"))


def open_video(path: Path, num_frames: int | None = None, template: str = "") -> "Video | Frames":
    """The reader of a video file or of a folder of extracted frames.

    Raises:
        UnreadableVideoError: when there is nothing to read.
    """
    return Frames(path, num_frames, template) if template or os.path.isdir(path) else Video(path)


def is_clip_folder(path: Path) -> bool:
    """Whether this is a folder with images in it, hidden ones aside; or one that cannot be looked into."""
    if not os.path.isdir(path):
        return False
    try:
        return any(map(_is_image, os.listdir(path)))
    except PermissionError:
        return True


def _is_image(name: str) -> bool:
    return name.lower().endswith(IMAGES) and name[0] != "."


def template_of(names: Iterable[str]) -> str:
    """The template that the names of numbered images follow, such as "{:05d}.jpg"; "" if there are none.

    Of several the one that most follow; optical flow is taken only where there is nothing else (TSN's tools put
    img_00001.jpg, flow_x_00001.jpg and flow_y_00001.jpg into one folder).
    """
    found: dict[tuple[str, str], list[str]] = {}
    for match in filter(None, map(_NUMBERED.fullmatch, filter(_is_image, sorted(names)))):
        found.setdefault((match[1], match[3]), []).append(match[2])
    if not found:
        return ""
    before, after = max(found, key=lambda ends: (not _FLOW.match(ends[0]), len(found[ends])))
    numbers = found[before, after]
    widths = sorted(set(map(len, numbers)))
    width = max(widths, key=lambda width: sum(f"{int(number):0{width}d}" == number for number in numbers))
    return f"{before}{{:0{width}d}}{after}"


def count_frames(names: Iterable[str], template: str) -> int:
    """How many of the names a template gives, each for its number."""
    match = TEMPLATE.fullmatch(template)
    if not match:
        return 0
    numbered = re.compile(rf"{re.escape(match['before'])}(\d+){re.escape(match['after'])}")
    found = ((name, numbered.fullmatch(name)) for name in names)
    return sum(template.format(int(number[1])) == name for name, number in found if number)


@dataclass(frozen=True)
class _Survey:
    """What the packets of a file say, before anything is decoded."""

    length: int  # frames
    cut_off: bool
    seekable: bool  # decord returns the right frames


def _survey(path: Path) -> _Survey:
    with _opened(path) as container:
        if not container.streams.video:
            raise ValueError("it has no video stream")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise ValueError("its codec is unknown")
        packets = [packet for packet in container.demux() if packet.size]
        own = [packet for packet in packets if packet.stream.index == stream.index]
        return _Survey(
            length=sum(not packet.is_discard for packet in own),  # others lie before the place where the video was cut
            cut_off=any(packet.is_corrupt for packet in packets) or _ends_early(container, packets),
            seekable=container.format.name in SEEKABLE
            and stream.width >= 64
            and not _has_open_groups(own)
            and not _is_turned(container),
        )


def _ends_early(container: Any, packets: Sequence[Any]) -> bool:
    """Whether a Matroska or WebM file holds less than the duration in its header; it shows no other sign of a cut."""
    if container.format.name != "matroska,webm" or not container.duration:
        return False
    ends = [(packet.pts + (packet.duration or 0)) * packet.time_base for packet in packets if packet.pts is not None]
    return float(max(ends, default=0)) < 0.98 * container.duration / av.time_base - 0.02


def _is_turned(container: Any) -> bool:
    """Whether players turn the frames of a Matroska file from a camera; decord does so in MP4 alone."""
    codec = container.streams.video[0].codec_context.name
    if container.format.name != "matroska,webm" or codec not in ("h264", "hevc"):
        return False
    container.seek(0)
    first = next(container.decode(video=0), None)
    return first is not None and first.rotation != 0


def _has_open_groups(packets: Sequence[Any]) -> bool:
    """Whether some frame is shown before the key frame that it follows in the file."""
    key = None
    for packet in packets:
        if packet.pts is None:
            return True
        if packet.is_keyframe:
            key = packet.pts
        elif key is not None and packet.pts < key:
            return True
    return False


def _reason(error: Exception) -> str:
    if isinstance(error, av.FFmpegError):
        return f"cannot be decoded ({error.strerror})"
    if isinstance(error, DECORD_ERRORS):  # their texts are places in decord's source
        return "cannot be decoded, it is damaged"
    return f"cannot be decoded ({error})"
