"""Linear probes: perfect where classes are separable, at chance where there is nothing, misled by other axes."""

import numpy as np
import pytest

from ffn.features import Features
from ffn.probing import Probe, fit_probe, probe


def split(seed, videos=90, classes=3):
    """Features that tell the classes at both counts, on other axes at 16 than at 4, and one layer of noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(videos) % classes
    here = 9 * np.eye(classes)[labels] + rng.normal(size=(videos, classes))
    values = {
        (16, "good"): here,
        (4, "good"): here[:, [1, 2, 0]],
        (16, "noise"): rng.normal(size=(videos, 5)),
        (4, "noise"): rng.normal(size=(videos, 5)),
    }
    values = {key: x.astype(np.float32) for key, x in values.items()}
    return Features(("good", "noise"), (4, 16), np.arange(videos), labels, values, ())


def test_probes_are_perfect_on_separable_classes_and_at_chance_on_noise():
    found = {(p.layer, p.trained_at, p.num_frames): p for p in probe(split(0), split(1), native=16)}
    assert found.keys() == {(layer, *at) for layer in ("good", "noise") for at in ((4, 4), (16, 4), (16, 16))}
    assert found["good", 16, 16] == Probe("good", 16, 16, 90, 90)
    assert found["good", 4, 4].correct == 90
    assert found["good", 16, 4].correct == 0  # the classes are there, elsewhere
    assert 15 < found["noise", 16, 16].correct < 45


def test_channels_without_variance_do_not_matter():
    x, labels = split(0).at(16, "good"), split(0).labels
    padded = np.concatenate([x, np.zeros_like(x), np.full_like(x, 7)], axis=1)
    np.testing.assert_array_equal(fit_probe(padded, labels).predict(padded), labels)


def test_progress_counts_probes_and_may_cancel():
    calls = []
    probe(split(0), split(1), native=4, progress=lambda *call: calls.append(call))
    assert calls == [(i, 4) for i in (1, 2, 3, 4)]

    def cancel(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        probe(split(0), split(1), native=4, progress=cancel)


def test_what_cannot_be_probed_is_refused():
    whole = split(0)
    other = Features(("good",), (4, 16), whole.indices, whole.labels, whole.values, ())
    with pytest.raises(ValueError, match="same layers and frame counts"):
        probe(whole, other, native=16)
    with pytest.raises(ValueError, match=r"native 8 frames, only at \(4, 16\)"):
        probe(whole, whole, native=8)
    with pytest.raises(ValueError, match="at least 2 classes to tell apart, got 1"):
        fit_probe(np.eye(3), np.zeros(3, int))
