"""Any-frame policies: what is trained is answered as ever, and a policy is part of the model that it makes."""

import numpy as np
import pytest
import torch
from conftest import random_clips, small
from test_recalibration import changed, clips_of

import ffn
from ffn import evaluate
from ffn.interpolation import interpolate
from ffn.policies import POLICIES, any_frame
from ffn.recalibration import recalibrate

FRAMES = (4, 8, 16)
OTHERS = (3, 6, 12)
every = pytest.mark.parametrize("policy", POLICIES)


@every
def test_trained_counts_are_answered_as_before(folder, policy):
    model, untouched = small(FRAMES), small(FRAMES)
    other = any_frame(model, (*FRAMES, *OTHERS), policy, clips_of(folder, OTHERS))
    for num_frames in FRAMES:
        assert torch.equal(other(random_clips(num_frames)), model(random_clips(num_frames)))
    assert model.frames == other.trained == FRAMES
    assert not changed(untouched, model)


@every
def test_a_policy_is_saved_with_the_model(folder, tmp_path, policy):
    model = any_frame(small(FRAMES), OTHERS, policy, clips_of(folder, OTHERS), limit=3)
    ffn.save(model, tmp_path / "model.safetensors")
    loaded = ffn.load(tmp_path / "model.safetensors")
    for num_frames in (3, 4, 6, 7, 12):
        assert torch.equal(loaded(random_clips(num_frames)), model(random_clips(num_frames)))
    about = {"data": clips_of(folder).digest, "clips": 3} if policy == "recalibrate" else {}
    want = {str(t): {"policy": policy, **about} for t in OTHERS if policy != "nearest"}
    assert loaded.card.get("calibrated", {}) == want


@every
def test_evaluate_takes_a_policy(folder, policy):
    model, clips = small(FRAMES, num_classes=2), clips_of(folder, (4, 6))
    results = evaluate(model, clips, policy=policy, calibration=clips)
    wanted = evaluate(any_frame(model, (4, 6), policy, clips), clips)
    for result, want in zip(results, wanted, strict=True):
        assert result.branch == want.branch
        np.testing.assert_array_equal(result.logits, want.logits)
    assert model.frames == FRAMES


def test_a_recalibration_in_an_evaluation_is_counted_too(folder):
    model, clips, calls = small(FRAMES, num_classes=2), clips_of(folder, (6,)), []
    evaluate(model, clips, policy="recalibrate", calibration=clips, progress=lambda *call: calls.append(call))
    assert calls == [(4, 4)] * 2


def test_counts_with_a_branch_keep_it(folder):
    model = interpolate(small(FRAMES), 6)
    for policy in POLICIES:
        assert any_frame(model, (4, 6, 16), policy, clips_of(folder)) is model
    mixed = any_frame(any_frame(model, (12,), "recalibrate", clips_of(folder, (12,))), (3, 6), "synthesise")
    assert {t: how["policy"] for t, how in mixed.card["calibrated"].items()} == {
        "6": "interpolate",
        "12": "recalibrate",
        "3": "synthesise",
    }


def test_recalibration_keeps_to_the_interpolated_branch(folder):
    model, clips = small(FRAMES), clips_of(folder, (6,))
    want = recalibrate(interpolate(model, 6), clips, 6)
    assert not changed(want, any_frame(model, (6,), "recalibrate", clips))
    apart = small(FRAMES, sharing=False)
    assert not changed(recalibrate(apart, clips, 6), any_frame(apart, (6,), "recalibrate", clips))


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="there is no policy 'closest'; there are nearest"):
        any_frame(small(FRAMES), (6,), "closest")
    with pytest.raises(ValueError, match="to recalibrate takes clips"):
        any_frame(small(FRAMES), (6,), "recalibrate")
