"""How alike two representations of the same videos are, whatever the axes that they are written in.

Linear CKA (Kornblith et al., ICML 2019) with the unbiased estimator of HSIC (Song et al., JMLR 2012), summed over
blocks of videos (Nguyen et al., ICLR 2021), so that no matrix is larger than a block.

Shapes: N videos, n videos of a block, C channels.
"""

from collections.abc import Iterator, Sequence

import numpy as np

BLOCK = 256  # videos; a block has at least so many, where there are, and fewer than twice as many
FEWEST = 4  # with fewer videos the unbiased estimator does not exist


def hsic(x: np.ndarray, y: np.ndarray) -> float:
    """The unbiased Hilbert-Schmidt independence criterion of `x` (N, C) and `y` (N, C'), linear kernels.

    Its mean is 0 for independent features, and it may be negative (Song et al. 2012, theorem 3).

    Raises:
        ValueError: for fewer than 4 videos, or different numbers of them.
    """
    _check([x, y])
    return _inner(_centred(x), _centred(y)) / (len(x) * (len(x) - 3))


def cka(x: np.ndarray, y: np.ndarray) -> float:
    """Linear centred kernel alignment of `x` (N, C) and `y` (N, C'), rows the same videos; exactly 1 with itself.

    It does not change with rotations, reflections, translations or the scale of either. Unrelated features are near
    0, on either side of it. NaN where features do not differ between videos.

    Raises:
        ValueError: for fewer than 4 videos, or different numbers of them.
    """
    return float(cka_matrix([x], [y])[0, 0])


def cka_matrix(first: Sequence[np.ndarray], second: Sequence[np.ndarray] | None = None, *, seed: int = 0) -> np.ndarray:
    """The `cka` (len(first), len(second)) of every pair, or of `first` among themselves.

    From 512 videos on they are taken in blocks, drawn with `seed`, whose sums stand for the whole.

    Raises:
        ValueError: for fewer than 4 videos, or different numbers of them.
    """
    others = first if second is None else second
    _check([*first, *others])
    cross, one, other = np.zeros((len(first), len(others))), np.zeros(len(first)), np.zeros(len(others))
    for block in _blocks(len(first[0]), seed):
        rows = [_centred(x[block]) for x in first]
        columns = rows if second is None else [_centred(y[block]) for y in second]
        weight = 1 / (len(block) * (len(block) - 3))
        cross += weight * np.array([[_inner(row, column) for column in columns] for row in rows])
        one += weight * np.array([_inner(row, row) for row in rows])
        other += weight * np.array([_inner(column, column) for column in columns])
    with np.errstate(invalid="ignore"):  # features that do not vary
        return cross / np.sqrt(one[:, None] * other)


def _check(representations: Sequence[np.ndarray]) -> None:
    sizes = sorted({len(x) for x in representations})
    if len(sizes) > 1:
        raise ValueError(f"representations of {sizes} videos cannot be compared; take the features of the same videos")
    if not sizes or sizes[0] < FEWEST:
        raise ValueError(f"CKA needs at least {FEWEST} videos, got {sizes[0] if sizes else 0}; take more")


def _blocks(videos: int, seed: int) -> Iterator[np.ndarray]:
    """Positions of the videos of each block; drawn, since data are often in the order of their classes."""
    order = np.random.default_rng(seed).permutation(videos)
    yield from np.array_split(order, max(1, videos // BLOCK))


def _centred(x: np.ndarray) -> np.ndarray:
    """The Gram matrix (n, n) of `x` (n, C), U-centred: then HSIC is a sum of products (Szekely and Rizzo 2014)."""
    count = len(x)
    x = x.astype(np.float64) - x.mean(0, dtype=np.float64)  # which changes nothing but the rounding
    gram = x @ x.T
    np.fill_diagonal(gram, 0)
    sums = gram.sum(0) / (count - 2)
    gram += sums.sum() / (count - 1) - sums - sums[:, None]
    np.fill_diagonal(gram, 0)
    return gram


def _inner(a: np.ndarray, b: np.ndarray) -> float:
    return float((a * b).sum())
