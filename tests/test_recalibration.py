"""Norm statistics from clips: those of the data, and no other tensor changes."""

from collections import Counter

import numpy as np
import pytest
import torch
from conftest import small
from test_branches import CASES, model_of
from torch import nn

import ffn
from ffn import evaluate, moving_shapes
from ffn.bundled import DEMO
from ffn.data import clips_for
from ffn.recalibration import recalibrate

FRAMES = (4, 8)
WITHOUT_STATISTICS = ("group norms", "transformer")


def clips_of(folder, frames=(4, 6, 8)):
    return ffn.Clips(folder, frames=frames, preprocessing=ffn.Preprocessing(resize=36, crop=32))


def changed(model, other):
    """The names of the tensors of `other` that are not those of `model`."""
    before = model.state_dict()
    return {name for name, t in other.state_dict().items() if name not in before or not torch.equal(t, before[name])}


@pytest.mark.parametrize("case", [case for case in CASES if case not in WITHOUT_STATISTICS])
def test_the_statistics_of_the_new_branch_alone_are_the_data_s(folder, case, tmp_path):
    model = model_of(case)
    kept = {name: t.clone() for name, t in model.state_dict().items()}
    grown = recalibrate(model, clips_of(folder), 6)
    with_six = ffn.branches.with_branch(model, 6)
    assert {name.rpartition(".")[2] for name in changed(with_six, grown)} == {"running_mean", "running_var"}
    assert all(".by_frames.6." in name for name in changed(with_six, grown))
    assert all(torch.equal(t, kept[name]) for name, t in model.state_dict().items())
    ffn.save(grown, tmp_path / "model.safetensors")
    loaded = ffn.load(tmp_path / "model.safetensors")
    assert not changed(grown, loaded)
    assert loaded.card["calibrated"] == {
        "6": {"data": clips_of(folder).digest, "clips": 4},
    }


@torch.no_grad()
def test_in_one_batch_they_are_what_training_would_leave(folder):
    model = small(FRAMES, num_classes=2)
    found = recalibrate(model, clips_of(folder), 8).state_dict()
    (batch,) = clips_of(folder).loader(4)
    trained = model.train()
    for module in trained.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    trained(batch.stream(8))
    for name, want in trained.state_dict().items():
        if ".by_frames.8.running_mean" in name:
            torch.testing.assert_close(found[name], want, rtol=1e-3, atol=1e-3)
        if ".by_frames.8.running_var" in name:  # torch's divides by n - 1, and n is at least 32 here
            torch.testing.assert_close(found[name], want, rtol=0.04, atol=1e-3)
        if ".by_frames.4." in name:
            assert torch.equal(found[name], want)


