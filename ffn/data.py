"""Clips: labelled videos of a folder, manifest or list, sampled at several frame counts from one decode.

Shapes: B clips, T frames, U distinct frames of a video, H height, W width.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from ffn.checkpoint import preprocessing as of_card
from ffn.lists import DataError, read_list, some
from ffn.mirroring import mirrored_classes
from ffn.order import InOrder, Shuffled
from ffn.pixels import SMALL, Pixels, estimate, remembered
from ffn.processes import follow_parent, stops_held
from ffn.progress import Progress
from ffn.sampling import stream_indices
from ffn.transforms import Augmentation, Preprocessing
from ffn.video import UnreadableVideoError, open_video


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

    `source` is a folder of `class/video.mp4` files or of `class/clip/*.jpg`, extracted frames; a CSV manifest with
    columns `path` (relative to the manifest) and `label` (a class name); or a list, TSN's or of videos (`ffn.lists`).
    Frames are segment centres and the centre crop; with a `seed` they are drawn at random,
    anew for every `epoch`, one `augmentation` for all streams of a video.

    Args:
        classes: names in the order of the network's outputs; by default those of `classes.txt` beside a manifest or
            list, or else of the data, sorted.
        cache: decode every video once, when the first is asked for or `remember` is called, into a file of resized
            frames that all processes share; "auto": where that takes at most 4 GiB and can be written.

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
        augmentation: Augmentation | None = None,
        cache: bool | Literal["auto"] = False,
    ) -> None:
        self.source = Path(source).expanduser()
        self.frames = tuple(frames)
        self.preprocessing = preprocessing
        listing = read_list(self.source, classes)
        self.videos, self.classes = listing.records, listing.classes
        self.labels = self._number("the network" if classes else "classes.txt")
        self.seed, self.augmentation, self.epoch = seed, augmentation or Augmentation(), 0
        swap = seed is not None and self.augmentation.flip == "swap"
        self.mirrored = mirrored_classes(self.classes) if swap else range(len(self.classes))
        self.cache = cache
        self._pixels: Pixels | None = None

    def _number(self, owner: str) -> list[int]:
        number = {name: i for i, name in enumerate(self.classes)}
        unknown = sorted({video.label for video in self.videos} - number.keys())
        if unknown:
            raise DataError(
                f"{self.source} has {len(unknown)} labels that {owner}'s {len(self.classes)} classes lack "
                f"({some(unknown)}; its classes are {some(self.classes)}); "
                "use data with these classes, or a network trained on this data"
            )
        return [number[video.label] for video in self.videos]

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> Sample | Unreadable:
        rng = None if self.seed is None else np.random.default_rng((self.seed, self.epoch, index))
        try:
            images, places = self._images(index, rng)
        except UnreadableVideoError as error:
            return Unreadable(index, str(error))
        label = self.labels[index]
        if rng is None:
            return Sample(index, label, self.preprocessing.cut(images), places)
        images, mirrored = self.augmentation(images, self.preprocessing.crop, rng)
        return Sample(index, self.mirrored[label] if mirrored else label, images, places)

    def _images(self, index: int, rng: np.random.Generator | None) -> tuple[Tensor, list[np.ndarray]]:
        self.remember()
        kept = None if self._pixels is None else self._pixels[index]
        if kept is not None:
            wanted, places = stream_indices(len(kept), self.frames, rng)
            return torch.from_numpy(kept[wanted]), places
        record = self.videos[index]
        video = open_video(record.path, record.num_frames, record.template)
        wanted, places = stream_indices(len(video), self.frames, rng)
        return self.preprocessing.shrink(video.frames(wanted)), places

    def remember(self, *, workers: int = 0, progress: Progress | None = None) -> None:
        """Decodes all videos into the cache by several processes, where one is wanted and not yet there.

        Without this call the first clip that is asked for does it, in one process. `progress` is called with (steps
        done, steps in all).

        Raises:
            OSError: when the disk is too full for the cache, with the bytes that are needed and free; not for "auto".
        """
        if self._pixels is not None or not self.cache:
            return
        if self.cache == "auto" and estimate(self.videos, self.preprocessing) > SMALL:
            self.cache = False
            return
        try:
            contents = [f"{content} {video.state()}" for content, video in zip(self.contents, self.videos, strict=True)]
            self._pixels = remembered(
                self.videos, self.preprocessing, contents=contents, workers=workers, progress=progress
            )
        except OSError:  # no room, or no permission
            if self.cache != "auto":
                raise
            self.cache = False

    def path(self, index: int) -> Path:
        """The file of one video, or the folder of its frames."""
        return self.videos[index].path

    def collate(self, items: Sequence[Sample | Unreadable]) -> Batch:
        """A `Batch` of what could be read, with the names of what could not."""
        samples = [item for item in items if isinstance(item, Sample)]
        unreadable = [item for item in items if isinstance(item, Unreadable)]
        return Batch(samples, unreadable, self.frames, self.preprocessing)

    def batches(
        self, order: Iterable[list[int]], *, workers: int = 0, progress: Progress | None = None
    ) -> Iterator[Batch]:
        """The videos at the positions of `order`, each decoded once; every batch is reported when it has been used."""
        total, done = sum(map(len, order)), 0
        for batch in self.decoded(order, workers):
            yield batch
            done += len(batch) + len(batch.unreadable)
            if progress:
                progress(done, total)

    def loader(self, batch_size: int, *, shuffle: bool = False, workers: int = 0, **kwargs: Any) -> DataLoader:
        """Batches of these clips; with `shuffle` in an order drawn from seed and epoch, the last small one dropped."""
        order: Sampler[list[int]] = InOrder(len(self), batch_size)
        if shuffle:
            order = Shuffled(len(self), batch_size, seed=self.seed or 0, epoch=self.epoch)
        return self.decoded(order, workers, **kwargs)

    def decoded(self, order: Iterable[list[int]], workers: int = 0, **kwargs: Any) -> DataLoader:
        """Batches of the videos at the positions of `order`, each decoded once, by `workers` processes."""
        kwargs = {"collate_fn": self.collate, "worker_init_fn": follow_parent, **kwargs}
        return _Loader(self, batch_sampler=order, num_workers=workers, **kwargs)

    @cached_property
    def digest(self) -> str:
        """Hash of the videos, labels and manifest, the key of everything that is remembered about this data.

        Where the manifest has the hash of the frames before encoding (the embedded data) that stands for the video,
        elsewhere its size and its first and last 64 KiB do.
        """
        pairs = zip(self.videos, self.contents, strict=True)
        lines = sorted(f"{video.label} {content}" for video, content in pairs)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    @cached_property
    def contents(self) -> list[str]:
        """A hash of every video, in order, as in `digest`."""
        return [video.fingerprint() for video in self.videos]


class _Loader(DataLoader):
    """A loader whose workers miss no moment in which Ctrl-C and SIGTERM are their parent's."""

    def __iter__(self) -> Any:
        with stops_held():
            return super().__iter__()


def clips_for(card: Mapping[str, Any], source: str | Path, frames: Sequence[int], **how: Any) -> Clips:
    """The data at `source` as the network of a card wants it; `how` is for `Clips`.

    A card without class names takes the classes of the data, sorted, in the order of its outputs.

    Raises:
        DataError: when there is no such data, or its classes are not those of the card.
    """
    clips = Clips(source, frames=frames, preprocessing=of_card(card), classes=card.get("classes"), **how)
    if len(clips.classes) > card["num_classes"]:
        raise DataError(
            f"{source} has {len(clips.classes)} classes, the network {card['num_classes']}; "
            "use data with its classes, or a network trained on this data"
        )
    return clips
