"""Which frames of a video a stream sees."""

from collections.abc import Sequence

import numpy as np


def segment_indices(total: int, num_frames: int, rng: np.random.Generator | None = None) -> np.ndarray:
    """Indices (num_frames,) of one frame from each of `num_frames` equal segments of a video of `total` frames.

    The centre of each segment, or a random place in it when `rng` is given (TSN sampling, paper section 5.1).
    Indices never decrease; a video shorter than `num_frames` repeats frames.

    Raises:
        ValueError: unless both numbers are at least 1.
    """
    if total < 1 or num_frames < 1:
        raise ValueError(f"cannot take {num_frames} frames from a video of {total}: both must be at least 1")
    place = np.full(num_frames, 0.5) if rng is None else rng.random(num_frames)
    indices = (np.arange(num_frames) + place) * total / num_frames
    return np.minimum(indices.astype(np.int64), total - 1)


def stream_indices(
    total: int, frames: Sequence[int], rng: np.random.Generator | None = None
) -> tuple[np.ndarray, list[np.ndarray]]:
    """The frames that streams of several counts need from one video, for a single pass of decoding.

    Returns the distinct indices (U,) to decode, increasing, and for each count t in `frames` the places (t,) of its
    frames among them.
    """
    streams = [segment_indices(total, t, rng) for t in frames]
    wanted, places = np.unique(np.concatenate(streams), return_inverse=True)
    return wanted, np.split(places, np.cumsum(frames)[:-1])
