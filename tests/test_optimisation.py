"""Which parameters decay and how fast each learns; when."""

import math

import pytest
import torch
from conftest import SMALL
from torch.optim.lr_scheduler import OneCycleLR

import ffn
from ffn import Training
from ffn.optimisation import SCHEDULES, optimiser, rate, schedule

TINY = Training(epochs=2, batch_size=4, learning_rate=1e-2)


def network(architecture="resnet18", **kwargs):
    torch.manual_seed(0)
    return ffn.create_model(architecture, (2, 4), **{**SMALL, **kwargs})


def by_name(model, training):
    """Decay and learning rate of every parameter."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    groups = optimiser(model, training).param_groups
    pairs = [(names[id(p)], (group["weight_decay"], group["lr"])) for group in groups for p in group["params"]]
    assert len(pairs) == len(dict(pairs)) == len(names)
    return dict(pairs)


def test_norms_gains_and_biases_do_not_decay():
    decayed, kept = optimiser(network(), TINY).param_groups
    assert (decayed["weight_decay"], kept["weight_decay"]) == (TINY.weight_decay, 0)
    assert all(parameter.ndim > 1 for parameter in decayed["params"])
    assert all(parameter.ndim == 1 for parameter in kept["params"])
    assert len(decayed["params"]) + len(kept["params"]) == len(list(network().parameters()))


@pytest.mark.parametrize(("epochs", "milestone"), [(22, 15), (23, 13), (26, 15)])
def test_a_milestone_is_the_first_step_after_so_many_epochs(epochs, milestone):
    training = Training(schedule="step", warmup=0.0, epochs=epochs, milestones=(milestone,))
    for steps in (7, 150):
        rates = [rate(training, step / (epochs * steps)) for step in range(epochs * steps)]
        assert rates.index(0.1) == milestone * steps


def test_gains_decay_when_asked():
    model = network()
    gains = {name for name, p in model.named_parameters() if p.ndim == 1 and "conv1" in name}
    assert len(gains) == 8 * 2
    plain, asked = (by_name(model, Training(decay_gains=decay)) for decay in (False, True))
    assert {name for name in plain if plain[name] != asked[name]} == gains
    assert all(asked[name][0] == Training().weight_decay for name in gains)


@pytest.mark.parametrize(
    ("architecture", "head", "options"),
    [
        ("resnet18", "network.backbone.fc", {}),
        ("slowfast_resnet50", "network.head", {"channels": None, "depths": (1, 1, 1, 1), "width": 8}),
        ("uniformer_small", "network.head", {"channels": None, "depths": (1,) * 4, "dims": (8,) * 4, "head_dim": 4}),
    ],
)
def test_the_classifier_learns_five_and_its_bias_ten_times_as_fast(architecture, head, options):
    options = {name: value for name, value in {**SMALL, **options}.items() if value is not None}
    model = ffn.create_model(architecture, (4, 8), **options)
    plain, fast = (by_name(model, Training(head_rate=head_rate)) for head_rate in (1.0, 5.0))
    assert {name for name in plain if plain[name] != fast[name]} == {f"{head}.weight", f"{head}.bias"}
    assert fast[f"{head}.weight"] == (Training().weight_decay, 5 * Training().learning_rate)
    assert fast[f"{head}.bias"] == (0, 10 * Training().learning_rate)


@pytest.mark.parametrize(
    ("architecture", "heads", "options"),
    [
        ("vit_tiny_patch16_224", ["head"], {"img_size": 32, "depth": 1, "num_classes": 192}),  # as wide as its tokens
        ("resnetv2_18", ["head.fc"], {"channels": (8, 8, 8, 8)}),  # a convolution
        ("tea_resnet50", ["fc"], {"layers": (1, 1, 1, 1), "channels": (8, 8, 8, 8)}),
        ("repvit_m1", ["head.head.l", "head.head_dist.l"], {"embed_dim": (8, 8, 8, 8), "depth": (1, 1, 1, 1)}),
    ],
)
def test_the_classifier_is_the_one_that_timm_names(architecture, heads, options):
    model = ffn.create_model(architecture, (2, 4), **{"num_classes": 8, **options})
    plain, fast = (by_name(model, Training(head_rate=head_rate)) for head_rate in (1.0, 0.25))
    changed = {name: fast[name][1] / plain[name][1] for name in plain if plain[name] != fast[name]}
    speeds = {"weight": 0.25, "bias": 0.5}
    assert changed == {f"network.backbone.{head}.{kind}": speeds[kind] for head in heads for kind in speeds}


def test_networks_that_share_nothing_have_a_classifier_each():
    model = network(sharing=False)
    plain, fast = (by_name(model, Training(head_rate=head_rate)) for head_rate in (1.0, 5.0))
    heads = {f"network.by_frames.{t}.backbone.fc.{kind}" for t in (2, 4) for kind in ("weight", "bias")}
    assert {name for name in plain if plain[name] != fast[name]} == heads


def test_where_all_learn_alike_a_network_needs_no_classifier():
    model = ffn.FrameFlexible(torch.nn.Linear(2, 3), (4,), config={})
    assert set(by_name(model, TINY)) == {"network.weight", "network.bias"}


def test_frozen_parameters_are_left_out():
    model = network()
    model.network.backbone.conv1.weight.requires_grad_(False)
    listed = {id(p) for group in optimiser(model, TINY).param_groups for p in group["params"]}
    assert id(model.network.backbone.conv1.weight) not in listed
    assert len(listed) == len(list(model.parameters())) - 1


def test_sgd_is_told_its_momentum():
    sgd = optimiser(network(), Training(optimiser="sgd", momentum=0.8, nesterov=True))
    assert isinstance(sgd, torch.optim.SGD)
    assert (sgd.defaults["momentum"], sgd.defaults["nesterov"]) == (0.8, True)
    assert isinstance(optimiser(network(), TINY), torch.optim.AdamW)


@pytest.mark.parametrize(("settings", "want"), [({"optimiser": "sgd", "momentum": 0.3}, 0.3), ({}, 0.85)])
def test_onecycle_leaves_sgd_its_momentum_and_moves_adamw_s(settings, want):
    training = Training(schedule="onecycle", warmup=0.5, **settings)
    chosen = optimiser(network(), training)
    plan = schedule(chosen, training, 8)
    found = []
    for _ in range(8):
        group = chosen.param_groups[0]
        found.append(group["momentum"] if settings else group["betas"][0])
        chosen.step()
        plan.step()
    assert min(found) == pytest.approx(want, abs=1e-3)


def rates(training, steps):
    """The learning rates of all groups at every step."""
    steepest = optimiser(network(), training)
    plan = schedule(steepest, training, steps)
    seen = []
    for _ in range(steps):
        seen.append([group["lr"] for group in steepest.param_groups])
        steepest.step()
        plan.step()
    return torch.tensor(seen, dtype=torch.float64)


@pytest.mark.parametrize("name", SCHEDULES)
def test_all_groups_rise_and_fall_together(name):
    training = Training(schedule=name, head_rate=5.0, warmup=0.2, milestones=(6.0,), epochs=10)
    seen = rates(training, 30)
    torch.testing.assert_close(seen / seen[0], (seen[:, :1] / seen[0, 0]).expand_as(seen))
    assert sorted(set((seen[0] / seen[0].min()).round().tolist())) == [1, 5, 10]
    assert seen.amax(0).min() == pytest.approx(training.learning_rate, rel=0.05)


def test_warm_up_is_linear_and_the_cosine_ends_where_it_is_told():
    training = Training(schedule="cosine", learning_rate=1.0, warmup=0.1, warmup_rate=0.2, final_rate=0.05)
    seen = rates(training, 100)[:, 0]
    torch.testing.assert_close(seen[:11], torch.linspace(0.2, 1, 11, dtype=torch.float64))
    assert seen[55] == pytest.approx((1 + 0.05) / 2)
    assert rate(training, 1.0) == pytest.approx(0.05)
    assert (seen[10:].diff() < 0).all()


def test_steps_fall_at_their_epochs():
    training = Training(schedule="step", learning_rate=2.0, warmup=0.0, milestones=(2.0, 3.0), decay=0.5, epochs=4)
    assert rates(training, 12)[:, 0].tolist() == [2.0] * 6 + [1.0] * 3 + [0.5] * 3


def test_onecycle_is_torch_s():
    seen = rates(Training(learning_rate=1.0, warmup=0.3), 100)[:, 0]
    assert seen.argmax() == math.floor(0.3 * 100) - 1
    assert seen[0] == pytest.approx(1 / 25)
    assert seen[-1] < 1e-4


def onecycle(share, steps, plan):
    """The learning rates of one weight over all steps, by the schedule that `plan` makes of its optimiser."""
    sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    planned = plan(sgd, Training(warmup=share), steps)
    seen = []
    for _ in range(steps):
        seen.append(sgd.param_groups[0]["lr"])
        sgd.step()
        planned.step()
    return seen


def torchs(sgd, training, steps):
    return OneCycleLR(sgd, 1.0, total_steps=steps, pct_start=training.warmup)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 7, 10, 20, 49])
def test_any_warm_up_over_any_steps_is_torch_s_where_torch_s_can_be(steps):
    shares = [i / parts for parts in (50, steps) for i in range(parts)]
    for share in (0.15, math.nextafter(1.0, 0.0), *shares):
        ours = onecycle(share, steps, schedule)
        assert all(0 < rate <= 1 for rate in ours)
        try:
            assert ours == onecycle(share, steps, torchs)
        except ZeroDivisionError:
            assert share * steps in (1, steps)


@pytest.mark.parametrize("steps", [2, 10, 30, 49])
def test_a_warm_up_of_one_step_has_its_peak_there(steps):
    seen = onecycle(1 / steps, steps, schedule)
    assert seen[0] == pytest.approx(1)
    assert seen == sorted(seen, reverse=True)
    assert seen == pytest.approx(onecycle((1 - 1e-9) / steps, steps, schedule))
