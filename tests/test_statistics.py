"""What norm layers see against what they normalise with."""

import numpy as np
import pytest
import torch
from conftest import random_clips, small
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.distributions import Normal, kl_divergence

from ffn.divergence import Gaussian, divergence
from ffn.statistics import Moments, branch_divergences, measured, norm_summaries, running_statistics

FRAMES = (4, 8, 16)


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(0, 99), st.floats(-50, 50))
def test_moments_of_batches_are_those_of_everything(sizes, seed, offset):
    generator = torch.Generator().manual_seed(seed)
    batches = [torch.randn(n, 3, 2, 4, generator=generator).double() * 5 + offset for n in sizes]
    moments = Moments()
    for batch in batches:
        moments.add(batch)
    together = torch.cat(batches).transpose(0, 1).flatten(1)
    found = moments.gaussian()
    assert moments.count == together.shape[1]
    np.testing.assert_allclose(found.mean, together.mean(1), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.variance, together.var(1, correction=0), rtol=1e-9, atol=1e-9)


def gaussians(seed, channels=6):
    rng = np.random.default_rng(seed)
    return [Gaussian(rng.normal(size=channels), rng.uniform(0.2, 3, channels)) for _ in range(2)]


@pytest.mark.parametrize("seed", range(3))
def test_divergence_is_that_of_normal_distributions(seed):
    seen, used = gaussians(seed)
    p, q = (Normal(torch.tensor(g.mean), torch.tensor(g.variance + 1e-5).sqrt()) for g in (seen, used))
    found = divergence(seen, used)
    want = (kl_divergence(p, q) + kl_divergence(q, p)).mean() / 2
    assert found.symmetric_kl == pytest.approx(float(want))
    assert found.mean_shift == pytest.approx(float(((p.loc - q.loc).abs() / q.scale).mean()))
    assert found.log_variance_ratio == pytest.approx(float((p.variance / q.variance).log().abs().mean()))


def test_equal_statistics_do_not_diverge_and_kl_is_symmetric():
    seen, used = gaussians(0)
    assert divergence(seen, seen) == divergence(used, used)
    assert divergence(seen, seen).symmetric_kl == 0
    assert divergence(seen, used).symmetric_kl == pytest.approx(divergence(used, seen).symmetric_kl)


def test_channels_without_variance_have_a_finite_divergence():
    dead = Gaussian(np.zeros(2), np.zeros(2))
    assert np.isfinite(divergence(dead, Gaussian(np.ones(2), np.ones(2))).symmetric_kl)


def by_hand(network, clips):
    """Inputs' statistics of every batch norm, measured with hooks."""
    found = {}
    hooks = [
        module.register_forward_hook(lambda m, x, _, name=name: found.update({name: x[0]}))
        for name, module in network.named_modules()
        if isinstance(module, nn.BatchNorm2d)
    ]
    network(clips)
    for hook in hooks:
        hook.remove()
    return {name.removeprefix("backbone."): torch.var_mean(x, (0, 2, 3), correction=0) for name, x in found.items()}


@torch.no_grad()
def test_what_is_measured_is_what_goes_into_the_norms():
    model, clips = small(FRAMES), random_clips(8, batch=4)
    plain = model.at(8, 8)
    want = by_hand(plain, clips)
    network, moments = measured(plain)
    for part in clips.split(2):
        network(part)
    assert list(moments) == list(want) == list(running_statistics(plain))
    for name, (variance, mean) in want.items():
        torch.testing.assert_close(torch.tensor(moments[name].gaussian().mean).float(), mean, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(
            torch.tensor(moments[name].gaussian().variance).float(), variance, rtol=1e-4, atol=1e-4
        )


@torch.no_grad()
def test_measuring_changes_neither_the_answer_nor_the_network():
    model, clips = small(FRAMES), random_clips(6)
    before, want = [*model.modules()], model(clips)
    network, _ = measured(model.at(8, 6))
    assert torch.equal(network(clips), want)
    assert torch.equal(model(clips), want)
    assert [*model.modules()] == before
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_branches_diverge_from_others_and_not_from_themselves():
    model = small(FRAMES)
    own, others = branch_divergences(model, 4, 4), branch_divergences(model, 4, 16)
    assert list(own) == list(others) == list(running_statistics(model.at(4, 4)))
    assert all(found.symmetric_kl == 0 for found in own.values())
    assert all(found.mean_shift > 0 and found.symmetric_kl > 0 for found in others.values())
    assert "layer3.1.bn2" in own


def test_summaries_are_channel_means_of_the_branch():
    model = small(FRAMES)
    norm = model.network.backbone.layer1[0].bn1.by_frames["8"]
    row = norm_summaries(model, 8)["layer1.0.bn1"]
    want = {
        "mean": norm.running_mean,
        "variance": norm.running_var,
        "weight": norm.weight.detach(),
        "bias": norm.bias.detach(),
    }
    assert row == pytest.approx({name: float(values.mean()) for name, values in want.items()})
    assert norm_summaries(model, 4)["layer1.0.bn1"] != row
