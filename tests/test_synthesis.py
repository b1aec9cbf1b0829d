"""Frames that are missing, blended from their neighbours."""

import pytest
import torch
import torch.nn.functional as F
from conftest import random_clips, small
from test_branches import CASES, model_of

import ffn
from ffn import evaluate, segment_indices
from ffn.branches import synthesise
from ffn.synthesis import blend

FRAMES = (4, 8)


@pytest.mark.parametrize(("given", "num_frames"), [(1, 4), (2, 4), (3, 4), (5, 8), (6, 8), (12, 16)])
def test_blending_is_torch_s_linear_interpolation_in_time(given, num_frames):
    clips = random_clips(given)
    flat = clips.flatten(2).transpose(1, 2)  # (B, pixels, T)
    want = F.interpolate(flat, size=num_frames, mode="linear").transpose(1, 2).unflatten(2, clips.shape[2:])
    torch.testing.assert_close(blend(clips, num_frames), want)


def test_a_steady_motion_is_filled_up_exactly():
    """Where every pixel changes at a constant rate, blends are the frames that the sampler would have taken."""
    video = torch.arange(96.0).view(1, 96, 1, 1, 1) + torch.zeros(1, 96, 3, 2, 2)
    few, many = (video[:, segment_indices(96, t)] for t in (6, 8))
    torch.testing.assert_close(blend(few, 8)[:, 1:-1], many[:, 1:-1])
    assert torch.equal(blend(few, 8)[:, [0, -1]], few[:, [0, -1]])


def test_nothing_missing_changes_nothing():
    assert torch.equal(blend(random_clips(7), 7), random_clips(7))


@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_the_branch_sees_as_many_frames_as_it_was_trained_with(case):
    model = model_of(case)
    filling = synthesise(model, 6)
    clips = random_clips(6)
    assert torch.equal(filling(clips), model(blend(clips, 8)))
    for num_frames in (5, 7, 8):
        assert torch.equal(filling(random_clips(num_frames)), model(random_clips(num_frames)))
    assert filling.frames == model.frames
    assert "filled" not in model.config
    assert ffn.cost(filling, 6) == ffn.cost(model, 8)


def test_where_no_frame_is_missing_nothing_is_filled():
    model = small(FRAMES)
    for num_frames in (5, 8, 12):
        assert synthesise(model, num_frames).config == model.config
    (filled, forced) = synthesise(model, 6), random_clips(6)
    assert torch.equal(filled(forced, branch=4), model(forced, branch=4))
    with pytest.raises(ValueError, match="positive integers"):
        synthesise(model, 0)


def test_an_extracted_branch_fills_nothing(tmp_path):
    single = ffn.extract(synthesise(small(FRAMES), 6), 8)
    ffn.save(single, tmp_path / "model.safetensors")
    assert torch.equal(ffn.load(tmp_path / "model.safetensors")(random_clips(6)), single(random_clips(6)))
    assert "filled" not in single.config


def test_norms_keep_their_names(folder):
    clips = ffn.Clips(folder, frames=(6,), preprocessing=ffn.Preprocessing(resize=36, crop=32))
    model = small(FRAMES, num_classes=2)
    filled, plain = (evaluate(m, clips)[0].divergences for m in (synthesise(model, 6), model))
    assert filled.keys() == plain.keys()
    assert filled != plain
