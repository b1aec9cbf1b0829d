"""Losses stream by stream against the joint loss."""

import copy
import math
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import random_clips, small

from ffn.losses import (
    METHODS,
    Shown,
    distillation,
    labels_alone,
    mixed_sampling,
    one_of_them,
    proportional_sampling,
    shared_out,
    temporal_distillation,
    thinned,
)

FRAMES = (2, 4, 8)
backward = torch.Tensor.backward


@dataclass(frozen=True)
class Settings:
    distillation: float = 1.0
    share: float = 0.5


class Drawing:
    """A generator whose draws are known."""

    def __init__(self, number=0.0, index=0):
        self.number, self.index = number, index

    def random(self):
        return self.number

    def integers(self, high):
        assert self.index < high
        return self.index

    def permutation(self, high):
        return np.roll(np.arange(high), -self.index)


class Seen:
    """A network that keeps what it is shown."""

    def __call__(self, clips):
        self.clips = clips
        return torch.zeros(len(clips), 7, requires_grad=True)


def problem(batch=3):
    """A small network in training mode, float64, with clips of the same videos and their labels."""
    model = small(FRAMES, channels=(8, 8, 8, 8)).double().train()
    streams = {t: random_clips(t, batch, size=16, seed=t).double() for t in FRAMES}
    return model, streams, torch.arange(batch)


def joint_loss(model, streams, labels, weight=1.0, label_every_stream=False):
    """Equations 3-5 written down as one sum."""
    logits = {t: model(streams[t]) for t in FRAMES}
    teacher = logits[8].detach().softmax(-1)
    loss = F.cross_entropy(logits[8], labels)
    for t in (2, 4):
        student = logits[t].log_softmax(-1)
        loss = loss + weight * (teacher * (teacher.log() - student)).sum(-1).mean()
        if label_every_stream:
            loss = loss + F.cross_entropy(logits[t], labels)
    return loss


def gradients(model):
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("options", [{}, {"weight": 0.3}, {"label_every_stream": True}])
def test_backward_per_stream_gives_the_gradients_of_the_joint_loss(options):
    model, streams, labels = problem()
    other = copy.deepcopy(model)
    joint = joint_loss(other, streams, labels, **options)
    joint.backward()
    losses = temporal_distillation(model, streams, labels, backward, **options).losses
    assert math.isclose(sum(losses.values()).item(), joint.item(), rel_tol=1e-12)
    want = gradients(other)
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, want[name], rtol=1e-9, atol=1e-12)
    for (name, buffer), wanted in zip(model.named_buffers(), other.buffers(), strict=True):
        assert torch.equal(buffer, wanted), name


def test_distillation_is_the_divergence_from_the_teacher():
    student, teacher = torch.randn(5, 7).double(), torch.randn(5, 7).double()
    categorical = torch.distributions.Categorical
    want = torch.distributions.kl_divergence(categorical(logits=teacher), categorical(logits=student)).mean()
    torch.testing.assert_close(distillation(student, teacher), want)
    assert distillation(teacher, teacher).abs() < 1e-12


def test_the_teacher_learns_nothing_from_its_students():
    logits = {t: torch.randn(3, 7, requires_grad=True) for t in FRAMES}
    labels = torch.tensor([1, 2, 3])
    streams = {t: random_clips(t, 3, size=16) for t in FRAMES}
    temporal_distillation(lambda clips: logits[clips.shape[1]], streams, labels, backward)
    (alone,) = torch.autograd.grad(F.cross_entropy(logits[8], labels), logits[8])
    assert torch.equal(logits[8].grad, alone)
    assert all(logits[t].grad.any() for t in (2, 4))


def test_each_stream_is_freed_before_the_next_one_runs():
    model, streams, labels = problem()
    calls = []

    def network(clips):
        calls.append(("forward", clips.shape[1]))
        return model(clips)

    def recording(loss):
        calls.append(("backward", loss.item()))
        loss.backward()

    outcome = temporal_distillation(network, streams, labels, recording)
    logits, losses = outcome.logits, outcome.losses
    assert calls == [call for t in (8, 4, 2) for call in (("forward", t), ("backward", losses[t]))]
    assert not any(tensor.requires_grad for tensor in (*logits.values(), *losses.values()))
    assert all(answer.shape == (3, 7) for answer in logits.values())


@pytest.mark.parametrize("method", METHODS)
def test_one_stream_is_plain_cross_entropy(method):
    model, streams, labels = problem()
    want = F.cross_entropy(copy.deepcopy(model)(streams[4]), labels)
    rng = np.random.default_rng(0)
    outcome = METHODS[method](Settings())(model, {4: streams[4]}, labels, backward, rng)
    assert outcome.losses == {4: want.item()}
    assert outcome.logits.keys() == {4}


def test_labels_on_every_stream_add_their_cross_entropy():
    model, streams, labels = problem()
    plain = temporal_distillation(copy.deepcopy(model), streams, labels, backward).losses
    rng = np.random.default_rng(0)
    outcome = METHODS["ffn-labels"](Settings())(model, streams, labels, backward, rng)
    logits, labelled = outcome.logits, outcome.losses
    for t in (2, 4):
        assert math.isclose(labelled[t] - plain[t], F.cross_entropy(logits[t], labels).item(), rel_tol=1e-9)
    assert labelled[8] == plain[8]


