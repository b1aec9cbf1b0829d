"""One plane for all frame counts: shared axes, maps laid onto each other."""

import numpy as np
import pytest
from scipy.stats import ortho_group

from ffn.embeddings import principal_components, procrustes, tsne


def features(seed=0, videos=40, channels=6):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(videos, channels)) * np.arange(channels, 0, -1)
    return {4: (x + 5).astype(np.float32), 16: (x + rng.normal(size=x.shape)).astype(np.float32)}


def test_axes_are_fitted_once_and_shared():
    found = features()
    components = principal_components(found, 3)
    together = np.concatenate([found[4], found[16]]).astype(float)
    _, singular, axes = np.linalg.svd(together - together.mean(0), full_matrices=False)
    for t, x in found.items():
        want = (x - together.mean(0)) @ axes[:3].T
        np.testing.assert_allclose(abs(components.points[t]), abs(want), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(components.explained, (singular**2 / (singular**2).sum())[:3])
    same = principal_components({4: found[4], 8: found[4]})
    np.testing.assert_array_equal(same.points[4], same.points[8])


def test_a_movement_between_frame_counts_is_seen():
    found = {4: np.eye(6), 16: np.eye(6) + 7}
    points = principal_components(found, 1).points
    assert abs(points[16].mean() - points[4].mean()) == pytest.approx(7 * 6**0.5)


@pytest.mark.parametrize("dimensions", [2, 3])
def test_procrustes_recovers_rotation_scale_and_translation(dimensions):
    onto = np.random.default_rng(0).normal(size=(30, dimensions))
    points = 4 * onto @ ortho_group.rvs(dimensions, random_state=1) - 3
    aligned, left = procrustes(points, onto)
    np.testing.assert_allclose(aligned, onto, atol=1e-12)
    assert left == pytest.approx(0, abs=1e-12)


def test_what_procrustes_leaves_is_the_share_of_squared_distances():
    rng = np.random.default_rng(0)
    points, onto = rng.normal(size=(2, 30, 2))
    aligned, left = procrustes(points, onto)
    assert left == pytest.approx(((aligned - onto) ** 2).sum() / ((onto - onto.mean(0)) ** 2).sum())
    assert 0.5 < left < 1


def test_maps_are_laid_onto_the_reference():
    rng = np.random.default_rng(0)
    centres = np.repeat(8 * rng.normal(size=(3, 5)), 15, axis=0)
    x = centres + rng.normal(size=(45, 5))
    found = tsne({4: x, 8: x[:, ::-1], 16: rng.normal(size=(45, 5))}, reference=8)
    assert found.disparities[8] == pytest.approx(0, abs=1e-9)
    assert found.disparities[4] < 0.2 < found.disparities[16]
    again = tsne({4: x, 8: x[:, ::-1]}, reference=8)
    np.testing.assert_array_equal(again.points[4], found.points[4])


def test_what_cannot_share_a_plane_is_refused():
    found = features()
    with pytest.raises(ValueError, match=r"got \(40, 6\) at 4 frames, \(39, 6\) at 16 frames"):
        principal_components({**found, 16: found[16][1:]})
    with pytest.raises(ValueError, match="got none"):
        principal_components({})
    with pytest.raises(ValueError, match="at least 2 videos, got 1"):
        principal_components({4: found[4][:1]})
    with pytest.raises(ValueError, match=r"reference of 8 frames, only at \[4, 16\]"):
        tsne(found, reference=8)
    with pytest.raises(ValueError, match="cannot be laid"):
        procrustes(np.zeros((3, 2)), np.zeros((4, 2)))
    with pytest.raises(ValueError, match="all in one place"):
        procrustes(np.zeros((3, 2)), np.eye(3)[:, :2])


def test_maps_are_counted_and_may_be_cancelled():
    features = {t: np.random.default_rng(t).normal(size=(8, 3)) for t in (4, 8)}
    calls = []
    tsne(features, 8, progress=lambda *call: calls.append(call))
    assert calls == [(1, 2), (2, 2)]

    def cancel(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tsne(features, 8, progress=cancel)
