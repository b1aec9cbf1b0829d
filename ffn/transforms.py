"""From decoded frames to clips: every frame of a clip gets the same resize, crop, flip and normalisation."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """How frames enter a network; part of every checkpoint's card, never inside the network."""

    resize: int = 256  # pixels of the short side
    crop: int = 224  # pixels of the square that is kept
    mean: tuple[float, float, float] = IMAGENET_MEAN  # of values in [0, 1]
    std: tuple[float, float, float] = IMAGENET_STD
    channel_order: str = "RGB"  # or BGR

    def __post_init__(self) -> None:
        if not 0 < self.crop <= self.resize:
            raise ValueError(f"the crop of {self.crop} pixels must fit the short side of {self.resize}")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise ValueError(f"mean and std are three numbers, std above 0; got {self.mean} and {self.std}")
        if self.channel_order not in ("RGB", "BGR"):
            raise ValueError(f"channel_order is RGB or BGR, got {self.channel_order!r}")

    def shrink(self, frames: np.ndarray) -> Tensor:
        """Decoded frames (N, H, W, 3) with the short side resized: uint8 (N, 3, h, w)."""
        images = torch.from_numpy(frames).permute(0, 3, 1, 2)
        height, width = images.shape[-2:]
        scale = self.resize / min(height, width)
        if scale == 1:
            return images
        size = [max(self.resize, round(height * scale)), max(self.resize, round(width * scale))]
        return F.interpolate(images, size=size, mode="bilinear", antialias=True)

    def cut(self, images: Tensor, rng: np.random.Generator | None = None, *, flip: bool = False) -> Tensor:
        """One crop of all `images` (N, 3, h, w): the centre, or with `rng` at random, mirrored half of the time if
        `flip`; still uint8."""
        spare = [side - self.crop for side in images.shape[-2:]]
        top, left = (s // 2 for s in spare) if rng is None else (int(rng.integers(s + 1)) for s in spare)
        cropped = images[..., top : top + self.crop, left : left + self.crop]
        return cropped.flip(-1) if flip and rng is not None and rng.random() < 0.5 else cropped

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 images (..., 3, h, w) as the normalised floats that a network takes."""
        if self.channel_order == "BGR":
            images = images.flip(-3)
        mean, std = (torch.tensor(v, device=images.device).view(3, 1, 1) for v in (self.mean, self.std))
        return (images.float() / 255 - mean) / std
