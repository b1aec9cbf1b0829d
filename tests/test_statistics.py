"""What norm layers see against what they normalise with."""

import numpy as np
import pytest
import torch
from conftest import random_clips, redraw, small
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.distributions import Normal, kl_divergence

import ffn
from ffn.divergence import Gaussian, divergence, divergences
from ffn.statistics import (
    Moments,
    branch_divergences,
    measured,
    network_divergences,
    norm_layers,
    norm_parameters,
    running_statistics,
    stage_of,
)

FRAMES = (4, 8, 16)


def vit(frames=FRAMES):
    torch.manual_seed(0)
    model = ffn.create_model("vit_tiny_patch16_224", frames, num_classes=7, img_size=32, depth=2)
    redraw(model)
    return model.eval()


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


@pytest.mark.parametrize("seed", range(3))
def test_the_wasserstein_distance_is_that_between_the_samples(seed):
    """In one dimension it is the distance between sorted samples, here in deviations of the statistics in use."""
    seen, used = (Gaussian(g.mean[:1], g.variance[:1]) for g in gaussians(seed))
    places = torch.linspace(0, 1, 100_001, dtype=torch.float64)[1:-1]
    p, q = (Normal(torch.tensor(g.mean), torch.tensor(g.variance + 1e-5).sqrt()) for g in (seen, used))
    want = (p.icdf(places) - q.icdf(places)).square().mean().sqrt() / q.scale
    assert divergence(seen, used).wasserstein == pytest.approx(float(want), rel=1e-3)


def test_a_distance_in_deviations_does_not_depend_on_the_scale():
    seen, used = gaussians(0)
    larger = [Gaussian(100 * g.mean, 100**2 * g.variance) for g in (seen, used)]
    one, other = divergence(seen, used, eps=0), divergence(*larger, eps=0)
    assert vars(one) == pytest.approx(vars(other))


def test_layers_that_one_side_lacks_are_left_out():
    seen, used = gaussians(0)
    assert list(divergences({"a": seen, "b": seen}, {"b": used, "c": used})) == ["b"]


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


@torch.no_grad()
def test_what_goes_into_a_layer_norm_is_measured_per_channel():
    model, clips = vit(), random_clips(8)
    plain, found = model.at(8, 8), {}
    layers = norm_layers(plain)
    hooks = [
        norm.register_forward_hook(lambda m, x, _, name=name: found.update({name: x[0].flatten(0, -2)}))
        for name, norm in layers.items()
    ]
    plain(clips)
    for hook in hooks:
        hook.remove()
    network, moments = measured(plain)
    network(clips)
    assert list(moments) == list(layers) == list(found)
    for name, x in found.items():
        np.testing.assert_allclose(moments[name].gaussian().mean, x.mean(0), atol=1e-4)
        np.testing.assert_allclose(moments[name].gaussian().variance, x.var(0, correction=0), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("make", [small, vit])
def test_a_layer_has_one_name_in_all_branches_and_in_a_network_of_one(make):
    several, one = make((4, 8)), make((8,))
    names = list(norm_layers(one.at(8, 8)))
    assert names == list(norm_layers(several.at(4, 4))) == list(norm_layers(several.at(8, 16)))
    assert not any("net" in name.split(".") or name.startswith("backbone") for name in names)


@pytest.mark.parametrize(
    ("layer", "stage"),
    [
        ("layer4.0.bn1", "layer4"),
        ("stages.3.blocks.0.norm1", "stages.3"),
        ("blocks.11.norm1", "blocks.11"),
        ("norm", "norm"),
        ("bn1", "bn1"),
    ],
)
def test_a_stage_is_the_numbered_part(layer, stage):
    assert stage_of(layer) == stage


def test_parameters_are_those_of_the_branch():
    model = small(FRAMES)
    norm = model.network.backbone.layer1[0].bn1.by_frames["8"]
    found = norm_parameters(model, 8)["layer1.0.bn1"]
    want = {"mean": norm.running_mean, "variance": norm.running_var, "weight": norm.weight, "bias": norm.bias}
    for name, tensor in want.items():
        np.testing.assert_array_equal(getattr(found, name), tensor.detach().double())


def test_a_layer_norm_has_weights_and_no_statistics():
    found = norm_parameters(vit(), 8)["blocks.0.norm1"]
    assert np.isnan(found.mean).all()
    assert np.isnan(found.variance).all()
    assert found.mean.shape == found.weight.shape == found.bias.shape
    assert np.isfinite(found.weight).all()


def test_networks_diverge_from_others_and_not_from_themselves():
    one, other = small(FRAMES), small((8,), seed=1)
    assert all(found.wasserstein == 0 for found in network_divergences(one, one, 8, 8).values())
    found = network_divergences(one, other, 8, 8)
    assert list(found) == list(running_statistics(other.at(8, 8)))
    assert all(measure.wasserstein > 0 for measure in found.values())
