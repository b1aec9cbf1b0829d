"""From decoded frames to clips, as equations."""

import numpy as np
import pytest
import torch

from ffn import Preprocessing
from ffn.transforms import IMAGENET_MEAN, IMAGENET_STD


def images(*shape, seed=0):
    return torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


@pytest.mark.parametrize(
    ("shape", "want"),
    [((96, 96), (36, 36)), ((240, 320), (36, 48)), ((320, 240), (48, 36)), ((36, 50), (36, 50)), ((20, 30), (36, 54))],
)
def test_the_short_side_is_resized_and_the_aspect_kept(shape, want):
    shrunk = Preprocessing(resize=36, crop=32).shrink(np.zeros((5, *shape, 3), np.uint8))
    assert shrunk.shape == (5, 3, *want)
    assert shrunk.dtype == torch.uint8


def test_resizing_to_the_same_size_changes_nothing():
    frames = images(2, 36, 40, 3).numpy()
    assert (Preprocessing(resize=36, crop=32).shrink(frames).permute(0, 2, 3, 1).numpy() == frames).all()


def test_a_flat_frame_stays_flat_and_channels_stay_apart():
    frames = np.full((1, 100, 80, 3), (10, 120, 250), np.uint8)
    shrunk = Preprocessing(resize=36, crop=32).shrink(frames)
    assert (shrunk == torch.tensor([10, 120, 250], dtype=torch.uint8).view(1, 3, 1, 1)).all()


def test_without_a_generator_the_centre_is_cut():
    x = images(3, 3, 36, 46)
    assert torch.equal(Preprocessing(resize=36, crop=32).cut(x, flip=True), x[..., 2:34, 7:39])


def test_a_random_cut_is_one_window_for_all_frames_and_half_are_mirrored():
    cut, x = Preprocessing(resize=36, crop=32), images(1, 3, 36, 36).expand(4, -1, -1, -1)
    windows = {
        x[0, :, i : i + 32, j : j + 32].flip(-1 if m else ()).numpy().tobytes(): (i, j, m)
        for i in range(5)
        for j in range(5)
        for m in (False, True)
    }
    drawn = []
    for seed in range(200):
        out = cut.cut(x, np.random.default_rng(seed), flip=True)
        assert all(torch.equal(frame, out[0]) for frame in out)
        drawn.append(windows[out[0].contiguous().numpy().tobytes()])
    assert {(i, j) for i, j, _ in drawn} == {(i, j) for i in range(5) for j in range(5)}
    assert 70 < sum(mirrored for *_, mirrored in drawn) < 130


def test_flips_are_only_drawn_when_wanted():
    cut, x = Preprocessing(resize=32, crop=32), images(2, 3, 32, 32)
    assert all(torch.equal(cut.cut(x, np.random.default_rng(seed)), x) for seed in range(10))


def test_normalised_is_share_of_white_less_mean_over_std():
    x = images(2, 4, 3, 5, 5)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
    torch.testing.assert_close(Preprocessing().normalise(x), (x / 255 - mean) / std)


def test_bgr_networks_get_blue_first():
    x = images(2, 3, 4, 4)
    rgb = Preprocessing(mean=(0.1, 0.2, 0.3), std=(1, 2, 3))
    bgr = Preprocessing(mean=(0.1, 0.2, 0.3), std=(1, 2, 3), channel_order="BGR")
    assert torch.equal(bgr.normalise(x), rgb.normalise(x.flip(1)))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"crop": 300}, "the crop of 300 pixels must fit the short side of 256"),
        ({"crop": 0}, "the crop of 0 pixels"),
        ({"channel_order": "GBR"}, "channel_order is RGB or BGR, got 'GBR'"),
        ({"mean": (0.5,)}, "mean and std are three numbers"),
        ({"std": (1, 0, 1)}, "std above 0"),
    ],
)
def test_impossible_preprocessing_is_explained(wrong, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing(**wrong)
