"""Routing, shift and alteration as equations."""

import pytest
import torch
from conftest import random_clips
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import ffn
from ffn.layers import Altered, ResidualAdapter, Switchable, TemporalShift, alter, shift, shifted_in_place


@pytest.mark.parametrize(
    ("num_frames", "branch"), [(1, 4), (4, 4), (5, 4), (6, 8), (8, 8), (11, 8), (12, 16), (16, 16), (99, 16)]
)
def test_nearest_branch_ties_up(num_frames, branch):
    assert ffn.nearest(num_frames, (4, 8, 16)) == branch


@given(st.integers(1, 64), st.sets(st.integers(1, 64), min_size=1))
def test_nearest_is_a_trained_count_and_none_is_closer(num_frames, frames):
    found = ffn.nearest(num_frames, sorted(frames))
    assert found in frames
    assert all(abs(found - num_frames) <= abs(other - num_frames) for other in frames)


def test_nearest_refuses_no_frames():
    with pytest.raises(ValueError, match="at least 1 frame, got 0"):
        ffn.nearest(0, (4,))


@pytest.mark.parametrize("frames", [(), (4, 4), (8, 4), (0, 4), (-1,), (4.0, 8), "48", (True, 4)])
def test_frames_must_be_increasing_positive_integers(frames):
    with pytest.raises(ValueError, match="increasing positive integers"):
        ffn.create_model("resnet18", frames)


def test_shift_moves_an_eighth_each_way_and_fills_with_zeros():
    x = random_clips(5, size=4)[:, :, :1].expand(-1, -1, 17, -1, -1)  # two clips of 5 frames, 17 channels
    y = shift(x.flatten(0, 1), 5).unflatten(0, (2, 5))
    assert torch.equal(y[:, :-1, :2], x[:, 1:, :2])
    assert torch.equal(y[:, 1:, 2:4], x[:, :-1, 2:4])
    assert torch.equal(y[:, :, 4:], x[:, :, 4:])
    assert not y[:, -1, :2].any()
    assert not y[:, 0, 2:4].any()


@pytest.mark.parametrize(
    ("dim", "prefix", "shape"), [(1, 0, (6, 16, 3, 2)), (-1, 1, (6, 5, 16)), (-1, 0, (6, 2, 3, 17))]
)
@pytest.mark.parametrize("num_frames", [1, 2, 3, 6])
def test_the_shift_s_gradient_and_its_twin_in_place(dim, prefix, shape, num_frames):
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: shift(x, num_frames, dim=dim, prefix=prefix), x)
    want, before = shift(x.detach(), num_frames, dim=dim, prefix=prefix), x.detach().clone()
    with torch.no_grad(), shifted_in_place(x, num_frames, dim=dim, prefix=prefix):
        assert torch.equal(x, want)
    assert torch.equal(x, before)


def test_shift_of_one_frame_only_blanks():
    x = torch.ones(3, 8, 2, 2)
    assert shift(x, 1)[:, :2].sum() == 0
    assert torch.equal(shift(x, 1)[:, 2:], x[:, 2:])


def test_shift_refuses_a_broken_clip():
    with pytest.raises(ValueError, match="7 images are not a whole number of clips of 4 frames"):
        shift(torch.zeros(7, 8, 1, 1), 4)


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_altering_the_weight_is_scaling_the_input(groups):
    conv = nn.Conv2d(8, 16, 3, padding=1, groups=groups).double()
    x, gain = torch.randn(2, 8, 5, 5).double(), torch.randn(8).double()
    want = conv(x * (1 + gain).view(1, 8, 1, 1))
    torch.testing.assert_close(Altered(conv, nn.Parameter(gain))(x), want)
    with torch.no_grad():
        torch.testing.assert_close(Altered(conv, nn.Parameter(gain))(x), want)
    linear = nn.Linear(8, 3).double()
    got = nn.functional.linear(x[:, :, 0, 0], alter(linear.weight, gain), linear.bias)
    torch.testing.assert_close(got, linear(x[:, :, 0, 0] * (1 + gain)))


@pytest.mark.parametrize("bias", [True, False])
def test_the_altered_convolution_has_the_gradients_of_scaling_the_input(bias):
    conv = nn.Conv2d(8, 16, 3, stride=2, padding=1, groups=2, bias=bias).double()
    x, gain = torch.randn(2, 8, 5, 5).double().requires_grad_(), nn.Parameter(torch.randn(8).double())
    leaves = [x, gain, *conv.parameters()]
    want = torch.autograd.grad(conv(x * (1 + gain).view(1, 8, 1, 1)).square().sum(), leaves)
    got = torch.autograd.grad(Altered(conv, gain)(x).square().sum(), leaves)
    torch.testing.assert_close(got, want)


def test_the_altered_convolution_runs_in_mixed_precision():
    conv, gain = nn.Conv2d(8, 16, 3), nn.Parameter(torch.randn(8))
    x = torch.randn(2, 8, 5, 5, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = Altered(conv, gain)(x)
    assert y.dtype == torch.bfloat16
    y.float().square().sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in (x, gain, *conv.parameters()))


def test_the_adapter_starts_near_identity_and_is_private():
    gains = ResidualAdapter(nn.Conv2d(4096, 1, 1), (4, 8)).by_frames
    assert not torch.equal(gains["4"], gains["8"])
    assert 0.8e-3 < gains["4"].std() < 1.2e-3


@pytest.mark.parametrize(
    "module",
    [Switchable(nn.BatchNorm2d(2), (4, 8)), ResidualAdapter(nn.Conv2d(2, 2, 1), (4, 8)), TemporalShift(nn.ReLU())],
)
def test_a_routed_module_does_not_run_by_itself(module):
    with pytest.raises(RuntimeError, match="call the whole model"):
        module(torch.zeros(4, 2, 1, 1))
