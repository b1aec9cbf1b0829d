"""How far apart the statistics of norm layers are. Plain numbers: what inspects a file needs no network.

Shapes: C channels.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Gaussian:
    """Mean and variance (C,) of each channel, float64."""

    mean: np.ndarray
    variance: np.ndarray


@dataclass(frozen=True)
class Divergence:
    """How far one layer's statistics are from those it normalises with; each a mean over channels.

    mean_shift: |difference of the means| in standard deviations of the statistics in use.
    log_variance_ratio: |log of the ratio of the variances|.
    symmetric_kl: mean of KL(p || q) and KL(q || p) of the two Gaussians, in nats.
    wasserstein: 2-Wasserstein distance of the two Gaussians, in standard deviations of the statistics in use, so that
        layers of any scale compare.
    """

    mean_shift: float
    log_variance_ratio: float
    symmetric_kl: float
    wasserstein: float


def divergence(seen: Gaussian, used: Gaussian, eps: float = 1e-5) -> Divergence:
    """How far the statistics `seen` in the data are from those `used`; `eps` is added to variances, as norms do."""
    p, q = seen.variance + eps, used.variance + eps
    gap = seen.mean - used.mean
    return Divergence(
        mean_shift=float((abs(gap) / np.sqrt(q)).mean()),
        log_variance_ratio=float(abs(np.log(p / q)).mean()),
        symmetric_kl=float((p / q + q / p - 2 + gap**2 * (1 / p + 1 / q)).mean() / 4),
        wasserstein=float(np.sqrt((gap**2 + (np.sqrt(p) - np.sqrt(q)) ** 2) / q).mean()),
    )


def divergences(seen: Mapping[str, Gaussian], used: Mapping[str, Gaussian]) -> dict[str, Divergence]:
    """Divergence of every layer of `seen` that `used` has too, in the order of `seen`."""
    return {layer: divergence(found, used[layer]) for layer, found in seen.items() if layer in used}
