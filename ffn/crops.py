"""Which window of a video training sees.

A window is (top, left, height, width) in pixels of images of `size` (height, width); it is then resized to a square of
`crop` pixels.
"""

from collections.abc import Callable
from math import exp, log, sqrt

import numpy as np

Size = tuple[int, int]
Window = tuple[int, int, int, int]
Span = tuple[float, float]

SCALES = (1, 0.875, 0.75, 0.66)
PLACES = [(y, x) for y in range(5) for x in range(5) if y % 2 == x % 2]  # in quarters of the room that is left


def anywhere(size: Size, window: Size, rng: np.random.Generator) -> Window:
    """A window of the given height and width at a random place."""
    top, left = (int(rng.integers(whole - part + 1)) for whole, part in zip(size, window, strict=True))
    return top, left, *window


def fixed(size: Size, crop: int, rng: np.random.Generator) -> Window:
    """A square of `crop` pixels at a random place."""
    return anywhere(size, (crop, crop), rng)


def multiscale(size: Size, crop: int, rng: np.random.Generator) -> Window:
    """Sides of 1, .875, .75 or .66 of the short side, not two steps apart, at one of 13 places (TSN, arXiv 1608.00859).

    The places are the corners, the middles of the edges, the centre, and the four between corners and centre, as in the
    authors' `GroupMultiScaleCrop`.
    """
    steps = [(i, j) for i in range(len(SCALES)) for j in range(len(SCALES)) if abs(i - j) <= 1]
    height, width = (int(min(size) * SCALES[step]) for step in steps[rng.integers(len(steps))])
    y, x = PLACES[rng.integers(len(PLACES))]
    return y * ((size[0] - height) // 4), x * ((size[1] - width) // 4), height, width


def jitter(size: Size, crop: int, rng: np.random.Generator, *, resize_to: int) -> Window:
    """What a square of `crop` pixels shows once the short side has been resized, at most to `resize_to`.

    The inverse of the new short side is even between those of the old one and of `resize_to` (VGG's scale jittering as
    SlowFast does it, arXiv 1812.03982).
    """
    short = min(size)
    if resize_to < short:
        raise ValueError(f"resize_to is {resize_to}, and the short side {short} pixels already; raise it")
    side = round(crop * short * rng.uniform(1 / resize_to, 1 / short))
    return anywhere(size, (side, side), rng)


def resized(size: Size, crop: int, rng: np.random.Generator) -> Window:
    """8 to 100 % of the area, three quarters to four thirds as wide as high (Inception, arXiv 1409.4842)."""
    window = patch(size, (0.08, 1), (3 / 4, 4 / 3), rng)
    if window is None:  # a very long image: the most of its centre
        height, width = (min(a, round(b * 4 / 3)) for a, b in (size, size[::-1]))
        return (size[0] - height) // 2, (size[1] - width) // 2, height, width
    return window


def patch(size: Size, areas: Span, ratios: Span, rng: np.random.Generator) -> Window | None:
    """A window of a random share of the area and a random ratio of width to height; None when ten do not fit."""
    for _ in range(10):
        area = size[0] * size[1] * rng.uniform(*areas)
        ratio = exp(rng.uniform(log(ratios[0]), log(ratios[1])))
        window = round(sqrt(area / ratio)), round(sqrt(area * ratio))
        if all(0 < part <= whole for part, whole in zip(window, size, strict=True)):
            return anywhere(size, window, rng)
    return None


CROPS: dict[str, Callable[..., Window]] = {
    "random": fixed,
    "multiscale": multiscale,
    "jitter": jitter,
    "resized": resized,
}
