"""From decoded frames to clips, as equations."""

import random

import numpy as np
import pytest
import torch

from ffn import Preprocessing
from ffn.transforms import IMAGENET_MEAN, IMAGENET_STD, Augmentation

POLICY = "rand-m7-n4-mstd0.5-inc1"
ALL = Augmentation("resized", flip="on", randaugment=POLICY, erasing=1.0)


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
    assert torch.equal(Preprocessing(resize=36, crop=32).cut(x), x[..., 2:34, 7:39])


def test_a_random_cut_is_one_window_for_all_frames_and_half_are_mirrored():
    augment, x = Augmentation(flip="on"), images(1, 3, 36, 36).expand(4, -1, -1, -1)
    windows = {
        x[0, :, i : i + 32, j : j + 32].flip(-1 if m else ()).numpy().tobytes(): (i, j, m)
        for i in range(5)
        for j in range(5)
        for m in (False, True)
    }
    drawn = []
    for seed in range(200):
        out, mirrored = augment(x, 32, np.random.default_rng(seed))
        assert all(torch.equal(frame, out[0]) for frame in out)
        drawn.append(windows[out[0].contiguous().numpy().tobytes()])
        assert drawn[-1][-1] is mirrored
    assert {(i, j) for i, j, _ in drawn} == {(i, j) for i in range(5) for j in range(5)}
    assert 70 < sum(mirrored for *_, mirrored in drawn) < 130


def test_flips_are_only_drawn_when_wanted():
    x = images(2, 3, 32, 32)
    for seed in range(10):
        out, mirrored = Augmentation()(x, 32, np.random.default_rng(seed))
        assert torch.equal(out, x)
        assert not mirrored


VARIED = [
    *(Augmentation(crop, resize_to=48) for crop in ("random", "multiscale", "jitter", "resized")),
    Augmentation(flip="on"),
    Augmentation(randaugment=POLICY),
    Augmentation(erasing=0.9),
    ALL,
]


@pytest.mark.parametrize("augment", VARIED, ids=str)
def test_all_frames_of_a_video_are_varied_alike(augment):
    still, moving = images(1, 3, 36, 44).expand(3, -1, -1, -1), images(3, 3, 36, 44, seed=1)
    outs = []
    for seed in range(12):
        out, _ = augment(torch.cat([still, moving]), 32, np.random.default_rng(seed))
        assert out.shape == (6, 3, 32, 32)
        assert out.dtype == torch.uint8
        assert torch.equal(out[0], out[1])
        assert torch.equal(out[0], out[2])
        alone, _ = augment(moving[1:2], 32, np.random.default_rng(seed))
        assert torch.equal(alone[0], out[4])
        outs.append(out)
    assert len({out.numpy().tobytes() for out in outs}) > 1


@pytest.mark.parametrize("augment", VARIED, ids=str)
def test_augmentation_repeats_itself_leaves_its_input_and_knows_no_global_state(augment):
    x = images(4, 3, 36, 44)
    before = x.clone()
    drawn = []
    for state in (1, 2):
        random.seed(state)
        np.random.seed(state)
        torch.manual_seed(state)
        found = random.getstate(), np.random.get_state()[1].tobytes(), torch.get_rng_state()
        drawn.append(augment(x, 32, np.random.default_rng((3, 4, 5)))[0])
        assert random.getstate() == found[0]
        assert np.random.get_state()[1].tobytes() == found[1]
        assert torch.equal(torch.get_rng_state(), found[2])
    assert torch.equal(*drawn)
    assert torch.equal(x, before)


def test_a_crop_of_a_flat_image_is_flat_and_of_a_ramp_a_ramp():
    ramp = torch.arange(0, 256, 4, dtype=torch.uint8).expand(2, 3, 48, 64)
    for crop in ("multiscale", "jitter", "resized"):
        for seed in range(20):
            out, _ = Augmentation(crop, resize_to=64)(ramp, 32, np.random.default_rng(seed))
            assert (out == out[:1, :1, :1]).all()
            assert (out[0, 0, 0].int().diff() >= 0).all()


def test_an_erased_rectangle_is_the_only_change():
    x = images(3, 3, 32, 32)
    out, _ = Augmentation(erasing=1.0)(x, 32, np.random.default_rng(0))
    changed = (out != x).any(dim=(0, 1))
    rows, columns = changed.any(1).nonzero().flatten(), changed.any(0).nonzero().flatten()
    box = changed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    assert box.all()
    assert 0.01 < box.numel() / changed.numel() < 0.36
    shares = [torch.equal(Augmentation(erasing=0.25)(x, 32, np.random.default_rng(i))[0], x) for i in range(400)]
    assert 0.65 < np.mean(shares) < 0.85


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"crop": "centre"}, "unknown crop 'centre'; there are random, multiscale, jitter, resized"),
        ({"flip": "yes"}, "unknown flip 'yes'; there are off, on, swap"),
        ({"crop": "jitter"}, "jitter needs resize_to"),
        ({"erasing": 1.5}, "erasing is a probability, got 1.5"),
        ({"randaugment": "wild"}, "such as rand-m7-n4-mstd0.5-inc1; got 'wild'"),
        ({"randaugment": "rand-z9"}, "got 'rand-z9'"),
        ({"randaugment": "rand-m7.5"}, "got 'rand-m7.5'"),
    ],
)
def test_impossible_augmentation_is_explained(wrong, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(**wrong)


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
        ({"resize": 10**20}, "the short side may have 16384 pixels at most, got 1000"),
        ({"channel_order": "GBR"}, "channel_order is RGB or BGR, got 'GBR'"),
        ({"mean": (0.5,)}, "mean and std are three numbers"),
        ({"std": (1, 0, 1)}, "std above 0"),
        ({"mean": (123.675, 116.28, 103.53)}, "pixels from 0 to 1; divide those of 0 to 255 by 255. Got .123.675"),
        ({"mean": (0.5, float("nan"), 0.5)}, "mean and std are three numbers.*nan"),
    ],
)
def test_impossible_preprocessing_is_explained(wrong, message):
    with pytest.raises(ValueError, match=message):
        Preprocessing(**wrong)
