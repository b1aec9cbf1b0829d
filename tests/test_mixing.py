"""Mixtures: the same for all streams of a step, and those of timm."""

import random
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import random_clips
from timm.data.mixup import Mixup

from ffn.mixing import Mixture, draw, mix
from ffn.randomness import seed_from, seeded

K, SIZE = 5, 32


@dataclass(frozen=True)
class Settings:
    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0


UNIFORMER = Settings(label_smoothing=0.1, mixup=0.8, cutmix=1.0)
MIXED = [Settings(mixup=0.8), Settings(cutmix=1.0), UNIFORMER]


def problem(batch=4):
    """The streams of a few videos, and their labels."""
    streams = {t: random_clips(t, batch, SIZE, seed=t) for t in (2, 4)}
    return streams, torch.arange(batch) % K


def mixed(settings, seed=0, batch=4):
    streams, labels = problem(batch)
    return mix(streams, labels, settings, num_classes=K, size=SIZE, rng=np.random.default_rng(seed))


def test_without_mixing_everything_is_as_it_was_and_nothing_is_drawn():
    streams, labels = problem()
    rng = np.random.default_rng(0)
    assert mix(streams, labels, Settings(), num_classes=K, size=SIZE, rng=rng) == (streams, labels)
    assert rng.random() == np.random.default_rng(0).random()


@pytest.mark.parametrize("settings", MIXED)
@pytest.mark.parametrize("seed", range(6))
def test_mixtures_are_those_of_timm(settings, seed):
    streams, labels = problem()
    timm = Mixup(settings.mixup, settings.cutmix, label_smoothing=settings.label_smoothing, num_classes=K)
    got, shares = mixed(settings, seed)
    assert list(got) == [2, 4]
    for t, clips in streams.items():
        with seeded(seed_from(np.random.default_rng(seed))):
            want, targets = timm(clips.flatten(1, 2).clone(), labels)
        torch.testing.assert_close(got[t].flatten(1, 2), want)
        torch.testing.assert_close(shares, targets)


@pytest.mark.parametrize("settings", MIXED)
def test_all_streams_show_one_mixture_and_the_labels_say_how_much(settings):
    """Clips that show nothing but their label: what is left of it is its share."""
    streams = {t: F.one_hot(torch.arange(3), K).float().view(3, 1, K, 1, 1).expand(3, t, K, SIZE, SIZE) for t in (2, 4)}
    bare = Settings(mixup=settings.mixup, cutmix=settings.cutmix)
    kinds = set()
    for seed in range(20):
        got, shares = mix(streams, torch.arange(3), bare, num_classes=K, size=SIZE, rng=np.random.default_rng(seed))
        assert torch.equal(got[2], got[4][:, :2])
        assert torch.equal(got[4], got[4][:, :1].expand_as(got[4]))
        torch.testing.assert_close(got[4].mean((1, 3, 4)), shares)
        kinds.add(bool(((got[4] == 0) | (got[4] == 1)).all()))
    assert kinds == {settings.cutmix > 0, settings.mixup == 0}


def test_an_odd_clip_in_the_middle_is_mixed_with_itself():
    streams, _ = problem(3)
    got, shares = mixed(Settings(mixup=1.0), batch=3)
    torch.testing.assert_close(got[4][1], streams[4][1])
    assert shares[1].tolist() == F.one_hot(torch.tensor(1), K).tolist()
    assert not torch.equal(got[4][0], streams[4][0])


def test_smoothing_spreads_a_share_over_all_classes():
    got, shares = mixed(Settings(label_smoothing=0.1))
    streams, labels = problem()
    assert all(torch.equal(got[t], streams[t]) for t in streams)
    torch.testing.assert_close(shares, 0.9 * F.one_hot(labels, K) + 0.1 / K)
    logits = torch.randn(4, K)
    torch.testing.assert_close(F.cross_entropy(logits, shares), F.cross_entropy(logits, labels, label_smoothing=0.1))


def test_with_both_each_takes_half_of_the_steps():
    drawn = [draw(UNIFORMER, SIZE, np.random.default_rng(seed)) for seed in range(400)]
    assert 150 < sum(mixture.box is not None for mixture in drawn) < 250
    assert all(0 <= mixture.share <= 1 for mixture in drawn)
    assert len({mixture.share for mixture in drawn}) > 300


def test_a_step_repeats_itself_leaves_its_clips_and_knows_no_global_state():
    streams, labels = problem()
    before = {t: clips.clone() for t, clips in streams.items()}
    drawn = []
    for state in (1, 2):
        random.seed(state)
        np.random.seed(state)
        found = random.getstate(), np.random.get_state()[1].tobytes()
        got, shares = mix(streams, labels, UNIFORMER, num_classes=K, size=SIZE, rng=np.random.default_rng((5, 6)))
        drawn.append((got[2], got[4], shares))
        assert (random.getstate(), np.random.get_state()[1].tobytes()) == found
    assert all(map(torch.equal, *drawn))
    assert all(torch.equal(streams[t], before[t]) for t in streams)


def test_a_generator_goes_on_after_an_error():
    state = random.getstate()
    with pytest.raises(IndexError), seeded(3):
        random.choice([])
    assert random.getstate() == state


def test_nothing_of_the_partner_is_no_mixture():
    clips = random_clips(2, 3)
    assert Mixture()(clips) is clips
