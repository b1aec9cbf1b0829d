"""Features of videos in a plane that all frame counts share, so that one can see them move.

Shapes: N videos, C channels, D dimensions of the embedding.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ffn.progress import Progress


@dataclass(frozen=True)
class Components:
    """Principal components of features, on the same axes at every frame count."""

    points: dict[int, np.ndarray]  # by frame count: (N, D)
    explained: np.ndarray  # (D,) share of the variance along each axis


@dataclass(frozen=True)
class Maps:
    """Maps of features by t-SNE, each turned, moved and scaled onto that of the reference frame count."""

    points: dict[int, np.ndarray]  # by frame count: (N, D)
    disparities: dict[int, float]  # by frame count: 0, the same map, to 1, an unrelated one


def principal_components(features: Mapping[int, np.ndarray], dimensions: int = 2) -> Components:
    """The principal components of `features` (N, C) by frame count, fitted once, to all of them together.

    Raises:
        ValueError: for no features, different videos or channels, or fewer of either than `dimensions`.
    """
    from sklearn.decomposition import PCA

    _check(features, at_least=dimensions)
    together = np.concatenate([*features.values()]).astype(np.float64)
    fitted = PCA(dimensions, svd_solver="covariance_eigh").fit(together)
    points = np.split(fitted.transform(together), len(features))
    return Components(dict(zip(features, points, strict=True)), fitted.explained_variance_ratio_)


def tsne(
    features: Mapping[int, np.ndarray],
    reference: int,
    *,
    dimensions: int = 2,
    perplexity: float = 30,
    seed: int = 0,
    progress: Progress | None = None,
) -> Maps:
    """A map of `features` (N, C) of each frame count by t-SNE (van der Maaten and Hinton 2008), aligned to one of them.

    That of `reference` starts at its principal components, the others start where that one ends, shrunk, so that
    clusters that stay are found in the same places; `procrustes` then lays them onto it. Distances within a map mean
    little, neighbours much. `perplexity` is lowered to a third of N. `progress` is called with (maps made, maps in
    all); an exception that it raises cancels.

    Raises:
        ValueError: for no features at `reference`, different videos or channels, or fewer than 4 videos.
    """
    from sklearn.manifold import TSNE

    _check(features, at_least=4)
    if reference not in features:
        raise ValueError(f"there are no features at the reference of {reference} frames, only at {list(features)}")
    fewer = min(perplexity, (len(features[reference]) - 1) / 3)
    options = {"perplexity": fewer, "random_state": seed}
    onto = TSNE(dimensions, init="pca", **options).fit_transform(features[reference])
    start = 1e-4 * onto / onto[:, 0].std()  # as large as scikit-learn starts
    aligned = {}
    for done, (t, x) in enumerate(features.items(), start=1):
        points = onto if t == reference else TSNE(dimensions, init=start, **options).fit_transform(x)
        aligned[t] = procrustes(points, onto)
        if progress:
            progress(done, len(features))
    return Maps({t: points for t, (points, _) in aligned.items()}, {t: gap for t, (_, gap) in aligned.items()})


def procrustes(points: np.ndarray, onto: np.ndarray) -> tuple[np.ndarray, float]:
    """`points` (N, D) turned or mirrored, moved and scaled as near to `onto` (N, D) as can be, and what is left.

    What is left is the sum of squared distances over that of `onto` from its mean, 0 to 1 (Gower 1975).

    Raises:
        ValueError: for different shapes, or points that are all one.
    """
    from scipy.linalg import orthogonal_procrustes

    if points.shape != onto.shape:
        raise ValueError(f"points {points.shape} cannot be laid onto points {onto.shape}; both must be (N, D)")
    moved, target = (x.astype(np.float64) - x.mean(0, dtype=np.float64) for x in (points, onto))
    spread, wanted = (moved**2).sum(), (target**2).sum()
    if not spread or not wanted:
        raise ValueError("points that are all in one place cannot be aligned")
    rotation, overlap = orthogonal_procrustes(moved, target)
    aligned = moved @ rotation * (overlap / spread) + onto.mean(0, dtype=np.float64)
    return aligned, float(max(0.0, 1 - overlap**2 / (spread * wanted)))


def _check(features: Mapping[int, np.ndarray], at_least: int) -> None:
    shapes = {x.shape for x in features.values()}
    if len(shapes) != 1:
        found = ", ".join(f"{x.shape} at {t} frames" for t, x in features.items()) or "none"
        raise ValueError(f"frame counts share an embedding when they have the same videos and channels; got {found}")
    videos, _ = shapes.pop()
    if videos * len(features) < at_least or videos < 2:
        raise ValueError(f"an embedding needs at least {max(2, at_least)} videos, got {videos}; take more")
