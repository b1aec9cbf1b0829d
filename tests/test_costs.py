"""Parameters, MACs and FLOPs against the paper's tables and by hand."""

import pytest
import torch
from conftest import private, small

import ffn
from ffn.costs import Size, latency, parameters, saved_activations, stored


@pytest.mark.parametrize(
    ("architecture", "num_frames", "gmacs"),
    [
        ("resnet50", 4, 16.4),
        ("resnet50", 8, 32.7),
        ("resnet50", 16, 65.5),
        ("resnet18", 4, 7.3),
        ("resnet18", 8, 14.5),
        ("resnet18", 16, 29.0),
    ],
)
def test_macs_are_the_paper_s(architecture, num_frames, gmacs):
    model = ffn.create_model(architecture, num_classes=174)
    found = ffn.cost(model, num_frames, size=224)
    assert found.macs / 1e9 == pytest.approx(gmacs, rel=0.01)
    assert found.flops == 2 * found.macs


def test_macs_of_a_convolution_and_of_a_classifier_are_those_by_hand():
    model = small((4,), architecture="resnet18", channels=(8, 8, 8, 8))
    wider = small((4,), architecture="resnet18", channels=(8, 8, 8, 8), num_classes=8)
    assert ffn.cost(wider, 3, 32).macs - ffn.cost(model, 3, 32).macs == 3 * 8  # frames x features of one more class
    smaller, larger = (ffn.cost(model, 1, size).macs - 7 * 8 for size in (32, 64))
    assert larger == 4 * smaller  # convolutions grow with the area


def test_cost_is_linear_in_the_frames():
    model = small((4, 8))
    one = ffn.cost(model, 1, 32)
    for num_frames in (2, 5, 8, 31):
        found = ffn.cost(model, num_frames, 32)
        assert found.macs == num_frames * one.macs
        assert found.params == one.params == sum(p.numel() for p in model.parameters())


def test_an_extracted_branch_costs_no_more_than_the_whole():
    model = small((4, 8))
    single = ffn.extract(model, 8)
    assert ffn.cost(single, 8, 32).macs == ffn.cost(model, 8, 32).macs
    assert ffn.cost(single, 8, 32).params < ffn.cost(model, 8, 32).params


def test_counting_leaves_the_model_alone():
    model = small((4, 8)).train()
    before = {name: (tensor, tensor.clone()) for name, tensor in model.state_dict(keep_vars=True).items()}
    ffn.cost(model, 8, 32)
    assert model.training
    assert all(module.training for module in model.modules())
    after = model.state_dict(keep_vars=True)
    assert all(after[name] is tensor and torch.equal(tensor, copy) for name, (tensor, copy) in before.items())
    assert all(parameter.requires_grad and not parameter.is_meta for parameter in model.parameters())


def test_the_size_is_the_card_s_or_224():
    model = small((4,))
    assert ffn.cost(model, 4) == ffn.cost(model, 4, 224)
    model.card = {"input_size": 32}
    assert ffn.cost(model, 4) == ffn.cost(model, 4, 32)


def test_latency_is_measured_in_milliseconds():
    model = small((4,))
    found = latency(model, 2, 32, repeats=8)
    assert 0.1 < found.p50 <= found.p95 < 2000
    assert found.passes == 8
    assert latency(model, 16, 64, repeats=3).p50 > latency(model, 1, 32, repeats=3).p50
    assert latency(model, 2, 32, seconds=0).passes == 5


def test_cost_needs_a_frame():
    with pytest.raises(ValueError, match="at least 1 frame, got 0"):
        ffn.cost(small((4,)), 0, 32)


def test_cost_is_known_before_training_at_any_frame_count():
    fresh = small((4, 8)).train()
    assert ffn.cost(fresh, 6, 32) == ffn.cost(fresh.eval(), 6, 32)
    with pytest.raises(ValueError, match=r"call model\.eval\(\) first"):
        latency(fresh.train(), 4, 32)


def test_memory_is_what_is_alive_at_once_by_hand():
    model = small((4,), architecture="resnet18", channels=(8, 8, 8, 8))
    clip, stem = (4 * 4 * channels * side * side for channels, side in ((3, 64), (64, 32)))  # bytes, of 4 frames
    found = ffn.cost(model, 4, 64).memory
    assert found == pytest.approx(clip + 2 * stem, rel=1e-3)  # the first norm, whose input and output are the largest
    assert ffn.cost(model, 8, 64).memory == pytest.approx(2 * found, rel=1e-3)


@pytest.mark.parametrize("sharing", [True, False])
def test_what_is_shared_and_what_is_private_are_all(sharing):
    model = small((2, 4, 8), sharing=sharing)
    named = dict(model.named_parameters())
    for branch in model.frames:
        assert stored(model, branch).params == sum(named[name].numel() for name in private(model, branch))
    whole, parts = stored(model), [stored(model, branch) for branch in model.frames]
    assert whole.params == parameters(model)
    assert (whole.params > sum(part.params for part in parts)) == sharing
    assert (whole.bytes > sum(part.bytes for part in parts)) == sharing
    assert stored(small((4,)), 4) == Size(0, 0)


@pytest.mark.parametrize("frames", [(4,), (2, 4)])
def test_what_is_stored_is_the_file_less_its_header(checkpoint, frames):
    path = checkpoint(frames=frames)
    header = 8 + int.from_bytes(path.read_bytes()[:8], "little")
    assert stored(ffn.load(path)).bytes == path.stat().st_size - header


def test_saved_activations_are_those_that_the_gradients_need_by_hand():
    """A linear layer keeps its input, a ReLU its output, which is the next one's input: it counts once."""
    network = torch.nn.Sequential(torch.nn.Linear(6, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    inputs = torch.zeros(5, 6)
    one = 4 * (5 * 6 + 5 * 4)
    with saved_activations(network) as saved:
        first = network(inputs).sum()
        assert saved.now == saved.peak == one
        second = network(inputs).sum()
        assert saved.peak == one + 4 * 5 * 4  # the same inputs
        first.backward(), second.backward()
        del first, second
        assert (saved.now, saved.peak) == (0, one + 4 * 5 * 4)
    network(inputs)
    assert saved.now == 0
