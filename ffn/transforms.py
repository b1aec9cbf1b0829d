"""From decoded frames to clips: every frame of a video gets the same resize, crop, augmentation and normalisation."""

from dataclasses import dataclass
from functools import lru_cache
from math import isfinite

import numpy as np
import torch
import torch.nn.functional as F
from timm.data.auto_augment import RandAugment, rand_augment_transform
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor, to_pil_image

from ffn.crops import CROPS, Window, patch
from ffn.randomness import seed_from, seeded

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
LARGEST = 16_384  # pixels of a short side


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
        if self.resize > LARGEST:
            raise ValueError(f"the short side may have {LARGEST} pixels at most, got {self.resize}")
        numbers = all(map(isfinite, (*self.mean, *self.std)))
        if len(self.mean) != 3 or len(self.std) != 3 or not numbers or min(self.std) <= 0:
            raise ValueError(f"mean and std are three numbers, std above 0; got {self.mean} and {self.std}")
        if max(self.mean) > 1:
            raise ValueError(
                f"mean and std are of pixels from 0 to 1; divide those of 0 to 255 by 255. Got {self.mean}, {self.std}"
            )
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
        return _resized(images, size)

    def cut(self, images: Tensor) -> Tensor:
        """The centre of all `images` (N, 3, h, w); still uint8."""
        top, left = ((side - self.crop) // 2 for side in images.shape[-2:])
        return images[..., top : top + self.crop, left : left + self.crop]

    def normalise(self, images: Tensor) -> Tensor:
        """uint8 images (..., 3, h, w) as the normalised floats that a network takes."""
        if self.channel_order == "BGR":
            images = images.flip(-3)
        mean, std = (torch.tensor(v, device=images.device).view(3, 1, 1) for v in (self.mean, self.std))
        return (images.float() / 255 - mean) / std


FLIPS = ("off", "on", "swap")


@dataclass(frozen=True)
class Augmentation:
    """How training varies what a video shows: one draw for all of its frames and streams."""

    crop: str = "random"  # of fixed size; or TSN's multiscale, SlowFast's jitter, Inception's resized
    resize_to: int = 0  # jitter: the largest short side in pixels
    flip: str = "off"  # on: half are mirrored; swap: and take the label of the mirrored class
    randaugment: str = ""  # timm's policy, such as rand-m7-n4-mstd0.5-inc1
    erasing: float = 0.0  # probability of an erased rectangle

    def __post_init__(self) -> None:
        for name, known in (("crop", CROPS), ("flip", FLIPS)):
            if getattr(self, name) not in known:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}; there are {', '.join(known)}")
        if self.crop == "jitter" and self.resize_to < 1:
            raise ValueError("jitter needs resize_to, the largest short side in pixels, such as 320")
        if self.resize_to > LARGEST:
            raise ValueError(f"resize_to may be {LARGEST} pixels at most, got {self.resize_to}")
        if not 0 <= self.erasing <= 1:
            raise ValueError(f"erasing is a probability, got {self.erasing:g}")
        if self.randaugment:
            _policy(self.randaugment)

    def __call__(self, images: Tensor, crop: int, rng: np.random.Generator) -> tuple[Tensor, bool]:
        """uint8 `images` (N, 3, h, w) as squares of `crop` pixels, and whether they are mirrored.

        Raises:
            ValueError: when jitter would make the short side smaller than it is.
        """
        height, width = images.shape[-2:]
        how = {"resize_to": self.resize_to} if self.crop == "jitter" else {}
        images = _window(images, CROPS[self.crop]((height, width), crop, rng, **how))
        if images.shape[-2:] != (crop, crop):
            images = _resized(images, [crop, crop])
        mirrored = self.flip != "off" and rng.random() < 0.5
        if mirrored:
            images = images.flip(-1)
        if self.randaugment:
            images = rand_augment(images, self.randaugment, seed_from(rng))
        if self.erasing and rng.random() < self.erasing:
            images = erased(images, rng)
        return images, mirrored


def rand_augment(images: Tensor, policy: str, seed: int) -> Tensor:
    """RandAugment of uint8 `images` (N, 3, h, w), all alike (arXiv 1909.13719)."""
    changed = []
    for image in images:
        with seeded(seed):
            changed.append(pil_to_tensor(_policy(policy)(to_pil_image(image))))
    return torch.stack(changed)


@lru_cache
def _policy(policy: str) -> RandAugment:
    try:
        return rand_augment_transform(policy)
    except (AssertionError, ValueError):
        raise ValueError(
            f"randaugment is a policy of timm's, such as rand-m7-n4-mstd0.5-inc1; got {policy!r}"
        ) from None


def erased(images: Tensor, rng: np.random.Generator) -> Tensor:
    """`images` (N, 3, h, w) with noise in one rectangle, the same in all of them (arXiv 1708.04896)."""
    height, width = images.shape[-2:]
    window = patch((height, width), (0.02, 1 / 3), (0.3, 1 / 0.3), rng)
    if window is None:
        return images
    images = images.clone()
    noise = rng.integers(0, 256, (3, *window[2:]), dtype=np.uint8)
    _window(images, window).copy_(torch.from_numpy(noise))
    return images


def _window(images: Tensor, window: Window) -> Tensor:
    top, left, height, width = window
    return images[..., top : top + height, left : left + width]


def _resized(images: Tensor, size: list[int]) -> Tensor:
    return F.interpolate(images, size=size, mode="bilinear", antialias=True)
