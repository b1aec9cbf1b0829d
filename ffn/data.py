"""Clips: labelled videos from a folder or a manifest, sampled at several frame counts from one decode.

Shapes: B clips, T frames, U distinct frames of a video, H height, W width.
"""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ffn.checkpoint import preprocessing as of_card
from ffn.sampling import stream_indices
from ffn.transforms import Preprocessing
from ffn.video import UnreadableVideoError, Video

SUFFIXES = (".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v", ".ts", ".mpg", ".mpeg")


class DataError(ValueError):
    """A folder, manifest or label that cannot be used, with the way out."""


@dataclass(frozen=True)
class Sample:
    """One labelled video's frames, uint8 (U, 3, H, W), and where each stream's frames are among them."""

    index: int
    label: int
    images: Tensor
    places: list[np.ndarray]


@dataclass(frozen=True)
class Unreadable:
    """A video that was skipped, and why."""

    index: int
    reason: str


@dataclass(frozen=True)
class Batch:
    """Videos that were decoded together; `stream` gives the clips of one frame count."""

    samples: list[Sample]
    unreadable: list[Unreadable]
    frames: tuple[int, ...]
    preprocessing: Preprocessing

    def __len__(self) -> int:
        return len(self.samples)

    @cached_property
    def labels(self) -> Tensor:
        """Class indices (B,)."""
        return torch.tensor([sample.label for sample in self.samples])

    @cached_property
    def indices(self) -> list[int]:
        """Positions (B,) of the videos in their `Clips`."""
        return [sample.index for sample in self.samples]

    def stream(self, num_frames: int, device: torch.device | str = "cpu") -> Tensor:
        """Normalised clips (B, T, 3, H, W) at one of the frame counts of the data."""
        stream = self.frames.index(num_frames)
        clips = torch.stack([sample.images[sample.places[stream]] for sample in self.samples])
        return self.preprocessing.normalise(clips.to(device))


