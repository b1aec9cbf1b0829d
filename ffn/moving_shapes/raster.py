"""Painting with integers only, so that every machine paints the same: lengths on a grid of 1/16 px."""

from typing import Any

import numpy as np

FRAMES = 48
SIZE = 96  # px, width and height
FPS = 24
FULL = 128  # mixing levels: 0 is all of the first colour, FULL all of the second, and int16 is enough


def to_grid(pixels: Any) -> np.ndarray:
    """Lengths in px as whole numbers of 1/16 px."""
    return np.rint(16 * np.asarray(pixels)).astype(np.int32)


def blend(under: np.ndarray, over: np.ndarray, level: np.ndarray) -> np.ndarray:
    """`over` over `under` (..., 3), where `level` (...) goes from 0 to FULL."""
    under, over, level = (np.asarray(part, np.int16) for part in (under, over, level))
    return under + ((over - under) * level[..., None] >> 7)


def bilinear(grid: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The grid between its points, at rows `y` and columns `x` in 1/16 of its step."""
    (row, down), (column, right) = divmod(y, 16), divmod(x, 16)
    rows = grid[row] * (16 - down)[:, None] + grid[row + 1] * down[:, None]
    return (rows[:, column] * (16 - right) + rows[:, column + 1] * right) >> 8


def span(corners: np.ndarray) -> slice:
    """The px that some frame touches along one axis."""
    return slice(max(int(corners.min()) // 16 - 1, 0), max(int(corners.max()) // 16 + 2, 0))


def coverage(outline: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """How much of each px a convex polygon covers in every frame, (FRAMES, y, x) levels from 0 to FULL.

    The distance of a px to the nearest edge, clipped to half a px on either side of it.
    """
    inside = np.full((FRAMES, len(y), len(x)), 1 << 30, np.int32)
    for end in range(outline.shape[1]):
        corner, edge = outline[:, end - 1], outline[:, end] - outline[:, end - 1]
        # Correctly rounded everywhere, as IEEE 754 demands of square roots.
        length = np.maximum(np.sqrt((edge**2).sum(axis=1)).astype(np.int32), 1)
        across, down = (256 * edge // length[:, None]).T[:, :, None]
        below = across * (y - corner[:, 1:])
        right = down * (x - corner[:, :1])
        np.minimum(inside, below[:, :, None] - right[:, None, :], out=inside)
    return np.clip((inside >> 5) + FULL // 2, 0, FULL)
