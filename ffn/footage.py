"""One video, of which frames are decoded when they are first needed and kept as the network wants them.

Shapes: T frames, h x w pixels of a preprocessed frame.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ffn.progress import Progress
from ffn.sampling import segment_indices
from ffn.transforms import Preprocessing
from ffn.video import open_video

LARGEST_READ = 2**27  # bytes of full-size frames that are in memory at once


class Reader(Protocol):
    """A video of which any frames can be read: `ffn.video.Video` or `Frames`, for instance."""

    def __len__(self) -> int: ...

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        """RGB frames (N, H, W, 3), uint8, at increasing `indices`."""


class Footage:
    """A video file, a folder of extracted frames, or an open reader, and those of its frames that were needed so far.

    Raises:
        UnreadableVideoError: when there is nothing to read.
    """

    def __init__(self, video: str | Path | Reader, preprocessing: Preprocessing) -> None:
        self.reader: Reader = open_video(Path(video)) if isinstance(video, str | Path) else video
        self.preprocessing = preprocessing
        self.images: dict[int, Tensor] = {}  # uint8 (3, h, w), by the number of the frame
        self.length = len(self.reader)

    def decode(self, indices: Iterable[int], *, progress: Progress | None = None) -> None:
        """Makes sure that some frames are there; of full-size ones no more than 128 MiB are in memory at once.

        `progress` is called with (frames done, frames in all).

        Raises:
            UnreadableVideoError: when one of them cannot be decoded.
        """
        missing = sorted(set(map(int, indices)) - self.images.keys())
        done, step = 0, 1  # the first frame tells the size
        while done < len(missing):
            part = missing[done : done + step]
            frames = self.reader.frames(part)
            images = self.preprocessing.cut(self.preprocessing.shrink(frames)).clone()
            self.images.update(zip(part, images, strict=True))
            done, step = done + len(part), max(1, LARGEST_READ // frames[0].nbytes)
            if progress:
                progress(done, len(missing))

    def clip(self, num_frames: int) -> Tensor:
        """The normalised clip (1, T, 3, h, w) of the segment centres, as `Clips` gives it."""
        return self.stack(segment_indices(self.length, num_frames).tolist()).unsqueeze(0)

    def stack(self, indices: Sequence[int]) -> Tensor:
        """Normalised frames (N, 3, h, w) at `indices`."""
        self.decode(indices)
        return self.preprocessing.normalise(torch.stack([self.images[index] for index in indices]))
