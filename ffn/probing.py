"""How much of the classes a linear classifier finds in the features of a layer (Alain and Bengio 2016).

Shapes: N videos, C channels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ffn.features import Features
from ffn.progress import Progress

PENALTIES = np.logspace(-1, 5, 7)


@dataclass(frozen=True)
class Probe:
    """How often the probe of a layer, fitted at one frame count, was right at another."""

    layer: str
    trained_at: int
    num_frames: int
    correct: int
    clips: int


def fit_probe(features: np.ndarray, labels: np.ndarray) -> Any:
    """A ridge classifier on standardised features (N, C); its penalty has the least error when one video is left out.

    Unlike logistic regression it has a closed form. It has scikit-learn's `predict`.

    Raises:
        ValueError: for fewer than two classes.
    """
    from sklearn.linear_model import RidgeClassifierCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if (classes := len(np.unique(labels))) < 2:
        raise ValueError(f"a probe needs videos of at least 2 classes to tell apart, got {classes}")
    return make_pipeline(StandardScaler(), RidgeClassifierCV(PENALTIES)).fit(features.astype(np.float64), labels)


def probe(fitted: Features, tested: Features, native: int, *, progress: Progress | None = None) -> list[Probe]:
    """For every layer and frame count T, the probe fitted at T and the one fitted at `native`, both tested at T.

    Where the first does better, the classes are there at T but not where the native count has them: what fails is
    the alignment, not the features. `fitted` and `tested` are features of two splits of the data. `progress` is
    called with (probes fitted, probes in all); an exception that it raises cancels.

    Raises:
        ValueError: when the two differ in layers or frame counts, lack `native`, or there are too few classes.
    """
    if (fitted.layers, fitted.frames) != (tested.layers, tested.frames):
        raise ValueError("probes need the same layers and frame counts of both splits")
    if native not in fitted.frames:
        raise ValueError(f"there are no features at the native {native} frames, only at {fitted.frames}")
    probes = [(layer, trained_at) for layer in fitted.layers for trained_at in fitted.frames]
    found = []
    for done, (layer, trained_at) in enumerate(probes, start=1):
        classifier = fit_probe(fitted.at(trained_at, layer), fitted.labels)
        for num_frames in fitted.frames if trained_at == native else (trained_at,):
            right = classifier.predict(tested.at(num_frames, layer)) == tested.labels
            found.append(Probe(layer, trained_at, num_frames, int(right.sum()), len(right)))
        if progress:
            progress(done, len(probes))
    return found
