"""Norms of one network in another: exchanged is what was asked for, and nothing else."""

from copy import deepcopy

import pytest
import torch
from conftest import random_clips, redraw, small

import ffn
from ffn.statistics import norm_layers, running_statistics
from ffn.transplantation import transplant

FRAMES = (4, 8)
KINDS = {
    "convolutions": lambda frames, seed=0: small(frames, seed),
    "attention": lambda frames, seed=0: built("vit_tiny_patch16_224", frames, seed, img_size=32, depth=2),
    "both": lambda frames, seed=0: built("uniformer_small", frames, seed, depths=(1, 1, 1, 1)),
}


def built(architecture, frames, seed, **kwargs):
    torch.manual_seed(seed)
    model = ffn.create_model(architecture, frames, num_classes=7, **kwargs)
    redraw(model, seed)
    return model.eval()


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("frames", [(8,), FRAMES])
@torch.no_grad()
def test_its_own_norms_change_nothing(make, frames):
    model, clips = make(frames), random_clips(5)
    again = transplant(model, model, branch=8, source_branch=8)
    assert torch.equal(again(clips, branch=8), model(clips, branch=8))
    assert torch.equal(transplant(model, deepcopy(model), branch=8, source_branch=8)(clips), model(clips))


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@torch.no_grad()
def test_neither_network_changes(make):
    target, source, clips = make((8,)), make(FRAMES, 1), random_clips(8)
    before = [{name: tensor.clone() for name, tensor in m.state_dict().items()} for m in (target, source)]
    modules, answer = [*target.modules()], target(clips)
    view = transplant(target, source, source_branch=4)
    assert not torch.equal(view(clips), answer)
    assert torch.equal(target(clips), answer)
    assert [*target.modules()] == modules
    for model, old in zip((target, source), before, strict=True):
        assert all(torch.equal(tensor, old[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@torch.no_grad()
def test_a_branch_takes_all_that_another_has_but_its_gains(make):
    model, clips = make(FRAMES), random_clips(4)
    for name, parameter in model.named_parameters():
        if name.endswith(tuple(f"by_frames.{t}" for t in FRAMES)):
            parameter.fill_(0.1)  # gains
    view = transplant(model, model, branch=4, source_branch=8)
    assert torch.equal(view(clips, branch=4), model(clips, branch=8))
    assert torch.equal(view(clips, branch=8), model(clips, branch=8))


def test_statistics_and_affine_parameters_go_apart():
    target, source = small((8,)), small((8,), seed=1)
    own, donors = (norm_layers(model.at(8, 8)) for model in (target, source))
    for what, taken in ((("statistics",), "running_mean running_var"), (("affine",), "weight bias")):
        view = norm_layers(transplant(target, source, what=what).at(8, 8))
        for layer, norm in view.items():
            for name in ("running_mean", "running_var", "weight", "bias"):
                want = donors if name in taken else own
                assert getattr(norm, name) is getattr(want[layer], name)


def test_a_stage_or_a_layer_can_be_chosen():
    target, source = small((8,)), small((8,), seed=1)
    donors = running_statistics(source.at(8, 8))

    def taken(*layers):
        view = running_statistics(transplant(target, source, layers).at(8, 8))
        return [layer for layer, found in view.items() if (found.mean == donors[layer].mean).all()]

    assert taken("layer2.0.bn1") == ["layer2.0.bn1"]
    assert taken("layer2") == [layer for layer in donors if layer.startswith("layer2.")]
    assert taken("bn1", "layer4.1") == ["bn1", "layer4.1.bn1", "layer4.1.bn2"]


def test_the_card_says_what_was_done():
    view = transplant(small((8,)), small(FRAMES), "layer2.0.bn1", what=("affine",), source_branch=4)
    assert view.card["transplanted"] == {"branch": 8, "from": 4, "what": ["affine"], "layers": ["layer2.0.bn1"]}


@torch.no_grad()
def test_a_view_can_be_copied_and_saved(tmp_path):
    view, clips = transplant(small((8,)), small((8,), seed=1)), random_clips(8)
    assert torch.equal(deepcopy(view)(clips), view(clips))
    ffn.save(view, tmp_path / "view.safetensors")
    assert torch.equal(ffn.load(tmp_path / "view.safetensors")(clips), view(clips))


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (lambda: transplant(small((8,)), small(FRAMES)), "say which with source_branch"),
        (lambda: transplant(small(FRAMES), small((8,))), "say which with branch"),
        (lambda: transplant(small((8,)), small((8,)), branch=4), "no branch 4"),
        (lambda: transplant(small((8,)), small((8,)), "layer9"), "no norm 'layer9'.* layer1, layer2"),
        (lambda: transplant(small((8,)), small((8,)), what=("means",)), "statistics and affine"),
        (lambda: transplant(small((8,)), small((8,), channels=(16, 16, 24, 48))), "layer4.0.bn1 holds"),
        (lambda: transplant(small((8,)), KINDS["attention"]((8,))), "must be of one architecture"),
        (lambda: transplant(*[KINDS["attention"]((8,))] * 2, what=("statistics",)), "LayerNorms keep none"),
    ],
)
def test_what_cannot_be_exchanged_is_refused(ask, says):
    with pytest.raises(ValueError, match=says):
        ask()
