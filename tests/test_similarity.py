"""CKA: what it must not depend on, exactly 1 with itself, and without bias."""

import numpy as np
import pytest
from scipy.stats import ortho_group

from ffn import similarity
from ffn.similarity import cka, cka_matrix, hsic


def features(seed, videos=40, channels=7):
    return np.random.default_rng(seed).normal(size=(videos, channels)).astype(np.float32) + 3


@pytest.mark.parametrize("videos", [4, 40, 700])
def test_self_similarity_is_exactly_one(videos):
    x, y = features(0, videos), features(1, videos)
    assert cka(x, x) == cka(x, x.copy()) == 1
    matrix = cka_matrix([x, y])
    assert (matrix.diagonal() == 1).all()
    assert matrix[0, 1] == matrix[1, 0] == pytest.approx(cka(x, y))
    np.testing.assert_array_equal(matrix, cka_matrix([x, y], [x, y]))


@pytest.mark.parametrize("videos", [40, 700])
def test_rotations_translations_and_scale_change_nothing(videos):
    x = features(0, videos)
    y = x @ features(1, 7, 5) + features(2, videos, 5)
    turned = 0.01 * x @ ortho_group.rvs(7, random_state=0) + 9
    assert cka(turned, y) == pytest.approx(cka(x, y), abs=1e-6)
    assert cka(x, turned) == pytest.approx(1, abs=1e-6)
    stretched = x * np.array([9, *[1] * 6])
    assert cka(stretched, y) != pytest.approx(cka(x, y), abs=1e-2)


def test_the_estimator_is_song_s():
    x, y = features(0, 12).astype(float), features(1, 12, 3).astype(float)
    k, l, n, one = x @ x.T, y @ y.T, 12, np.ones(12)  # noqa: E741
    np.fill_diagonal(k, 0)
    np.fill_diagonal(l, 0)
    want = np.trace(k @ l) + one @ k @ one * (one @ l @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ l @ one)
    assert hsic(x, y) == pytest.approx(want / (n * (n - 3)))


def test_independent_features_are_unbiased_however_many_channels_they_have():
    pairs = [cka(features(2 * seed, 20, 300), features(2 * seed + 1, 20, 300)) for seed in range(60)]
    assert abs(np.mean(pairs)) < 3 * np.std(pairs) / 60**0.5 + 1e-3
    assert min(pairs) < 0 < max(pairs)


def test_blocks_stand_for_the_whole(monkeypatch):
    x = np.sort(features(0, 900), axis=0)  # in order, as data are by class
    y = x[:, :3] + 0.5 * features(1, 900, 3)
    in_blocks = cka(x, y)
    monkeypatch.setattr(similarity, "BLOCK", 900)
    assert in_blocks == pytest.approx(cka(x, y), abs=0.01)


def test_features_that_do_not_vary_have_no_similarity():
    assert np.isnan(cka(np.ones((5, 2)), features(0, 5)))


def test_too_few_or_other_videos_are_refused():
    with pytest.raises(ValueError, match="at least 4 videos, got 3"):
        cka(features(0, 3), features(1, 3))
    with pytest.raises(ValueError, match=r"representations of \[5, 6\] videos"):
        cka(features(0, 5), features(1, 6))
    with pytest.raises(ValueError, match="got 0"):
        cka_matrix([])
