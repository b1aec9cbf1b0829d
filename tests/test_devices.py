"""What runs on the CPU runs on a GPU, and says the same; here on every device that the machine has."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import SMALL, error, small

import ffn
from ffn import Training, policy_comparison
from ffn.branches import with_branch
from ffn.budget import Policy
from ffn.capture import Captured
from ffn.costs import latency
from ffn.losses import METHODS
from ffn.policies import POLICIES
from ffn.streaming import Stream
from ffn.training import PRECISIONS, Trainer

DEVICES = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
NETWORKS = {
    "shift": ("resnet18", {}),
    "tea": ("tea_resnet50", {"layers": [1, 1, 1, 1], "channels": [16, 16, 24, 32]}),
    "slowfast": ("slowfast_resnet50", {"depths": [1, 1, 1, 1], "width": 16}),
    "uniformer": ("uniformer_small", {"depths": [1, 1, 1, 1], "dims": [16, 16, 32, 32], "head_dim": 16}),
}

STILL = {"learning_rate": 1e-12, "momentum": 0.0}  # the weights stay where they are

pytestmark = pytest.mark.parametrize("device", DEVICES)


def clips_of(folder, frames=(4, 6, 8), **kwargs):
    return ffn.Clips(folder, frames=frames, preprocessing=ffn.Preprocessing(resize=36, crop=32), **kwargs)


def network(name="shift", frames=(4, 8)):
    architecture, options = NETWORKS[name]
    torch.manual_seed(0)
    options = options or {"channels": SMALL["channels"]}
    return ffn.create_model(architecture, frames, num_classes=2, **options)


def drawn(device):
    """A network with nothing at its default, and clips of it: the model on the CPU, a copy on the device."""
    model = small((4, 8), num_classes=2)
    return model, small((4, 8), num_classes=2).to(device)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_every_network_trains_in_every_precision(folder, device, precision, name):
    settings = Training(epochs=2, batch_size=4, precision=precision, clip_gradient=1.0, learning_rate=1e-3)
    frames = (8, 16) if name == "slowfast" else (4, 8)
    model = network(name, frames).to(device)
    before = {key: weight.clone() for key, weight in model.named_parameters()}
    rows = list(ffn.train(model, clips_of(folder, frames, seed=0), settings))
    assert all(np.isfinite(list(row.losses.values())).all() for row in rows)
    assert any(not torch.equal(weight, before[key]) for key, weight in model.named_parameters())


@pytest.mark.parametrize("name", ["slowfast", "uniformer"])
def test_short_clips_of_3d_networks_train_alike_whatever_memory_held(folder, device, name):
    frames = (8, 16) if name == "slowfast" else (2, 4)

    def trained():
        for size in (10**3, 10**4, 10**5, 10**6):  # what the allocator hands out next
            torch.full((size,), float("nan"), device=device)
        model = network(name, frames).to(device)
        list(ffn.train(model, clips_of(folder, frames, seed=0), Training(epochs=1, batch_size=4, precision="bfloat16")))
        return model.state_dict()

    first = trained()
    for _ in range(5):
        assert all(torch.allclose(t, first[key], atol=1e-3) for key, t in trained().items())


@pytest.mark.parametrize("method", METHODS)
def test_every_method_trains(folder, device, method):
    settings = Training(method, epochs=1, batch_size=4, mixup=0.4, label_smoothing=0.1)
    (row,) = ffn.train(network().to(device), clips_of(folder, (4, 8), seed=0), settings)
    assert row.clips == 4


def test_a_training_goes_on_where_it_stopped(folder, device):
    settings = Training(epochs=3, batch_size=2)

    def trainer():
        return Trainer(network().to(device), clips_of(folder, (4, 8), seed=0), settings)

    whole, begun, resumed = trainer(), trainer(), trainer()
    list(whole)
    next(iter(begun))
    resumed.load_state_dict(begun.state_dict())
    list(resumed)
    for name, weight in whole.model.state_dict().items():
        assert torch.allclose(weight, resumed.model.state_dict()[name], atol=1e-3), name


@pytest.mark.parametrize("method", ["ffn", "ffn-labels-sampled"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_recorded_step_has_the_gradients_and_statistics_of_one_that_is_not(folder, device, precision, method):
    trainers = []
    for capture in (False, True):
        settings = Training(method, epochs=3, batch_size=4, optimiser="sgd", precision=precision, capture=capture)
        trainers.append(Trainer(network().to(device), clips_of(folder, (4, 8), seed=0), replace(settings, **STILL)))
    for _ in zip(*trainers, strict=True):
        plain, recorded = (dict(trainer.model.named_parameters()) for trainer in trainers)
        for name, weight in plain.items():
            assert (weight.grad is None) == (recorded[name].grad is None), name
            if weight.grad is not None:
                difference = (weight.grad - recorded[name].grad).norm() / (weight.grad.norm() + 1e-6)
                assert difference < (5e-2 if precision == "bfloat16" else 1e-2), name
        buffers = dict(trainers[1].model.named_buffers())
        for name, buffer in trainers[0].model.named_buffers():
            assert torch.allclose(buffer.float(), buffers[name].float(), rtol=2e-2, atol=2e-2), name


@pytest.mark.parametrize(
    ("problem", "said"),
    [(RuntimeError("no copies\nmore"), ValueError), (torch.OutOfMemoryError("full"), torch.OutOfMemoryError)],
)
def test_what_cannot_be_recorded_is_one_line_and_a_full_device_stays_one(device, monkeypatch, problem, said):
    def refuse(*_, **__):
        raise problem

    monkeypatch.setattr(torch.cuda, "make_graphed_callables", refuse)
    with pytest.raises(said, match=r"cannot be recorded \(no copies\); train it without|full"):
        Captured(network().to(device))(torch.zeros(2, 4, 3, 32, 32, device=device), 4)


@pytest.mark.parametrize("policy", POLICIES)
def test_evaluation_says_the_same(folder, device, policy):
    ours, other = (
        ffn.evaluate(model, clips_of(folder), policy=policy, calibration=clips_of(folder)) for model in drawn(device)
    )
    for here, there in zip(ours, other, strict=True):
        assert error(torch.from_numpy(there.logits), torch.from_numpy(here.logits)) < 1e-2
        assert here.divergences.keys() == there.divergences.keys()
        for layer, found in here.divergences.items():
            assert there.divergences[layer].symmetric_kl == pytest.approx(found.symmetric_kl, rel=0.05, abs=1e-3)


def test_policies_are_compared(folder, device):
    _, model = drawn(device)
    ways = policy_comparison.by_policy(model, clips_of(folder), report=lambda *_: None)
    rows = policy_comparison.answer_rows(ways, {"val": clips_of(folder)}, report=lambda *_: None)
    assert [(row["way"], row["num_frames"]) for row in rows] == [(way, t) for way in POLICIES for t in (4, 6, 8)]


def test_the_instruments_say_the_same(folder, device):
    found = []
    for model in drawn(device):
        clips = clips_of(folder, (4,))
        features = ffn.extract_features(model, clips)
        attribution = ffn.attribute(model, with_branch(model, 6), clips, 4)
        grown = ffn.recalibrate(model, clips_of(folder), 6)
        grafted = ffn.transplant(model, model, branch=4, source_branch=8)
        extracted = ffn.extract(model, 4, fold_norms=True)
        numbers = [*grown.state_dict().values(), *(ffn.evaluate(m, clips)[0].logits for m in (grafted, extracted))]
        numbers += features.values.values()
        found.append([np.asarray(torch.as_tensor(n).cpu().double()) for n in numbers])
        assert attribution
    for here, there in zip(*found, strict=True):
        assert np.allclose(here, there, rtol=2e-2, atol=2e-2 * (np.abs(here).max() or 1))


def test_videos_are_answered_frame_by_frame_and_pass_by_pass(folder, device):
    _, model = drawn(device)
    model.card = {"input_size": 32, "resize": 36, "classes": ["a", "b"]}
    (path, *_) = sorted(folder.rglob("*.mp4"))
    for causal in (False, True):
        stream = Stream(model, causal=causal)
        for frame in ffn.video.open_video(path).frames(range(6)):
            stream.push(frame)
        assert stream.predict().shape == (2,)
    answer = ffn.AdaptiveClassifier(model, Policy((4, 8), (1.0,)))(path)
    assert answer.counts == (4, 8)
    assert answer.probabilities.sum() == pytest.approx(1)
    assert latency(model, 4, seconds=0.01).p50 > 0
