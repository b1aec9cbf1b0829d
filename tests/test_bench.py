"""What `make bench` measures, where it can be counted instead of timed."""

import pytest
import timm
import torch
from bench import FRAMES, Row, peak_bytes, report, swept
from conftest import SMALL, error, random_clips, redraw, small
from torch import Tensor, nn

import ffn
from ffn.costs import parameters
from ffn.layers import shift


def test_three_streams_hold_no_more_activations_than_the_longest():
    plain = peak_bytes(small((16,)), batch=8, size=32)
    assert peak_bytes(small(FRAMES), batch=8, size=32) <= 1.02 * plain
    assert peak_bytes(small((4, 8)), batch=8, size=32) <= 0.6 * plain


def test_a_joint_backward_is_noticed(monkeypatch):
    kept = []

    def joint(model, streams, labels, backward, *, show):
        kept.append(sum(model(clips).square().sum() for clips in streams.values()))
        backward(kept.pop())

    plain = peak_bytes(small((16,)), batch=2, size=32)
    monkeypatch.setattr("bench.temporal_distillation", joint)
    assert peak_bytes(small(FRAMES), batch=2, size=32) > 1.6 * plain


class ShiftedConvolution(nn.Module):
    """How TSM is usually written: the frame count is fixed when the network is built."""

    def __init__(self, conv: nn.Module, num_frames: int) -> None:
        super().__init__()
        self.conv, self.num_frames = conv, num_frames

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(shift(x, self.num_frames))


class PlainTSM(nn.Module):
    """A timm ResNet with the shift before the first convolution of every block, and nothing of ours."""

    def __init__(self, architecture: str, num_frames: int, **kwargs: object) -> None:
        super().__init__()
        self.backbone = timm.create_model(architecture, **kwargs)
        for layer in (f"layer{i}" for i in range(1, 5)):
            for block in getattr(self.backbone, layer):
                block.conv1 = ShiftedConvolution(block.conv1, num_frames)

    def forward(self, clips: Tensor) -> Tensor:
        return self.backbone(clips.flatten(0, 1)).unflatten(0, clips.shape[:2]).mean(1)


def extracted_and_plain(
    num_frames: int, architecture: str, **kwargs: object
) -> tuple[ffn.FrameFlexible, ffn.FrameFlexible, PlainTSM]:
    """A frame-flexible network drawn at random, its branch taken out, and a plain network with the same numbers."""
    whole = ffn.create_model(architecture, FRAMES, **kwargs)
    redraw(whole)
    single = ffn.extract(whole.eval(), num_frames)
    plain = PlainTSM(architecture, num_frames, **kwargs).eval()
    for own, other in zip(single.state_dict().values(), plain.state_dict().values(), strict=True):
        other.copy_(own)
    return whole, single, plain


@pytest.mark.parametrize("architecture", ["resnet18", "resnet50"])
@torch.no_grad()
def test_an_extracted_branch_is_timm_s_network_with_a_shift(architecture):
    whole, single, plain = extracted_and_plain(8, architecture, **SMALL)
    assert parameters(single) == parameters(plain)
    clips = random_clips(8)
    assert torch.equal(single(clips), plain(clips))
    assert error(single(clips), whole(clips, branch=8)) < 2e-5
    assert len([*single.network.modules()]) < len([*whole.network.modules()])


def test_the_report_is_a_table_with_its_machine():
    lines = report([Row("this", "1 s", "2 s", 0.5, 0.6)]).splitlines()
    assert lines[2] == "| this | 1 s | 2 s | 0.5 | 0.6 |"
    assert {line.count("|") for line in lines[:3]} == {6}
    assert f"torch {torch.__version__}" in lines[-1]


def test_a_sweep_makes_the_bare_passes_and_no_other(folder, monkeypatch):
    model, passes = small(FRAMES, num_classes=2), []

    def timed(ours, other, pairs):
        for function in (ours, other):
            passes.append([])
            function()
        return 1.0, 2.0

    for conv in {model.at(t, t).backbone.conv1 for t in FRAMES}:
        conv.register_forward_pre_hook(lambda _, inputs: passes[-1].append(len(inputs[0])))
    monkeypatch.setattr("bench.interleaved", timed)
    clips = ffn.Clips(folder, frames=(1, 4, 6), preprocessing=ffn.Preprocessing(resize=36, crop=32))
    monkeypatch.setattr("bench.GRID", clips.frames)
    assert swept("random", model, clips, 1).ratio == 0.5
    assert passes == [[4 * t for t in clips.frames]] * 2
