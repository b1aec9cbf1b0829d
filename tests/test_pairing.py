"""What is said of several tests at once, and of what costs and what it gives."""

import pytest

from ffn.budget import front
from ffn.pairing import holm


def test_holm_s_correction_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def test_holm_is_between_no_correction_and_bonferroni_s():
    p_values = [0.001, 0.2, 0.013, 0.04, 0.013]
    corrected = holm(p_values)
    assert all(p <= c <= min(1, 5 * p) for p, c in zip(p_values, corrected, strict=True))
    assert sorted(range(5), key=p_values.__getitem__) == sorted(range(5), key=corrected.__getitem__)


def test_the_front_is_what_nothing_cheaper_equals():
    costs, gains = [3, 1, 2, 2, 4], [5.0, 1.0, 4.0, 3.0, 5.0]
    assert list(front(costs, gains)) == [1, 2, 0]
    assert list(front([1, 1], [2, 2])) == [0]
    assert list(front([], [])) == []