class Clips(Dataset[Sample | Unreadable]):
    """Labelled videos as clips of every count in `frames`, each video decoded once.

    `source` is a folder of `class/video.mp4` files, or a CSV manifest with columns `path` (relative to the manifest)
    and `label` (a class name). Frames are segment centres and the centre crop; with a `seed` they are drawn at random,
    anew for every `epoch`, one crop and flip for all streams of a video.

    Args:
        classes: names in the order of the network's outputs; by default those of the data, sorted.
        cache: keep every video's resized frames in memory after the first decode.

    Raises:
        DataError: when there is no such source, no video in it, or a label outside `classes`.
    """

    def __init__(
        self,
        source: str | Path,
        *,
        frames: Sequence[int],
        preprocessing: Preprocessing,
        classes: Sequence[str] | None = None,
        seed: int | None = None,
        flip: bool = False,
        cache: bool = False,
    ) -> None:
        self.source = Path(source).expanduser()
        self.frames = tuple(frames)
        self.preprocessing = preprocessing
        self.videos = list_videos(self.source)
        self.classes = tuple(classes or sorted({label for _, label, _ in self.videos}))
        self.labels = self._number(self.classes)
        self.seed, self.flip, self.epoch = seed, flip, 0
        self._cache: dict[int, Tensor] | None = {} if cache else None

    def _number(self, classes: tuple[str, ...]) -> list[int]:
        number = {name: i for i, name in enumerate(classes)}
        unknown = sorted({label for _, label, _ in self.videos} - number.keys())
        if unknown:
            raise DataError(
                f"{self.source} has {len(unknown)} labels that the network's {len(classes)} classes lack "
                f"({', '.join(unknown[:3])}{', ...' if len(unknown) > 3 else ''}; its classes are "
                f"{', '.join(classes[:3])}{', ...' if len(classes) > 3 else ''}); "
                "use data with these classes, or a checkpoint trained on this data"
            )
        return [number[label] for _, label, _ in self.videos]

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> Sample | Unreadable:
        rng = None if self.seed is None else np.random.default_rng((self.seed, self.epoch, index))
        try:
            images, places = self._images(index, rng)
        except UnreadableVideoError as error:
            return Unreadable(index, str(error))
        images = self.preprocessing.cut(images, rng, flip=self.flip)
        return Sample(index, self.labels[index], images, places)

    def _images(self, index: int, rng: np.random.Generator | None) -> tuple[Tensor, list[np.ndarray]]:
        if self._cache is not None:
            everything = self._remembered(index)
            wanted, places = stream_indices(len(everything), self.frames, rng)
            return everything[wanted], places
        video = Video(self.path(index))
        wanted, places = stream_indices(len(video), self.frames, rng)
        return self.preprocessing.shrink(video.frames(wanted)), places

    def _remembered(self, index: int) -> Tensor:
        assert self._cache is not None
        if index not in self._cache:
            video = Video(self.path(index))
            self._cache[index] = self.preprocessing.shrink(video.frames(range(len(video))))
        return self._cache[index]

    def path(self, index: int) -> Path:
        """The file of one video."""
        return self.videos[index][0]

    def collate(self, items: Sequence[Sample | Unreadable]) -> Batch:
        """A `Batch` of what could be read, with the names of what could not."""
        samples = [item for item in items if isinstance(item, Sample)]
        unreadable = [item for item in items if isinstance(item, Unreadable)]
        return Batch(samples, unreadable, self.frames, self.preprocessing)

    def loader(self, batch_size: int, *, shuffle: bool = False, workers: int = 0, **kwargs: Any) -> DataLoader:
        """Batches of these clips; with `shuffle` in an order drawn from seed and epoch, the last small one dropped."""
        generator = torch.Generator().manual_seed(hash((self.seed or 0, self.epoch)) % 2**62)
        return DataLoader(
            self,
            batch_size=batch_size,
            shuffle=shuffle,
            drop_last=shuffle and len(self) >= batch_size,
            num_workers=workers,
            collate_fn=self.collate,
            generator=generator,
            **kwargs,
        )

    @cached_property
    def digest(self) -> str:
        """Hash of the videos, labels and manifest, the key of everything that is remembered about this data.

        Where the manifest has the hash of the frames before encoding (the embedded data) that stands for the video,
        elsewhere its size and its first and last 64 KiB do.
        """
        lines = sorted(f"{label} {content or _fingerprint(path)}" for path, label, content in self.videos)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def list_videos(source: Path) -> list[tuple[Path, str, str]]:
    """Path, label and content hash ("" if unknown) of every video of a folder or manifest, sorted by path."""
    if source.is_dir():
        found = [p for p in sorted(source.glob("*/*")) if p.suffix.lower() in SUFFIXES]
        videos = [(path, path.parent.name, "") for path in found]
        empty = f"{source} holds no videos: expected files like {source.name}/class_name/video.mp4"
    elif source.is_file():
        videos = _read_manifest(source)
        empty = f"the manifest {source} lists no videos"
    else:
        raise DataError(f"no such folder or manifest: {source}")
    if not videos:
        raise DataError(empty)
    return videos


def _read_manifest(source: Path) -> list[tuple[Path, str, str]]:
    try:
        with source.open(newline="", encoding="utf-8-sig") as file:  # a spreadsheet may add a mark
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error):
        raise DataError(f"{source} is not a CSV text file; a manifest has the columns path and label") from None
    videos = []
    for line, row in enumerate(rows, start=2):
        if not row.get("path") or not row.get("label"):
            raise DataError(f"{source}, line {line}: a manifest needs the columns path and label in every line")
        videos.append((source.parent / row["path"], row["label"], row.get("frames_sha256") or ""))
    return videos


def _fingerprint(path: Path, edge: int = 2**16) -> str:
    if not path.is_file():
        return "missing"
    with path.open("rb") as file:
        head = file.read(edge)
        size = file.seek(0, 2)
        file.seek(max(len(head), size - edge))
        return hashlib.sha256(b"%d %b %b" % (size, head, file.read())).hexdigest()


def clips_for(card: Mapping[str, Any], source: str | Path, frames: Sequence[int]) -> Clips:
    """The data at `source` as the network of a card wants it.

    A card without class names takes the classes of the data, sorted, in the order of its outputs.

    Raises:
        DataError: when there is no such data, or its classes are not those of the card.
    """
    clips = Clips(source, frames=frames, preprocessing=of_card(card), classes=card.get("classes"))
    if len(clips.classes) > card["num_classes"]:
        raise DataError(
            f"{source} has {len(clips.classes)} classes, the network {card['num_classes']}; "
            "use data with its classes, or a checkpoint trained on this data"
        )
    return clips
