"""Interpolated branches: the ends exactly, between them what the formula says."""

import pytest
import torch
from conftest import random_clips, small
from test_branches import CASES, model_of
from test_recalibration import changed

from ffn.branches import with_branch
from ffn.interpolation import interpolate

FRAMES = (4, 8, 16)


@pytest.mark.parametrize("case", [case for case in CASES if case != "nothing shared"])
@torch.no_grad()
def test_only_a_branch_is_added(case):
    model = model_of(case)
    between = interpolate(model, 6)
    assert changed(with_branch(model, 6), between) <= {n for n in between.state_dict() if ".by_frames.6" in n}
    for branch in model.frames:
        assert torch.equal(between(random_clips(branch)), model(random_clips(branch)))
    assert between(random_clips(6)).isfinite().all()
    assert between.card["calibrated"] == {"6": {"policy": "interpolate"}}


def test_at_a_trained_count_it_is_that_branch():
    model = small(FRAMES)
    for trained in FRAMES:
        assert not changed(model, interpolate(model, trained))


@pytest.mark.parametrize(("num_frames", "low", "high"), [(5, 4, 8), (6, 4, 8), (12, 8, 16)])
def test_every_private_number_is_between_its_neighbours(num_frames, low, high):
    state = interpolate(small(FRAMES), num_frames).state_dict()
    weight = (num_frames - low) / (high - low)
    names = [name for name in state if f".by_frames.{num_frames}." in f"{name}." and "tracked" not in name]
    assert len(names) == 21 * 4 + 8
    for name in names:
        ends = [state[name.replace(f"by_frames.{num_frames}", f"by_frames.{t}")] for t in (low, high)]
        if name.endswith("running_var"):
            ends = [end.log() for end in ends]
        want = (1 - weight) * ends[0] + weight * ends[1]
        torch.testing.assert_close(state[name].log() if name.endswith("running_var") else state[name], want)


def test_equal_neighbours_give_the_same_again():
    model = small(FRAMES)
    state = model.state_dict()
    for name, tensor in state.items():
        tensor.copy_(state[name.replace("by_frames.8", "by_frames.4")])
    clips = random_clips(6)
    torch.testing.assert_close(interpolate(model, 6)(clips), model(clips), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("num_frames", "end"), [(2, 4), (24, 16)])
def test_outside_the_trained_range_it_is_the_nearest_branch(num_frames, end):
    model, clips = small(FRAMES), random_clips(num_frames)
    assert torch.equal(interpolate(model, num_frames)(clips), model(clips, branch=end))


def test_neighbours_are_the_trained_ones_in_whatever_order_branches_are_made():
    one, other = (interpolate(interpolate(small(FRAMES), a), b) for a, b in ((10, 12), (12, 10)))
    assert not changed(one, other)


def test_a_channel_that_never_varies_keeps_to_it():
    model = small(FRAMES)
    for name, tensor in model.state_dict().items():
        if name.endswith("by_frames.4.running_var"):
            tensor[0] = 0
    state = interpolate(model, 6).state_dict()
    assert all(
        t.isfinite().all() and t[0] == 0 for name, t in state.items() if name.endswith("by_frames.6.running_var")
    )


def test_networks_that_share_nothing_are_refused():
    with pytest.raises(ValueError, match="share nothing"):
        interpolate(model_of("nothing shared"), 6)
