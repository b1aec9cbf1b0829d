"""Frames of videos as small pictures: JPEG files of the whole frame, before it is cropped for a network."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from ffn.data import Clips
from ffn.progress import Progress
from ffn.sampling import segment_indices, stream_indices
from ffn.video import Frames, UnreadableVideoError, Video, open_video

SIZE = 192  # pixels, of the longer side


@dataclass(frozen=True)
class Sampled:
    """The frames of one video that clips of several counts are made of."""

    length: int  # frames of the video
    streams: dict[int, list[int]]  # the numbers of the frames, from 0, by frame count
    pictures: dict[int, bytes]  # by the number of the frame


def thumbnails(clips: Clips, indices: Sequence[int], *, progress: Progress) -> dict[int, bytes]:
    """The middle frame of some videos, by position in the data; without those that cannot be read.

    `progress` is called with (videos done, videos in all).
    """
    found = {}
    for done, index in enumerate(indices, start=1):
        try:
            video = _opened(clips, index)
            found[index] = picture(video.frames(segment_indices(len(video), 1))[0])
        except UnreadableVideoError:  # the gallery shows its name
            pass
        progress(done, len(indices))
    return found


def sampled(clips: Clips, index: int, frames: Sequence[int]) -> Sampled:
    """What clips of several frame counts show of one video.

    Raises:
        UnreadableVideoError: when it cannot be decoded.
    """
    video = _opened(clips, index)
    wanted, places = stream_indices(len(video), frames)
    pictures = dict(zip(wanted.tolist(), map(picture, video.frames(wanted)), strict=True))
    streams = {t: wanted[place].tolist() for t, place in zip(frames, places, strict=True)}
    return Sampled(len(video), streams, pictures)


def picture(frame: np.ndarray) -> bytes:
    """A frame (H, W, 3), uint8, as a JPEG file of at most 192 pixels."""
    image, file = Image.fromarray(frame), BytesIO()
    image.thumbnail((SIZE, SIZE))
    image.save(file, "JPEG", quality=88)
    return file.getvalue()


def _opened(clips: Clips, index: int) -> Video | Frames:
    record = clips.videos[index]
    return open_video(record.path, record.num_frames, record.template)