def test_statistics_are_those_of_all_activations(folder):
    """Of the first norm, which no other one comes before, whatever the batches."""
    model = small(FRAMES, num_classes=2)
    found = [recalibrate(model, clips_of(folder), 6, batch_size=n).at(6, 6).backbone.bn1 for n in (1, 3, 4)]
    (batch,) = clips_of(folder).loader(4)
    with torch.no_grad():
        seen = model.at(8, 6).backbone.conv1(batch.stream(6).flatten(0, 1)).double()
    for norm in found:
        torch.testing.assert_close(norm.running_mean.double(), seen.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(norm.running_var.double(), seen.var((0, 2, 3), correction=0), rtol=1e-4, atol=1e-5)


def test_to_recalibrate_twice_is_to_recalibrate_once(folder):
    once = recalibrate(small(FRAMES, num_classes=2), clips_of(folder), 4, batch_size=2)
    assert not changed(once, recalibrate(once, clips_of(folder), 4, batch_size=2))


def test_counts_that_share_a_decode_are_as_if_alone(folder, decoded):
    model = small(FRAMES, num_classes=2)
    alone = model
    for t in (4, 6):
        alone = recalibrate(alone, clips_of(folder), t)
    decoded.clear()
    together = recalibrate(model, clips_of(folder), (4, 6))
    assert not changed(alone, together)
    assert list(Counter(decoded).values()) == [1] * 4


def test_a_limit_is_a_sample_of_the_clips(folder):
    calls = []
    limited = recalibrate(
        small(FRAMES), clips_of(folder), 6, limit=3, batch_size=2, progress=lambda *c: calls.append(c)
    )
    assert limited.card["calibrated"]["6"]["clips"] == 3
    assert calls == [(2, 3), (3, 3)]
    again = recalibrate(small(FRAMES), clips_of(folder), 6, limit=3, batch_size=2)
    assert not changed(limited, again)
    assert changed(limited, recalibrate(small(FRAMES), clips_of(folder), 6))


def test_broken_videos_are_left_out(folder):
    (folder / "a" / "1.mp4").write_bytes(b"")
    assert recalibrate(small(FRAMES), clips_of(folder), 6).card["calibrated"]["6"]["clips"] == 3
    for path in folder.glob("*/*.mp4"):
        path.write_bytes(b"")
    with pytest.raises(ValueError, match="none of the 4 videos"):
        recalibrate(small(FRAMES), clips_of(folder), 6)


def test_a_cancelled_recalibration_leaves_nothing(folder):
    def cancel(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recalibrate(small(FRAMES), clips_of(folder), 6, progress=cancel)


def test_mode_goes_along_and_dropout_stays_off(folder):
    model = small(FRAMES, drop_rate=0.9, drop_path_rate=0.5).train()
    grown = recalibrate(model, clips_of(folder), 6)
    assert grown.training
    assert not changed(grown, recalibrate(model.eval(), clips_of(folder), 6))


@pytest.mark.parametrize("case", WITHOUT_STATISTICS)
def test_norms_without_statistics_are_refused(folder, case):
    with pytest.raises(ValueError, match=r"keep no running statistics"):
        recalibrate(model_of(case), clips_of(folder), 6)


@pytest.mark.parametrize(
    ("num_frames", "how", "said"),
    [
        (5, {}, r"the clips have \(4, 6, 8\) frames, not 5"),
        (0, {}, "positive integers"),
        (6, {"limit": 0}, "limit must be at least 1, got 0"),
        (6, {"batch_size": 0}, "batch_size must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_refused(folder, num_frames, how, said):
    with pytest.raises(ValueError, match=said):
        recalibrate(small(FRAMES), clips_of(folder), num_frames, **how)


def test_branches_that_share_their_norms_have_no_statistics_of_their_own(folder):
    with pytest.raises(ValueError, match="share their norms"):
        recalibrate(model_of("shared norms"), clips_of(folder), 4)


def test_predictions_follow_the_statistics(folder):
    model = small(FRAMES, num_classes=2)
    grown = recalibrate(model, clips_of(folder), 6, batch_size=4)
    before, after = (evaluate(m, clips_of(folder, (6,)), batch_size=4)[0] for m in (model, grown))
    assert (before.branch, after.branch) == (8, 6)
    worst = {name: found.mean_shift for name, found in after.divergences.items()}
    assert max(worst.values()) < 1e-2 < min(found.mean_shift for found in before.divergences.values())
    assert not np.array_equal(before.logits, after.logits)


def test_at_the_trained_count_the_answers_stay(tmp_path):
    """A bundled network on some of its training clips: what changes is within the noise of a paired comparison."""
    model = ffn.load(DEMO / "tsm-4.safetensors")
    clips = clips_for(model.card, moving_shapes.prepare("train", tmp_path, clips_per_class=4, workers=1), (4,))
    answers = [evaluate(m, clips)[0] for m in (model, recalibrate(model, clips, 4))]
    before, after = (answer.logits.argmax(-1) == answer.labels for answer in answers)
    lost, won = int((before & ~after).sum()), int((after & ~before).sum())
    assert abs(won - lost) <= 1.96 * max(1, won + lost) ** 0.5
    assert lost + won < len(clips) / 5
    assert not np.array_equal(answers[0].logits, answers[1].logits)
