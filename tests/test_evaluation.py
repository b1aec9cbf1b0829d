"""One decode and one forward pass: predictions, accuracy and divergences at every frame count."""

import threading
from functools import partial
from itertools import chain

import numpy as np
import pytest
import torch
from conftest import assert_progress_counts_videos_and_may_cancel, small
from torch import nn

import ffn
from ffn import Preprocessing, evaluate
from ffn.evaluation import wilson

FRAMES = (4, 8)
GRID = (1, 4, 6, 16)


def clips_of(folder, frames=GRID):
    return ffn.Clips(folder, frames=frames, preprocessing=Preprocessing(resize=36, crop=32))


def model_of(**kwargs):
    return small(FRAMES, num_classes=2, **kwargs)


@torch.no_grad()
def test_predictions_are_the_model_s_at_each_frame_count_alone(folder):
    model = model_of()
    for result in evaluate(model, clips_of(folder), batch_size=4):
        clips = clips_of(folder, (result.num_frames,))
        (batch,) = clips.loader(4)
        want = model(batch.stream(result.num_frames))
        np.testing.assert_array_equal(result.logits, want.numpy())
        assert result.branch == ffn.nearest(result.num_frames, FRAMES)
        assert result.labels.tolist() == clips.labels
        assert result.indices.tolist() == [0, 1, 2, 3]
        assert result.correct == int((want.argmax(-1) == torch.tensor(clips.labels)).sum())
        assert result.clips == 4


def test_the_batch_size_does_not_matter(folder):
    model = model_of()
    for one, other in zip(*(evaluate(model, clips_of(folder), batch_size=n) for n in (1, 3)), strict=True):
        np.testing.assert_allclose(one.logits, other.logits, atol=1e-4)
        for name, found in one.divergences.items():
            assert found.symmetric_kl == pytest.approx(other.divergences[name].symmetric_kl, rel=1e-3)


def test_every_video_is_decoded_once(folder, decoded):
    evaluate(model_of(), clips_of(folder), batch_size=2)
    assert len(decoded) == len(set(decoded)) == 4


@torch.no_grad()
def test_at_the_statistics_of_the_data_nothing_diverges(folder):
    model = model_of()
    before = evaluate(model, clips_of(folder, (8,)))[0].divergences
    (batch,) = clips_of(folder, (8,)).loader(4)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    model.train()(batch.stream(8))  # leaves the batch's statistics, with the unbiased variance, in the 8-frame branch
    network = model.eval().at(8, 8)
    sizes = {}
    hooks = [
        m.register_forward_hook(lambda m, x, _: sizes.update({m: x[0].numel() // x[0].shape[1]}))
        for m in network.modules()
        if isinstance(m, nn.BatchNorm2d)
    ]
    network(batch.stream(8))
    for hook in hooks:
        hook.remove()
    for norm, count in sizes.items():
        norm.running_var.mul_((count - 1) / count)
    after = evaluate(model, clips_of(folder, (8,)))[0].divergences
    assert after.keys() == before.keys()
    assert all(found.symmetric_kl > 0.01 for found in before.values())
    assert all(found.symmetric_kl < 1e-3 for found in after.values())


def test_evaluations_in_two_threads_share_a_model(folder):
    model = model_of()
    grids = [(1, 4, 16), (8, 6, 2)]
    want = [evaluate(model, clips_of(folder, grid)) for grid in grids]
    model.eval()  # forgets the specialised networks, so that the threads race to make them
    got = [None, None]

    def work(i):
        got[i] = evaluate(model, clips_of(folder, grids[i]), batch_size=2)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(chain(*want), chain(*got), strict=True):
        np.testing.assert_allclose(one.logits, other.logits, atol=1e-4)
        for name, found in one.divergences.items():
            assert found.symmetric_kl == pytest.approx(other.divergences[name].symmetric_kl, rel=1e-3)


def test_broken_videos_are_left_out_and_named(folder):
    want = evaluate(model_of(), clips_of(folder))
    (folder / "a" / "1.mp4").write_bytes(b"")
    for result, whole in zip(evaluate(model_of(), clips_of(folder)), want, strict=True):
        assert result.indices.tolist() == [0, 2, 3]
        assert result.labels.tolist() == [0, 1, 1]
        np.testing.assert_allclose(result.logits, whole.logits[[0, 2, 3]], atol=1e-4)
        assert len(result.unreadable) == 1
        assert str(folder / "a" / "1.mp4") in result.unreadable[0]


def test_nothing_readable_is_no_crash(folder):
    for path in folder.glob("*/*.mp4"):
        path.write_bytes(b"")
    for result in evaluate(model_of(), clips_of(folder)):
        assert (result.clips, result.correct, len(result.unreadable)) == (0, 0, 4)
        assert result.divergences == {}


def test_progress_counts_videos_and_may_cancel(folder):
    assert_progress_counts_videos_and_may_cancel(folder, partial(evaluate, model_of(), clips_of(folder), batch_size=1))


def test_layer_norms_are_compared_with_themselves_at_the_count_of_their_branch(folder):
    torch.manual_seed(0)
    model = ffn.create_model("vit_tiny_patch16_224", FRAMES, num_classes=2, img_size=32, depth=1).eval()
    results = {result.num_frames: result for result in evaluate(model, clips_of(folder, (2, 4, 16)))}
    assert list(results[2].divergences) == list(results[2].inputs) == ["blocks.0.norm1", "blocks.0.norm2", "norm"]
    assert all(found.symmetric_kl == 0 for found in results[4].divergences.values())
    assert all(found.symmetric_kl > 0 for found in results[2].divergences.values())
    assert results[16].branch == 8
    assert not results[16].divergences  # what the branch sees at 8 frames was not measured
    assert results[16].inputs


def test_rows_have_their_columns(folder):
    result = evaluate(model_of(), clips_of(folder, (6,)))[0]
    assert list(result.accuracy_row()) == ["num_frames", "branch", "correct", "clips"]
    rows = result.divergence_rows()
    numbers = ["mean_shift", "log_variance_ratio", "symmetric_kl", "wasserstein"]
    assert all(list(row) == ["num_frames", "branch", "layer", *numbers] for row in rows)
    assert [row["layer"] for row in rows] == list(result.divergences)
    assert rows[0]["layer"] == "bn1"


def test_a_model_in_training_mode_is_refused(folder):
    with pytest.raises(ValueError, match=r"call model\.eval\(\) first"):
        evaluate(model_of().train(), clips_of(folder))


@pytest.mark.parametrize(
    ("correct", "clips", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718), (0, 0, 0, 1)],
)
def test_wilson_intervals_are_those_of_newcombe_1998_table_1(correct, clips, low, high):
    assert wilson(correct, clips) == pytest.approx((low, high), abs=5e-5)


def test_wilson_intervals_mirror():
    assert wilson(20, 20) == pytest.approx(tuple(1 - bound for bound in reversed(wilson(0, 20))))
