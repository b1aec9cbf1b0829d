"""Networks for prediction alone: the same function in fewer operators."""

import copy
import pickle

import pytest
import torch
from conftest import error, random_clips, redraw, small
from timm.layers import ScaledStdConv2dSame, StdConv2d
from torch import nn

import ffn
from ffn.deployment import FusedConvolution, chains, fold_norms, materialise
from ffn.surgery import norms


class Chained(nn.Module):
    """Convolution, norm, ReLU; `split` gives the convolution's output, or the norm's, a second reader."""

    def __init__(self, split: str = "") -> None:
        super().__init__()
        self.conv, self.norm, self.relu = nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        self.split = split
        redraw(self)

    def forward(self, x):
        convolved = self.conv(x)
        normed = self.norm(convolved)
        beside = {"conv": convolved, "norm": normed}.get(self.split, torch.zeros(())).sigmoid()
        return self.relu(normed) + beside


@pytest.mark.parametrize(("split", "folds", "fuses"), [("", True, True), ("conv", False, False), ("norm", True, False)])
def test_a_norm_is_folded_where_nobody_else_reads_the_convolution(split, folds, fuses):
    network, x = Chained(split).eval(), torch.randn(2, 3, 9, 9)
    folded = fold_norms(network, chains(network, x))
    assert bool(list(norms(folded))) is not folds
    assert isinstance(folded.relu, nn.Identity) is fuses
    with torch.no_grad():
        assert error(folded(x), network(x)) < 2e-5
    assert list(norms(network))  # as it was


def fused() -> FusedConvolution:
    network = Chained().eval()
    return fold_norms(network, chains(network, torch.empty(1, 3, 9, 9))).conv


def plainly(conv: FusedConvolution, x: torch.Tensor) -> torch.Tensor:
    return nn.functional.conv2d(x, conv.weight, conv.bias, conv.stride, conv.padding).relu()


def test_the_fused_convolution_follows_its_weight_and_its_images():
    conv = fused()
    with torch.no_grad():
        for size in (9, 16, 9):
            x = torch.randn(3, 3, size, size)
            torch.testing.assert_close(conv(x), plainly(conv, x))
        conv.weight.mul_(-1)
        torch.testing.assert_close(conv(x), plainly(conv, x))
        conv.weight = nn.Parameter(conv.weight * 2)
        torch.testing.assert_close(conv(x), plainly(conv, x))
    with torch.inference_mode():
        torch.testing.assert_close(conv(x), plainly(conv, x))


def test_the_fused_convolution_copies_pickles_and_has_gradients():
    conv, x = fused(), torch.randn(2, 3, 9, 9)
    with torch.no_grad():
        want = conv(x)
        assert torch.equal(copy.deepcopy(conv)(x), want)
        assert torch.equal(pickle.loads(pickle.dumps(conv))(x), want)
        torch.testing.assert_close(conv.double()(x.double()).float(), want)
    conv.float()(x).sum().backward()
    assert conv.weight.grad.any()


@pytest.mark.parametrize("size", [32, 64])
def test_a_folded_resnet_predicts_alike_with_no_norm_left(size):
    model = small((4, 8), architecture="resnet50")
    folded = ffn.extract(model, 8, fold_norms=True)
    assert not list(norms(folded))
    for num_frames in (1, 5, 8):
        clips = random_clips(num_frames, size=size)
        with torch.no_grad():
            assert error(folded(clips), model(clips, branch=8)) < 1e-4
    assert torch.equal(ffn.extract(folded, 8).network.backbone.fc.weight, model.network.backbone.fc.weight)


def test_folding_works_in_inference_mode():
    with torch.inference_mode():
        model = small((4, 8), architecture="resnet50")
        assert not list(norms(ffn.extract(model, 8, fold_norms=True)))
    assert not list(norms(ffn.extract(model, 4, fold_norms=True)))


def test_folding_is_remembered_by_the_file(tmp_path):
    folded = ffn.extract(small((4, 8)), 4, fold_norms=True)
    clips = random_clips(4)
    ffn.save(folded, tmp_path / "folded.safetensors")
    loaded = ffn.load(tmp_path / "folded.safetensors")
    assert loaded.config["extracted"] == {"fold_norms": True}
    with torch.no_grad():
        assert torch.equal(loaded(clips), folded(clips))


@pytest.mark.parametrize("kind", [StdConv2d, ScaledStdConv2dSame])
def test_a_standardised_weight_is_materialised_once(kind):
    conv = kind(8, 16, 3, stride=2, groups=2, **({} if kind is StdConv2d else {"padding": "same"}))
    redraw(conv)
    x = torch.randn(2, 8, 9, 9)
    plain = materialise(conv)
    torch.testing.assert_close(plain(x), conv(x))
    assert type(plain).__name__ == ("Conv2d" if kind is StdConv2d else "Conv2dSame")
    assert materialise(nn.Conv2d(1, 1, 1)) is None
