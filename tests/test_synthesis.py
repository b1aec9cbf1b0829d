"""Frames that are missing, blended from their neighbours or shown again."""

import json

import pytest
import torch
import torch.nn.functional as F
from conftest import random_clips, small
from test_branches import CASES, model_of

import ffn
from ffn import evaluate, segment_indices
from ffn.branches import fill
from ffn.card import CheckpointError, checked_card
from ffn.synthesis import FILLINGS, blend, repeat

FRAMES = (4, 8)
COUNTS = [(1, 4), (2, 4), (3, 4), (5, 8), (6, 8), (12, 16)]
by_every_policy = pytest.mark.parametrize("policy", FILLINGS)


def clips_of(folder):
    return ffn.Clips(folder, frames=(6,), preprocessing=ffn.Preprocessing(resize=36, crop=32))


@pytest.mark.parametrize(("given", "num_frames"), COUNTS)
def test_blending_is_torch_s_linear_interpolation_in_time(given, num_frames):
    clips = random_clips(given)
    flat = clips.flatten(2).transpose(1, 2)  # (B, pixels, T)
    want = F.interpolate(flat, size=num_frames, mode="linear").transpose(1, 2).unflatten(2, clips.shape[2:])
    torch.testing.assert_close(blend(clips, num_frames), want)


@pytest.mark.parametrize(("given", "num_frames"), COUNTS)
def test_repeating_is_torch_s_nearest_interpolation_in_time(given, num_frames):
    clips = random_clips(given)
    flat = clips.flatten(2).transpose(1, 2)
    want = F.interpolate(flat, size=num_frames, mode="nearest-exact").transpose(1, 2).unflatten(2, clips.shape[2:])
    assert torch.equal(repeat(clips, num_frames), want)


def test_repeating_shows_every_frame_in_order():
    clips = torch.arange(6.0).view(1, 6, 1, 1, 1)
    assert repeat(clips, 8).flatten().tolist() == [0, 1, 1, 2, 3, 4, 4, 5]


def test_a_steady_motion_is_filled_up_exactly():
    """Where every pixel changes at a constant rate, blends are the frames that the sampler would have taken."""
    video = torch.arange(96.0).view(1, 96, 1, 1, 1) + torch.zeros(1, 96, 3, 2, 2)
    few, many = (video[:, segment_indices(96, t)] for t in (6, 8))
    torch.testing.assert_close(blend(few, 8)[:, 1:-1], many[:, 1:-1])
    assert torch.equal(blend(few, 8)[:, [0, -1]], few[:, [0, -1]])


@by_every_policy
def test_nothing_missing_changes_nothing(policy):
    assert torch.equal(FILLINGS[policy](random_clips(7), 7), random_clips(7))


@by_every_policy
@pytest.mark.parametrize("case", CASES)
@torch.no_grad()
def test_the_branch_sees_as_many_frames_as_it_was_trained_with(case, policy):
    model = model_of(case)
    filling = fill(model, 6, policy)
    clips = random_clips(6)
    assert torch.equal(filling(clips), model(FILLINGS[policy](clips, 8)))
    for num_frames in (5, 7, 8):
        assert torch.equal(filling(random_clips(num_frames)), model(random_clips(num_frames)))
    assert filling.frames == model.frames
    assert "filled" not in model.config
    assert ffn.cost(filling, 6) == ffn.cost(model, 8)


def test_where_no_frame_is_missing_nothing_is_filled():
    model = small(FRAMES)
    for num_frames in (5, 8, 12):
        assert fill(model, num_frames, "repeat").config == model.config
    (filled, forced) = fill(model, 6, "repeat"), random_clips(6)
    assert torch.equal(filled(forced, branch=4), model(forced, branch=4))


def test_the_last_policy_for_a_count_is_the_one():
    model = fill(fill(fill(small(FRAMES), 6, "repeat"), 3, "repeat"), 6, "synthesise")
    assert model.config["filled"] == {"6": "synthesise", "3": "repeat"}
    assert torch.equal(model(random_clips(6)), small(FRAMES)(blend(random_clips(6), 8)))
    assert model.card["calibrated"]["6"] == {"policy": "synthesise"}


def test_what_cannot_be_filled_is_refused():
    with pytest.raises(ValueError, match="positive integers"):
        fill(small(FRAMES), 0, "repeat")
    with pytest.raises(ValueError, match="no policy 'invent' fills clips up; there are synthesise, repeat"):
        fill(small(FRAMES), 6, "invent")


@pytest.mark.parametrize("filled", [[6], {"6": 1}, {"six": "repeat"}])
def test_a_card_that_does_not_say_how_counts_are_filled_is_refused(filled):
    with pytest.raises(CheckpointError, match="no usable filled"):
        checked_card(json.dumps({**small(FRAMES).config, "filled": filled}), "it")


@pytest.mark.parametrize("filled", [{"6": "invent"}, {"0": "repeat"}])
def test_a_card_that_fills_up_in_no_known_way_is_refused(tmp_path, filled):
    model = small(FRAMES)
    model.config["filled"] = filled
    ffn.save(model, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match="no network that can be built"):
        ffn.load(tmp_path / "model.safetensors")


def test_an_extracted_branch_fills_nothing(tmp_path):
    single = ffn.extract(fill(small(FRAMES), 6, "repeat"), 8)
    ffn.save(single, tmp_path / "model.safetensors")
    assert torch.equal(ffn.load(tmp_path / "model.safetensors")(random_clips(6)), single(random_clips(6)))
    assert "filled" not in single.config


@by_every_policy
def test_features_are_those_of_the_filled_clip(folder, policy):
    model, clips = small(FRAMES, num_classes=2), clips_of(folder)
    filled = fill(model, 6, policy)
    found = ffn.extract_features(filled, clips)
    (batch,) = clips.loader(4)
    logits = model.network.backbone.fc(torch.from_numpy(found.at(6, "pooled")))
    torch.testing.assert_close(logits, filled(batch.stream(6)), atol=1e-5, rtol=1e-4)
    assert found.layers == ffn.extract_features(model, clips).layers


def test_norms_keep_their_names(folder):
    clips, model = clips_of(folder), small(FRAMES, num_classes=2)
    filled, plain = (evaluate(m, clips)[0].divergences for m in (fill(model, 6, "synthesise"), model))
    assert filled.keys() == plain.keys()
    assert filled != plain
