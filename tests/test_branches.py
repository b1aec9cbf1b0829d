"""One more branch: who answers changes, and nothing else does."""

import json

import pytest
import torch
from conftest import error, random_clips, redraw, small
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors
from test_architectures import SIZES

import ffn
from ffn.branches import with_branch
from ffn.card import KEY
from ffn.layers import Switchable
from ffn.surgery import norms

FRAMES = (4, 8)
CASES = {
    "private": {},
    "without gains": {"alteration": False},
    "shared norms": {"private_norms": False},
    "nothing shared": {"sharing": False},
    "one count": {"frames": (8,)},
    "group norms": {"norm_layer": "groupnorm", "channels": (32, 32, 32, 32)},
    "transformer": {"architecture": "test_vit", "img_size": 32},
    **{name: {"architecture": name, **size} for name, size in SIZES.items()},
    "one count of SlowFast": {"architecture": "slowfast_resnet50", "frames": (8,), **SIZES["slowfast_resnet50"]},
}
every = pytest.mark.parametrize("case", CASES)


def model_of(case, **kwargs):
    about = {"frames": FRAMES, "architecture": "resnet18", "num_classes": 7, **CASES[case], **kwargs}
    if about["architecture"] == "resnet18":
        return small(**about)
    torch.manual_seed(0)
    model = ffn.create_model(about.pop("architecture"), about.pop("frames"), **about)
    redraw(model)
    return model.eval()


@every
@torch.no_grad()
def test_a_new_branch_does_what_the_one_like_it_does_and_the_others_go_on(case):
    model = model_of(case)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    like = model.frames[0]
    grown = with_branch(model, 6, like)
    assert grown.frames == tuple(sorted((*model.frames, 6)))
    assert grown.trained == model.frames == model.trained
    for num_frames in (1, 6):
        clips = random_clips(num_frames)
        want = model(clips, branch=like)
        assert torch.equal(grown(clips, branch=6), want)
        for branch in model.frames:
            assert torch.equal(grown(clips, branch=branch), model(clips, branch=branch))
    assert torch.equal(grown(random_clips(6)), model(random_clips(6), branch=like))
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@every
@torch.no_grad()
def test_the_norms_of_a_new_branch_are_its_own(case):
    model = with_branch(model_of(case), 6)
    clips = {t: random_clips(t) for t in model.frames}
    before = {t: model(x) for t, x in clips.items()}
    for _, norm in norms(model.at(6, 6)):
        norm.weight.mul_(1.5)
    changed = [t for t, x in clips.items() if not torch.equal(model(x), before[t])]
    assert changed == [6]


@pytest.mark.parametrize("case", ["private", "shared norms", "nothing shared", "one count", "slowfast_resnet50"])
@torch.no_grad()
def test_new_branches_are_saved_loaded_and_extracted(case, tmp_path):
    model = with_branch(with_branch(model_of(case), 12), 2)
    redraw(model, seed=1)
    path = tmp_path / "model.safetensors"
    ffn.save(model, path)
    loaded = ffn.load(path)
    assert (loaded.frames, loaded.trained) == (model.frames, model.trained)
    assert list(loaded.state_dict()) == list(model.state_dict())
    single = ffn.extract(loaded, 12)
    ffn.save(single, path)
    for num_frames in (2, 5, 12):
        clips = random_clips(num_frames)
        assert torch.equal(loaded(clips), model(clips))
        assert error(single(clips), model(clips, branch=12)) < 2e-5
        assert torch.equal(ffn.load(path)(clips), single(clips))
    assert not any(isinstance(module, Switchable) for module in single.modules())
    assert ffn.load(path).trained == single.frames == (12,)
    assert ffn.cost(model, 12).macs == ffn.cost(single, 12).macs > 0


def test_the_nearest_trained_branch_is_copied_whatever_was_added_before():
    model = small((4, 16))
    clips = random_clips(9)
    first = with_branch(with_branch(model, 10), 9)
    for _, norm in norms(first.at(10, 10)):
        redraw(norm, seed=3)
    assert torch.equal(with_branch(first, 11)(clips, branch=11), model(clips, branch=16))
    assert list(first.state_dict()) == list(with_branch(with_branch(model, 9), 10).state_dict())


def test_an_extracted_branch_gets_another(tmp_path):
    single = ffn.extract(small(FRAMES), 8)
    grown = with_branch(single, 6)
    ffn.save(grown, tmp_path / "model.safetensors")
    clips = random_clips(6)
    assert torch.equal(grown(clips), single(clips))
    assert torch.equal(ffn.load(tmp_path / "model.safetensors")(clips), grown(clips))


def test_mode_and_card_go_along():
    model = small(FRAMES).train()
    model.card = {"classes": ["a"], "frames": [4, 8]}
    grown = with_branch(model, 6)
    assert grown.training
    assert grown.card == {"classes": ["a"], "frames": [4, 6, 8]}
    assert model.card["frames"] == [4, 8]


@pytest.mark.parametrize(
    ("num_frames", "like", "said"),
    [(8, None, "a branch 8 already"), (6, 5, "no branch 5; the branches are"), (0, None, "positive integers")],
)
def test_impossible_branches_are_refused(num_frames, like, said):
    with pytest.raises(ValueError, match=said):
        with_branch(small(FRAMES), num_frames, like)


def test_a_network_without_norms_is_refused():
    with pytest.raises(ValueError, match="no norms that a branch could have"):
        with_branch(ffn.extract(small(FRAMES), 8, fold_norms=True), 6)


@pytest.mark.parametrize(
    ("added", "said"), [([4, 6, 8], "describes no network"), ([6, 7], "not those of its card"), (["6"], "usable added")]
)
def test_a_card_with_branches_that_are_not_there_is_refused(tmp_path, added, said):
    model = with_branch(small(FRAMES), 6)
    ffn.save(model, tmp_path / "model.safetensors")
    content = (tmp_path / "model.safetensors").read_bytes()
    with pytest.raises(ffn.checkpoint.CheckpointError, match=said):
        ffn.load(rewritten(content, added=added))


def rewritten(content, **about):
    """The file of a checkpoint with other words on its card."""
    tensors = load_tensors(content)
    return dump_tensors(tensors, metadata={KEY: json.dumps({**ffn.read_card(content), **about})})
