"""Mixup, CutMix and label smoothing of a step, through timm: all streams show the same mixture, as the authors have it.

Shapes: B clips, K classes. Clip i is mixed with clip B - 1 - i, as in timm.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from timm.data.mixup import Mixup, cutmix_bbox_and_lam, mixup_target
from torch import Tensor

from ffn.losses import Streams
from ffn.randomness import seed_from, seeded


class Settings(Protocol):
    """How strongly labels and clips are mixed; 0 leaves a part out."""

    @property
    def label_smoothing(self) -> float: ...
    @property
    def mixup(self) -> float: ...
    @property
    def cutmix(self) -> float: ...


@dataclass(frozen=True)
class Mixture:
    """What all clips of a step have of each other."""

    share: float = 1.0  # of a clip that is its own; its partner has the rest
    box: tuple[int, int, int, int] | None = None  # top, bottom, left, right of the partner's part, for CutMix

    def __call__(self, clips: Tensor) -> Tensor:
        """The mixed clips (B, T, C, H, W)."""
        if self.share == 1:
            return clips
        if self.box is None:
            return clips.lerp(clips.flip(0), 1 - self.share)
        top, bottom, left, right = self.box
        mixed = clips.clone()
        mixed[..., top:bottom, left:right] = clips.flip(0)[..., top:bottom, left:right]
        return mixed


def mix(
    streams: Streams, labels: Tensor, settings: Settings, *, num_classes: int, size: int, rng: np.random.Generator
) -> tuple[Streams, Tensor]:
    """Streams that show one mixture, of images of `size` pixels, and the shares (B, K) of the classes in it.

    Without mixing and smoothing, both as they were: `labels` are class indices (B,).
    """
    if not (settings.label_smoothing or settings.mixup or settings.cutmix):
        return streams, labels
    mixture = draw(settings, size, rng)
    return _Mixed(streams, mixture), mixup_target(labels, num_classes, mixture.share, settings.label_smoothing)


def draw(settings: Settings, size: int, rng: np.random.Generator) -> Mixture:
    """By mixup (arXiv 1710.09412) or CutMix (1905.04899); where both are wanted, each half of the time."""
    if not (settings.mixup or settings.cutmix):
        return Mixture()
    timm = Mixup(mixup_alpha=settings.mixup, cutmix_alpha=settings.cutmix)
    with seeded(seed_from(rng)):
        share, cut = timm._params_per_batch()
        if not cut:
            return Mixture(float(share))
        (top, bottom, left, right), share = cutmix_bbox_and_lam((size, size), share)
    return Mixture(float(share), (int(top), int(bottom), int(left), int(right)))


class _Mixed(Mapping[int, Tensor]):
    """Streams that are mixed when asked for."""

    def __init__(self, streams: Streams, mixture: Mixture) -> None:
        self.streams, self.mixture = streams, mixture

    def __getitem__(self, num_frames: int) -> Tensor:
        return self.mixture(self.streams[num_frames])

    def __iter__(self) -> Iterator[int]:
        return iter(self.streams)

    def __len__(self) -> int:
        return len(self.streams)