def test_methods_hear_the_weight_of_distillation():
    model, streams, labels = problem()
    rng = np.random.default_rng(0)
    one = METHODS["ffn"](Settings())(copy.deepcopy(model), streams, labels, backward, rng).losses
    other = METHODS["ffn"](Settings(distillation=0.3))(model, streams, labels, backward, rng).losses
    for t in (2, 4):
        torch.testing.assert_close(other[t], 0.3 * one[t])
    assert other[8] == one[8]


@pytest.mark.parametrize("method", METHODS)
def test_labels_may_be_shares_of_the_classes(method):
    model, streams, labels = problem()
    outcomes = []
    for answer in (labels, F.one_hot(labels, 7).double()):
        rng = np.random.default_rng(0)
        outcomes.append(METHODS[method](Settings())(copy.deepcopy(model), streams, answer, backward, rng).losses)
    assert outcomes[0].keys() == outcomes[1].keys()
    for t, loss in outcomes[0].items():
        torch.testing.assert_close(outcomes[1][t], loss)


@pytest.mark.parametrize("method", ["ffn", "ffn-labels"])
def test_a_sampled_stream_has_the_gradients_of_all_in_expectation(method):
    model, streams, labels = problem()
    whole, one, other = (copy.deepcopy(model) for _ in range(3))
    METHODS[method](Settings())(whole, streams, labels, backward, Drawing())
    for drawn, shown in ((one, 0), (other, 1)):
        outcome = METHODS[f"{method}-sampled"](Settings())(drawn, streams, labels, backward, Drawing(index=shown))
        assert outcome.losses.keys() == {8, (4, 2)[shown]}
    want = gradients(whole)
    halves = gradients(one), gradients(other)
    for name, gradient in want.items():
        mean = sum(half[name] if half[name] is not None else 0 for half in halves) / 2
        torch.testing.assert_close(mean, gradient, rtol=1e-9, atol=1e-12)


def test_sampled_streams_are_drawn_evenly_and_need_a_generator():
    model, streams, labels = Seen(), {t: random_clips(t, 3, size=16) for t in FRAMES}, torch.arange(3)
    method = METHODS["ffn-sampled"](Settings())
    drawn = [min(method(model, streams, labels, backward, np.random.default_rng(seed)).losses) for seed in range(200)]
    assert set(drawn) == {2, 4}
    assert 70 < drawn.count(2) < 130
    with pytest.raises(ValueError, match="it needs an rng"):
        temporal_distillation(model, streams, labels, backward, show=one_of_them)


@pytest.mark.parametrize("clips", [4, 5])
@pytest.mark.parametrize("method", ["ffn", "ffn-labels"])
def test_split_streams_have_the_gradients_of_all_over_every_way_to_share_the_clips_out(method, clips):
    """Clips are shared out by their place in the batch, which an epoch's order draws: here each has each place once."""
    model, streams, labels = problem(clips)
    model.eval()  # the statistics of a batch norm depend on what is beside a clip
    whole, split = copy.deepcopy(model), copy.deepcopy(model)
    METHODS[method](Settings())(whole, streams, labels, backward, Drawing())
    ways = list(product(range(clips), (0, 1)))
    for turn, first in ways:
        turned = {t: clips.roll(turn, 0) for t, clips in streams.items()}
        rng = Drawing(index=first)
        outcome = METHODS[f"{method}-split"](Settings())(split, turned, labels.roll(turn, 0), backward, rng)
        sizes = {t: len(logits) for t, logits in outcome.logits.items()}
        assert sizes[8] == sizes[4] + sizes[2] == clips
    want = gradients(whole)
    for name, gradient in gradients(split).items():
        torch.testing.assert_close(gradient / len(ways), want[name], rtol=1e-9, atol=1e-12)


def test_split_streams_are_taught_what_the_longest_says_of_their_own_clips():
    streams = {t: random_clips(t, 5, size=16) for t in FRAMES}
    labels = torch.arange(5)
    logits = {t: torch.randn(5, 7) for t in FRAMES}
    shown = {t: part for t, part in zip((8, 4, 2), (slice(0, 5), slice(0, 3), slice(3, 5)), strict=True)}
    network = lambda clips: logits[clips.shape[1]][shown[clips.shape[1]]].clone().requires_grad_()  # noqa: E731
    outcome = METHODS["ffn-split"](Settings())(network, streams, labels, backward, Drawing())
    for t in (4, 2):
        torch.testing.assert_close(outcome.losses[t], distillation(logits[t][shown[t]], logits[8][shown[t]]))
        assert torch.equal(outcome.labels[t], labels[shown[t]])


