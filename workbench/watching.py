"""One video looked at from all sides, and one that a camera is still making."""

import base64
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ffn.card import class_names
from ffn.footage import Footage
from ffn.model import FrameFlexible
from ffn.progress import Progress, Report
from ffn.sampling import stream_indices
from ffn.streaming import Stream
from ffn.transforms import Preprocessing
from ffn.video import UnreadableVideoError
from workbench import analysis
from workbench.background import Task, in_turn

LONGEST = 256  # frames that are taken from a camera, half a minute
RATE = 8  # of them a second
SMALLEST = 128  # pixels of their short side at least

Opened = AbstractContextManager[Footage]  # while it is entered, frames can be read


@dataclass(frozen=True)
class Watched:
    """What a network says of one video: the tables of `analysis.answers`, `arrivals` and `passes`."""

    footage: Footage
    answers: pd.DataFrame
    arrivals: pd.DataFrame
    passes: pd.DataFrame


def watch(
    model: FrameFlexible,
    answering: Callable[[Progress], FrameFlexible],
    video: Opened,
    frames: Sequence[int],
    *,
    stage: Report,
) -> Watched:
    """Looks at a video at every count of `frames`, by the network that `answering` gives, and frame by frame.

    Raises:
        UnreadableVideoError: when the video cannot be decoded.
    """
    with video as seen:
        seen.decode(stream_indices(seen.length, frames)[0], progress=partial(stage, "Decoding"))
        network = answering(partial(stage, "Making the network answer every count"))
        return Watched(
            seen,
            analysis.answers(network, seen, frames, progress=partial(stage, "Looking at every number of frames")),
            analysis.arrivals(model, seen, progress=partial(stage, "Looking frame by frame")),
            analysis.passes(model, seen, budget(model.frames)),
        )


def budget(frames: Sequence[int]) -> tuple[int, ...]:
    """Counts to try in turn: the trained ones; a quarter, half and all of a single one."""
    return tuple(frames) if len(frames) > 1 else tuple(sorted({max(1, frames[0] // part) for part in (4, 2, 1)}))


@contextmanager
def uploaded(content: bytes, name: str, preprocessing: Preprocessing) -> Iterator[Footage]:
    """The footage of an uploaded file, which is on disk only while this lasts.

    Raises:
        UnreadableVideoError: when it cannot be decoded.
    """
    handle, path = tempfile.mkstemp(suffix=Path(name).suffix)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        yield Footage(path, preprocessing)
    except UnreadableVideoError as error:
        raise UnreadableVideoError(f"{str(error).replace(path, name)}; try another .mp4, .mov or .webm file") from None
    finally:
        with suppress(OSError):
            os.remove(path)


class Recording:
    """What a camera has shown so far, and what a network says of it after every few frames; a `Reader` of those frames.

    At most `LONGEST` frames are kept. Predictions are made in a thread of their own, as fast as the network can.
    """

    def __init__(self, model: FrameFlexible) -> None:
        self.images: list[np.ndarray] = []  # uint8 (H, W, 3)
        self.done = False
        self._names = class_names(model.card)
        self._stream = Stream(model)
        self._said: list[tuple[int, np.ndarray]] = []
        self._task: Task | None = None

    def __len__(self) -> int:
        return len(self.images)

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        return np.stack([self.images[index] for index in indices])

    def feed(self, first: int, pictures: Sequence[str], *, done: bool) -> None:
        """Takes pictures, data URLs, the first of which is frame `first`; those that came before are passed over."""
        new = pictures[len(self.images) - first :][: LONGEST - len(self.images)]
        self.images += [_picture(url) for url in new]
        self.done = done or len(self.images) >= LONGEST
        if not (self.done or (self._task and self._task.running)):
            self._task = Task(in_turn(self._look)).start()

    def cancel(self) -> None:
        if self._task:
            self._task.cancel()

    def table(self) -> pd.DataFrame | None:
        """That of `analysis.arrivals`, of the frames that the network has seen; None before the first."""
        said = list(self._said)
        if not said:
            return None
        moments, rows = zip(*said, strict=True)
        return analysis.likeliest(np.stack(rows), self._names, "frame", moments)

    def _look(self, progress: Progress) -> None:
        while (seen := self._stream.pushed) < len(self.images):
            for image in self.images[seen:]:
                self._stream.push(image)
            self._said.append((self._stream.pushed, self._stream.predict().softmax(-1).numpy()))
            progress(self._stream.pushed, LONGEST)


def _picture(url: str) -> np.ndarray:
    """The pixels (H, W, 3) of an image in a data URL.

    Raises:
        ValueError: when it holds none.
    """
    try:
        with Image.open(BytesIO(base64.b64decode(url.partition(",")[2]))) as image:
            return np.array(image.convert("RGB"))
    except (OSError, ValueError) as error:
        raise ValueError(f"the camera sent something that is no image ({error})") from None
