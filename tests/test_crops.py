"""Windows: where they lie and how large they are."""

import numpy as np
import pytest

from ffn.crops import CROPS, fixed, jitter, multiscale, patch, resized

SIZE = (256, 340)


def windows(crop, count=2000, size=SIZE, side=224, **kwargs):
    rng = np.random.default_rng(0)
    return np.array([crop(size, side, rng, **kwargs) for _ in range(count)])


@pytest.mark.parametrize("size", [SIZE, (340, 256), (224, 224), (224, 2000)])
@pytest.mark.parametrize("name", CROPS)
def test_every_window_lies_in_the_image(name, size):
    how = {"resize_to": 320} if name == "jitter" else {}
    top, left, height, width = windows(CROPS[name], 500, size, **how).T
    assert min(top.min(), left.min()) >= 0
    assert min(height.min(), width.min()) > 0
    assert (top + height).max() <= size[0]
    assert (left + width).max() <= size[1]


def test_fixed_windows_are_everywhere():
    top, left, height, width = windows(fixed, 5000).T
    assert set(height) == set(width) == {224}
    assert set(top) == set(range(256 - 224 + 1))
    assert set(left) == set(range(340 - 224 + 1))


def test_multiscale_windows_are_those_of_tsn():
    """13 places times 10 pairs of sides, by the rules of GroupMultiScaleCrop written down again."""
    sides = [256, 224, 192, 168]
    want = set()
    for i, height in enumerate(sides):
        for j, width in enumerate(sides):
            if abs(i - j) > 1:
                continue
            h, w = (256 - height) // 4, (340 - width) // 4
            corners = [(0, 0), (0, 4 * w), (4 * h, 0), (4 * h, 4 * w), (2 * h, 2 * w)]
            middles = [(2 * h, 0), (2 * h, 4 * w), (4 * h, 2 * w), (0, 2 * w)]
            quarters = [(h, w), (h, 3 * w), (3 * h, w), (3 * h, 3 * w)]
            want |= {(top, left, height, width) for top, left in corners + middles + quarters}
    assert set(map(tuple, windows(multiscale, 5000).tolist())) == want


def test_jitter_resizes_the_short_side_evenly_in_its_inverse():
    *_, height, width = windows(jitter, 20000, resize_to=320).T
    assert (height == width).all()
    inverse = height / (224 * 256)  # of the short side that a window of 224 pixels was cut from
    assert inverse.min() == pytest.approx(1 / 320, rel=5e-3)
    assert inverse.max() == pytest.approx(1 / 256, rel=5e-3)
    assert np.median(inverse) == pytest.approx((1 / 320 + 1 / 256) / 2, rel=5e-3)


def test_jitter_never_makes_images_smaller():
    with pytest.raises(ValueError, match="resize_to is 240, and the short side 256 pixels already"):
        windows(jitter, 1, resize_to=240)


def test_resized_windows_have_the_area_and_the_ratio_of_inception():
    *_, height, width = windows(resized, 5000, (300, 300)).T
    share, ratio = height * width / 300**2, width / height
    assert 0.078 < share.min() < 0.1
    assert 0.9 < share.max() <= 1
    assert 0.74 < ratio.min() < 0.77
    assert 1.30 < ratio.max() < 1.35
    assert np.median(np.log(ratio)) == pytest.approx(0, abs=0.03)


def test_where_no_window_fits_the_centre_is_taken():
    class Largest:
        def uniform(self, low, high):
            return high

    assert patch((100, 900), (0.08, 1), (3 / 4, 4 / 3), Largest()) is None
    assert resized((100, 900), 224, Largest()) == (0, 383, 100, 133)
    assert resized((900, 100), 224, Largest()) == (383, 0, 133, 100)
