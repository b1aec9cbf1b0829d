"""Losses stream by stream against the joint loss."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from conftest import random_clips, small

from ffn.losses import METHODS, distillation, labels_and_distillation, temporal_distillation

FRAMES = (2, 4, 8)


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
    _, losses = temporal_distillation(model, streams, labels, torch.Tensor.backward, **options)
    assert math.isclose(sum(losses.values()), joint.item(), rel_tol=1e-12)
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
    temporal_distillation(lambda t: logits[t], {t: t for t in FRAMES}, labels, torch.Tensor.backward)
    (alone,) = torch.autograd.grad(F.cross_entropy(logits[8], labels), logits[8])
    assert torch.equal(logits[8].grad, alone)
    assert all(logits[t].grad.any() for t in (2, 4))


def test_each_stream_is_freed_before_the_next_one_runs():
    model, streams, labels = problem()
    calls = []

    def network(clips):
        calls.append(("forward", clips.shape[1]))
        return model(clips)

    def backward(loss):
        calls.append(("backward", loss.item()))
        loss.backward()

    logits, losses = temporal_distillation(network, streams, labels, backward)
    assert calls == [call for t in (8, 4, 2) for call in (("forward", t), ("backward", losses[t]))]
    assert not any(answer.requires_grad for answer in logits.values())
    assert all(answer.shape == (3, 7) for answer in logits.values())


@pytest.mark.parametrize("method", METHODS)
def test_one_stream_is_plain_cross_entropy(method):
    model, streams, labels = problem()
    want = F.cross_entropy(copy.deepcopy(model)(streams[4]), labels)
    logits, losses = METHODS[method](model, {4: streams[4]}, labels, torch.Tensor.backward)
    assert losses == {4: want.item()}
    assert logits.keys() == {4}


def test_labels_on_every_stream_add_their_cross_entropy():
    model, streams, labels = problem()
    _, plain = temporal_distillation(copy.deepcopy(model), streams, labels, torch.Tensor.backward)
    logits, labelled = labels_and_distillation(model, streams, labels, torch.Tensor.backward)
    for t in (2, 4):
        assert math.isclose(labelled[t] - plain[t], F.cross_entropy(logits[t], labels).item(), rel_tol=1e-9)
    assert labelled[8] == plain[8]
