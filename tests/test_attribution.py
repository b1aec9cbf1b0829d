"""Which norms cost the accuracy, how much of a gap they explain, and how sure that is."""

import numpy as np
import pytest
import torch
from conftest import redraw, small

import ffn
from ffn.attribution import attribute
from ffn.evaluation import evaluate
from ffn.gap import share_explained
from ffn.pairing import bootstrap, compare_networks, estimate, gain
from ffn.statistics import norm_layers
from ffn.transplantation import transplant


def clips_of(folder, *frames):
    return ffn.Clips(folder, frames=frames, preprocessing=ffn.Preprocessing(resize=36, crop=32))


def model_of(frames=(8,), seed=0):
    return small(frames, seed, num_classes=2)


def vit(seed=0):
    torch.manual_seed(seed)
    model = ffn.create_model("vit_tiny_patch16_224", (8,), num_classes=2, img_size=32, depth=1)
    redraw(model, seed)
    return model.eval()


def right(model, clips):
    (result,) = evaluate(model, clips)
    return result.logits.argmax(-1) == result.labels


def test_networks_are_compared_on_the_same_videos(folder):
    models, clips = {"one": model_of(), "other": model_of((4, 8), 1)}, clips_of(folder, 4, 6)
    found = compare_networks(models, clips, batch_size=3)
    assert found.indices.tolist() == [0, 1, 2, 3]
    for name, model in models.items():
        for result in evaluate(model, clips):
            want = result.logits.argmax(-1) == result.labels
            assert found.right[name][result.num_frames].tolist() == want.tolist()
            assert found.branches[name][result.num_frames] == result.branch


def test_a_network_in_training_mode_is_not_compared(folder):
    with pytest.raises(ValueError, match="other is in training mode"):
        compare_networks({"one": model_of(), "other": model_of().train()}, clips_of(folder, 4))


def test_videos_that_cannot_be_read_are_left_out_for_all(folder):
    (folder / "a" / "1.mp4").write_bytes(b"")
    found = compare_networks({"one": model_of()}, clips_of(folder, 4))
    assert found.indices.tolist() == [0, 2, 3]
    assert len(found.right["one"][4]) == 3
    assert len(found.unreadable) == 1


@pytest.mark.parametrize(("make", "what"), [(model_of, ("statistics",)), (vit, ("statistics", "affine"))])
def test_each_layer_alone_and_all_together_are_what_transplants_give(folder, make, what):
    target, source, clips = make(), make(seed=1), clips_of(folder, 4)
    found = attribute(target, source, clips, 4, what=what)
    layers = list(norm_layers(target.at(8, 8)))
    assert list(found.alone) == layers
    assert sorted(found.ranked) == sorted(layers)
    assert found.as_trained.tolist() == right(target, clips).tolist()
    for layer in layers[:2]:
        assert found.alone[layer].tolist() == right(transplant(target, source, layer, what=what), clips).tolist()
    whole = right(transplant(target, source, what=what), clips)
    assert found.cumulative[found.ranked[-1]].tolist() == whole.tolist()
    assert found.cumulative[found.ranked[0]].tolist() == found.alone[found.ranked[0]].tolist()


def test_layers_are_ranked_by_what_they_recover_alone(folder):
    found = attribute(model_of(), model_of(seed=1), clips_of(folder, 4), 4)
    recovered = [int(found.alone[layer].sum()) for layer in found.ranked]
    assert recovered == sorted(recovered, reverse=True)
    assert list(found.recovered()) == list(found.ranked)


def test_the_branch_that_answers_is_the_one_exchanged(folder):
    target, source, clips = model_of((4, 8)), model_of((4, 16), 1), clips_of(folder, 6)
    found = attribute(target, source, clips, 6, "layer1")
    view = transplant(target, source, "layer1", what=("statistics",), branch=8, source_branch=4)
    assert found.cumulative[found.ranked[-1]].tolist() == right(view, clips).tolist()


def test_layers_without_anything_to_give_are_left_out(folder):
    torch.manual_seed(0)
    mixed = ffn.create_model("uniformer_small", (8,), num_classes=2, depths=(1, 1, 1, 1)).eval()
    found = attribute(mixed, mixed, clips_of(folder, 4), 4)
    assert 0 < len(found.alone) < len(norm_layers(mixed.at(8, 8)))
    with pytest.raises(ValueError, match="LayerNorms keep none"):
        attribute(vit(), vit(), clips_of(folder, 4), 4)


