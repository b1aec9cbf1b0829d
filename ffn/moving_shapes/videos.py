"""The data set on disk: H.264 files and a manifest per split, rendered in parallel, whatever is missing."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from ffn.files import cache_folder, replacing, write_csv
from ffn.moving_shapes.clips import MIDDLE, frames_sha256, render
from ffn.moving_shapes.motions import CLASSES
from ffn.moving_shapes.raster import FPS, SIZE
from ffn.processes import parallel

VERSION = "v1"  # names the folder: change it whenever a seed would render other frames


@dataclass(frozen=True)
class Split:
    """A part of the data: clip `index` has the seed `seed + index` and the label `CLASSES[index % 16]`."""

    seed: int
    per_class: int


SPLITS = {
    "train": Split(seed=1_000_000, per_class=150),
    "val": Split(seed=2_000_000, per_class=30),
    "test": Split(seed=3_000_000, per_class=60),
}


class Clip(NamedTuple):
    folder: Path
    path: str  # relative to the folder
    label: str
    seed: int

    def row(self) -> dict[str, str | int]:
        return {"path": self.path, "label": self.label, "seed": self.seed}


def prepare(
    split: str,
    root: Path | None = None,
    *,
    clips_per_class: int | None = None,
    workers: int = 2,
    progress: Callable[[int, int], object] | None = None,
) -> Path:
    """Make sure that the videos of a split exist, and return the path of the CSV file that lists them.

    Its columns are path (relative to the CSV file), label, seed and frames_sha256 (of the frames before they
    were encoded). `clips_per_class` asks for the first few clips only, listed in a file of their own.
    Whatever an earlier or a killed run has left is used; several processes may prepare at the same time.
    `progress` is called with (clips done, clips in all).

    Raises ValueError if there is no such split or it has fewer than `clips_per_class` clips in each class.
    """
    count = check_request(split, clips_per_class)
    folder = (root or cache_folder()) / f"moving_shapes-{VERSION}"
    manifest = folder / (f"{split}.csv" if clips_per_class is None else f"{split}-{clips_per_class}.csv")
    clips = list_clips(split, folder, count)
    if not is_complete(manifest, clips):
        hashes = make(clips, workers, progress)
        write_csv(manifest, [{**clip.row(), "frames_sha256": hashes[clip]} for clip in clips])
    return manifest


def check_request(split: str, clips_per_class: int | None) -> int:
    if split not in SPLITS:
        raise ValueError(f"No split is called {split!r}; choose one of {', '.join(SPLITS)}.")
    most = SPLITS[split].per_class
    if clips_per_class is not None and not 1 <= clips_per_class <= most:
        raise ValueError(
            f"clips_per_class is {clips_per_class}, but the split {split!r} has {most} clips in each class;"
            f" choose a number from 1 to {most}, or None for all."
        )
    return most if clips_per_class is None else clips_per_class


def list_clips(split: str, folder: Path, per_class: int) -> list[Clip]:
    """The classes take turns, so that the first 16 n clips hold n of each."""
    start = SPLITS[split].seed
    labels = enumerate(CLASSES * per_class, start)
    return [Clip(folder, f"{split}/{label}/{seed}.mp4", label, seed) for seed, label in labels]


def is_complete(manifest: Path, clips: list[Clip]) -> bool:
    if not manifest.exists():
        return False
    with manifest.open(newline="", encoding="utf-8") as file:
        listed = [row[0] for row in csv.reader(file)][1:]
    return listed == [clip.path for clip in clips] and all((clip.folder / clip.path).exists() for clip in clips)


def make(clips: list[Clip], workers: int, progress: Callable[[int, int], object] | None) -> dict[Clip, str]:
    """Render the clips that are missing; the frames_sha256 of all."""
    found = ((clip, read_comment(clip.folder / clip.path)) for clip in clips)
    hashes = {clip: comment for clip, comment in found if comment}
    missing = [clip for clip in clips if clip not in hashes]
    for clip, digest in parallel(render_to_file, missing, workers):
        hashes[clip] = digest
        if progress:
            progress(len(hashes), len(clips))
    return hashes


def render_to_file(clip: Clip) -> tuple[Clip, str]:
    frames = render(clip.seed, clip.label)
    digest = frames_sha256(frames)
    encode(frames, clip.folder / clip.path, comment=digest)
    return clip, digest


def encode(frames: np.ndarray, path: Path, comment: str) -> None:
    """Write frames as H.264 in an MP4 file, whole or not at all, with a comment in its metadata."""
    options = {"preset": "fast", "threads": "1", "flags": "+cgop"}
    # The middle frame owes nothing to the motion around it: it starts a closed group of pictures, at a constant
    # quantiser. A constant rate factor would spend its bits according to what comes next.
    options |= {"g": str(MIDDLE), "sc_threshold": "0", "qp": "20"}
    with replacing(path) as unfinished, av.open(str(unfinished), "w", format="mp4") as video:
        video.metadata["comment"] = comment
        stream = video.add_stream("libx264", rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuv420p"
        for frame in frames:
            video.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        video.mux(stream.encode())


def read_comment(path: Path) -> str | None:
    """The comment `encode` wrote; None if there is no such file or it is not a video."""
    try:
        with av.open(str(path)) as video:
            return video.metadata.get("comment")
    except (OSError, av.FFmpegError):
        return None