@pytest.mark.parametrize("clips", [4, 5, 16, 17])
def test_clips_are_shared_out_evenly_and_what_is_left_over_in_turn(clips):
    rng = np.random.default_rng(0)
    sizes = []
    for _ in range(600):
        parts = [shown.clips for shown in shared_out((6, 4, 2), clips, rng).values()]
        assert [i for part in parts for i in range(clips)[part]] == list(range(clips))
        sizes.append([part.stop - part.start for part in parts])
    assert np.ptp(sizes, axis=1).max() <= 1
    np.testing.assert_allclose(np.mean(sizes, axis=0), clips / 3, atol=0.06)


def test_clips_that_can_be_shared_out_evenly_need_no_generator():
    assert shared_out((4, 2), 16, None) == {4: Shown(slice(0, 8)), 2: Shown(slice(8, 16))}
    with pytest.raises(ValueError, match="it needs an rng"):
        shared_out((4, 2), 5, None)
    with pytest.raises(ValueError, match="1 clips cannot be shared out among 2 streams; take larger batches"):
        shared_out((4, 2), 1, None)


@pytest.mark.parametrize(("number", "shown"), [(0.24, (8, 4, 2)), (0.25, (8, 2))])
def test_a_thinned_step_is_one_of_the_streams_that_it_shows(number, shown):
    model, streams, labels = problem()
    other = copy.deepcopy(model)
    want = METHODS["ffn"](Settings())(other, {t: streams[t] for t in shown}, labels, backward, Drawing()).losses
    thin = METHODS["ffn-thinned"](Settings(share=0.25))
    assert thin(model, streams, labels, backward, Drawing(number)).losses == want
    assert list(want) == list(shown)
    for name, gradient in gradients(other).items():
        torch.testing.assert_close(gradients(model)[name], gradient, rtol=0, atol=0)


def test_what_lies_between_the_ends_is_thinned_stream_by_stream():
    rng = np.random.default_rng(0)
    drawn = [thinned((12, 8, 4), 3, rng, share=0.3) for _ in range(600)]
    for t, share in ((12, 0.3), (8, 0.3), (4, 1.0)):
        assert np.mean([t in shown for shown in drawn]) == pytest.approx(share, abs=0.05)
    assert any(12 in shown and 8 not in shown for shown in drawn)
    with pytest.raises(ValueError, match="it needs an rng"):
        thinned((8, 4), 3, None, share=0.3)
    assert thinned((4,), 3, None, share=0.3) == {4: Shown()}


@pytest.mark.parametrize("method", ["labels", "single"])
def test_labels_alone_are_the_sum_of_cross_entropies(method):
    model, streams, labels = problem()
    other = copy.deepcopy(model)
    joint = sum(F.cross_entropy(other(streams[t]), labels) for t in FRAMES)
    joint.backward()
    rng = np.random.default_rng(0)
    outcome = METHODS[method](Settings())(model, streams, labels, backward, rng)
    logits, losses = outcome.logits, outcome.losses
    assert list(losses) == [8, 4, 2]
    assert math.isclose(sum(losses.values()).item(), joint.item(), rel_tol=1e-12)
    want = gradients(other)
    for name, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, want[name], rtol=1e-9, atol=1e-12)
    assert not any(tensor.requires_grad for tensor in (*logits.values(), *losses.values()))


def test_proportional_sampling_shows_the_longest_or_the_shortest():
    model, streams, labels = problem()
    for number, shown in ((0.69, 8), (0.7, 2)):
        want = labels_alone(copy.deepcopy(model), {shown: streams[shown]}, labels, backward).losses
        rng = Drawing(number)
        seen = proportional_sampling(copy.deepcopy(model), streams, labels, backward, rng, share=0.7)
        assert seen.losses == want


def test_mixed_sampling_mixes_the_shortest_into_consecutive_frames_of_the_longest():
    _, streams, labels = problem()
    before = {t: clips.clone() for t, clips in streams.items()}
    network = Seen()
    outcome = mixed_sampling(network, streams, labels, backward, Drawing(0.25, index=3), share=0.5)
    assert outcome.losses.keys() == {8}
    want = streams[8].clone()
    want[:, 3:5] = 0.75 * streams[8][:, 3:5] + 0.25 * streams[2]
    torch.testing.assert_close(network.clips, want)
    mixed_sampling(network, streams, labels, backward, Drawing(0.5), share=0.5)
    assert torch.equal(network.clips, streams[8])
    assert all(torch.equal(streams[t], before[t]) for t in FRAMES)


def test_mixed_sampling_reaches_every_place_and_every_weight():
    clips = {2: torch.ones(1, 2, 1, 1, 1), 8: torch.zeros(1, 8, 1, 1, 1)}
    places, weights, mixed = set(), [], 0
    for seed in range(400):
        network, rng = Seen(), np.random.default_rng(seed)
        mixed_sampling(network, clips, torch.tensor([0]), backward, rng, share=0.75)
        if at := network.clips.flatten().nonzero().flatten().tolist():
            mixed += 1
            assert at == [at[0], at[0] + 1]
            places.add(at[0])
            weights.append(network.clips.max().item())
    assert places == set(range(7))
    assert 270 < mixed < 330
    assert 0.45 < np.mean(weights) < 0.55
    assert max(weights) - min(weights) > 0.9