def test_every_video_is_decoded_once_per_pass(folder, decoded):
    attribute(model_of(), model_of(seed=1), clips_of(folder, 4), 4, "layer1", batch_size=2)
    assert len(decoded) == 2 * 4


def test_progress_counts_both_passes_and_may_cancel(folder):
    calls = []
    how = {"layers": "layer1", "batch_size": 2}
    attribute(model_of(), model_of(), clips_of(folder, 4), 4, progress=lambda *call: calls.append(call), **how)
    assert calls == [(2, 8), (4, 8), (6, 8), (8, 8)]

    def cancel(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        attribute(model_of(), model_of(), clips_of(folder, 4), 4, progress=cancel)


def test_clips_at_other_counts_are_refused(folder):
    with pytest.raises(ValueError, match="sample them at 4 alone"):
        attribute(model_of(), model_of(), clips_of(folder, 4, 8), 4)


# --- How sure it is -------------------------------------------------------------------------------------------


def drawn(rng, videos, as_trained=0.5, changed=0.6, reference=0.7):
    """Answers to videos of which each network finds the same ones hard."""
    difficulty = rng.random(videos)
    noise = rng.normal(0, 0.1, (3, videos))
    return [difficulty + shift < rate for rate, shift in zip((as_trained, changed, reference), noise, strict=True)]


def test_a_bootstrap_over_patterns_is_one_over_videos():
    answers = np.stack(drawn(np.random.default_rng(0), 300), axis=1)
    rng = np.random.default_rng(1)
    want = np.array([answers[rng.integers(0, 300, 300)].mean(axis=0) for _ in range(4000)])
    got = bootstrap(answers, draws=4000)
    np.testing.assert_allclose(got.mean(axis=0), want.mean(axis=0), atol=3e-3)
    np.testing.assert_allclose(np.cov(got.T), np.cov(want.T), rtol=0.15)


def test_the_interval_covers_the_true_share():
    rng = np.random.default_rng(0)
    truth = share_explained(*drawn(rng, 400_000), draws=10).explained.value
    shares = [share_explained(*drawn(rng, 500), draws=1000, seed=i).explained for i in range(200)]
    covered = np.mean([share.low <= truth <= share.high for share in shares])
    assert 0.9 <= covered <= 0.99


def test_shares_are_exact_at_their_ends():
    rng = np.random.default_rng(0)
    before, _, reference = drawn(rng, 1000)
    nothing, everything = (share_explained(before, changed, reference).explained for changed in (before, reference))
    assert vars(nothing) == {"value": 0, "low": 0, "high": 0}
    assert vars(everything) == {"value": 1, "low": 1, "high": 1}


def test_the_same_seed_gives_the_same_interval():
    answers = drawn(np.random.default_rng(0), 500)
    assert share_explained(*answers) == share_explained(*answers)
    assert share_explained(*answers) != share_explained(*answers, seed=1)


def test_without_a_gap_there_is_nothing_to_explain():
    rng = np.random.default_rng(0)
    before, changed, _ = drawn(rng, 500)
    for reference in (before, np.zeros(500, bool)):
        share = share_explained(before, changed, reference)
        assert share.gap.value <= 0
        assert np.isnan(share.explained.value)
        assert (share.explained.low, share.explained.high) == (-np.inf, np.inf)


def test_a_gap_that_could_be_chance_leaves_the_share_open():
    before = np.arange(400) < 200
    reference = (np.arange(400) < 190) | (np.arange(400) >= 388)  # 2 more, where 22 differ
    share = share_explained(before, before, reference)
    assert share.gap.low < 0 < share.gap.value
    assert np.isinf([share.explained.low, share.explained.high]).all()


def test_answers_to_different_videos_are_refused():
    with pytest.raises(ValueError, match=r"\[4, 5\] videos"):
        share_explained(np.ones(4, bool), np.ones(4, bool), np.ones(5, bool))
    with pytest.raises(ValueError, match="no video"):
        share_explained(*[np.ones(0, bool)] * 3)


def test_a_gain_is_paired():
    before, after, _ = drawn(np.random.default_rng(0), 1000)
    found = gain(before, after)
    assert found.value == pytest.approx(after.mean() - before.mean())
    assert vars(gain(before, before)) == {"value": 0, "low": 0, "high": 0}
    assert found.low < found.value < found.high
    apart = estimate(0, bootstrap(after[:, None])[:, 0] - bootstrap(before[:, None], seed=1)[:, 0])
    assert found.high - found.low < apart.high - apart.low
