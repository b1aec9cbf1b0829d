"""Features of every architecture, at every frame count, from one decode; a model that is shared is left alone."""

import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from conftest import assert_progress_counts_videos_and_may_cancel, random_clips, redraw, small

import ffn
from ffn import Preprocessing, features
from ffn.features import POOLED, extract_features, feature_layers, in_common, joined, pool

FRAMES = (4, 8)
GRID = (1, 4, 6)
TINY_SWIN = {"img_size": 32, "window_size": 4, "embed_dim": 24, "depths": (1, 1, 2, 1), "num_heads": (1, 1, 2, 2)}
NETWORKS = {
    "resnet18": {"channels": (16, 16, 24, 32)},
    "resnetv2_18": {"channels": (16, 16, 24, 32)},  # its classifier is a convolution
    "deit_tiny_distilled_patch16_224": {"img_size": 32, "depth": 2},  # two classifiers
    "swin_tiny_patch4_window7_224": TINY_SWIN,  # channels last
    "test_convnext": {},
    "tea_resnet50": {},
    "slowfast_resnet50": {"width": 8, "depths": (1, 1, 1, 1)},
    "uniformer_small": {"dims": (16, 16, 32, 32), "depths": (1, 1, 1, 1), "head_dim": 16},
}


def clips_of(folder, frames=GRID):
    return ffn.Clips(folder, frames=frames, preprocessing=Preprocessing(resize=36, crop=32))


def model_of(frames=FRAMES, **kwargs):
    return small(frames, num_classes=2, **kwargs)


@pytest.mark.parametrize("frames", [(4, 8), (8,)])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_architecture_gives_features(name, frames, folder):
    torch.manual_seed(0)
    model = ffn.create_model(name, frames, num_classes=2, **NETWORKS[name]).eval()
    redraw(model)
    found = extract_features(model, clips_of(folder, (4, 6)), videos=2)
    assert found.layers == feature_layers(model)
    assert len(found.layers) >= 3
    for layer in found.layers:
        for t, values in found.over_frames(layer).items():
            assert values.shape == found.at(4, layer).shape, t
            assert values.dtype == np.float32
            assert len(values) == 2
            assert np.isfinite(values).all()
    assert not np.allclose(found.at(4, POOLED), found.at(6, POOLED))


@torch.no_grad()
@pytest.mark.parametrize("name", ["resnet18", "test_convnext", "slowfast_resnet50", "uniformer_small"])
def test_what_is_pooled_is_what_the_classifier_turns_into_logits(name, folder):
    model = ffn.create_model(name, FRAMES, num_classes=2, **NETWORKS[name]).eval()
    redraw(model)
    (result,) = ffn.evaluate(model, clips_of(folder, (6,)))
    pooled = torch.from_numpy(extract_features(model, clips_of(folder, (6,)), layers=[POOLED]).at(6, POOLED))
    plain = model.at(8, 6)
    backbone = getattr(plain, "backbone", plain)
    classifier = backbone.get_classifier() if hasattr(backbone, "get_classifier") else backbone.head
    torch.testing.assert_close(classifier(pooled), torch.from_numpy(result.logits), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_features_are_means_over_pixels_and_frames(folder):
    model = model_of()
    found = extract_features(model, clips_of(folder), batch_size=3)
    (batch,) = clips_of(folder).loader(4)
    network = model.at(8, 6).backbone
    network.layer1.register_forward_hook(lambda _, x, y: seen.append(y))
    seen = []
    network(batch.stream(6).flatten(0, 1))
    want = seen[0].mean((2, 3)).unflatten(0, (4, 6)).mean(1)
    np.testing.assert_allclose(found.at(6, "layer1.1"), want, rtol=1e-4, atol=1e-5)
    assert found.labels.tolist() == [0, 0, 1, 1]
    assert found.indices.tolist() == [0, 1, 2, 3]


def test_the_last_block_of_every_stage_stands_for_it():
    assert feature_layers(model_of()) == ("layer1.1", "layer2.1", "layer3.1", "layer4.1", POOLED)
    slowfast = ffn.create_model("slowfast_resnet50", (8,), num_classes=2, **NETWORKS["slowfast_resnet50"])
    assert feature_layers(slowfast) == (*(f"{way}.{i}.0" for way in ("slow", "fast") for i in (1, 2, 3, 4)), POOLED)


def test_channels_are_found_wherever_they_are():
    x = torch.randn(2, 5, 3, 3)
    want = x.mean((2, 3))
    for same in (x, x.permute(0, 2, 3, 1), x.flatten(2).transpose(1, 2), x.unsqueeze(2), want):
        torch.testing.assert_close(pool(same), want)


def test_every_video_is_decoded_once(folder, decoded):
    extract_features(model_of(), clips_of(folder), batch_size=2)
    assert len(decoded) == len(set(decoded)) == 4


def test_some_videos_are_drawn_the_same_every_time(folder):
    drawn = [extract_features(model_of(), clips_of(folder), videos=n).indices.tolist() for n in (2, 2, 3, 9)]
    assert drawn[0] == drawn[1] == sorted(drawn[0])
    assert set(drawn[0]) < set(drawn[2]) < set(drawn[3]) == {0, 1, 2, 3}


def test_what_is_drawn_has_every_class_though_classes_take_turns():
    drawn = [index for batch in features._order(2400, 600, 32) for index in batch]
    counts = np.bincount(np.array(drawn) % 16)
    assert counts.sum() == 600
    assert counts.min() > 20


def test_broken_videos_are_left_out_and_named(folder):
    whole = extract_features(model_of(), clips_of(folder))
    (folder / "a" / "1.mp4").write_bytes(b"")
    found = extract_features(model_of(), clips_of(folder))
    assert found.indices.tolist() == [0, 2, 3]
    assert str(folder / "a" / "1.mp4") in found.unreadable[0]
    np.testing.assert_allclose(found.at(4, POOLED), whole.at(4, POOLED)[[0, 2, 3]], atol=1e-4)
    for path in folder.glob("*/*.mp4"):
        path.write_bytes(b"")
    assert len(extract_features(model_of(), clips_of(folder)).at(4, POOLED)) == 0


def test_networks_are_compared_on_the_videos_that_both_have(folder):
    first, second = (extract_features(model_of(), clips_of(folder), videos=n, layers=[POOLED]) for n in (4, 2))
    one, other = in_common(first, second)
    assert one.indices.tolist() == other.indices.tolist() == second.indices.tolist()
    np.testing.assert_allclose(one.at(4, POOLED), other.at(4, POOLED), atol=1e-4)
    with pytest.raises(ValueError, match="different data"):
        in_common(first, replace(second, labels=1 - second.labels))


def test_halves_have_half_of_every_class(folder):
    found = extract_features(model_of(), clips_of(folder), layers=[POOLED])
    one, other = found.halves()
    assert sorted([*one.indices, *other.indices]) == [0, 1, 2, 3]
    assert one.labels.tolist() == other.labels.tolist() == [0, 1]
    np.testing.assert_array_equal(one.at(4, POOLED), found.at(4, POOLED)[one.indices])


def test_frame_counts_extracted_apart_are_joined(folder):
    first, second = (extract_features(model_of(), clips_of(folder, frames)) for frames in ((1, 6), (4,)))
    found, whole = joined(first, second), extract_features(model_of(), clips_of(folder))
    assert found.frames == whole.frames == GRID
    for key, values in whole.values.items():
        np.testing.assert_array_equal(found.values[key], values)
    with pytest.raises(ValueError, match="of the same videos and layers"):
        joined(first, second.among(np.array([0])))


@torch.no_grad()
def test_a_model_shared_by_threads_is_not_disturbed(folder):
    model, clips = model_of(), random_clips(6)
    before, answer = [*model.modules()], model(clips)
    want = extract_features(model, clips_of(folder))
    model.eval()  # forgets the specialised networks, so that the threads race to make them
    got, answers = [], []

    def work():
        got.append(extract_features(model, clips_of(folder), batch_size=2))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        with torch.no_grad():
            answers.append(model(clips))
    for thread in threads:
        thread.join()
    for found in got:
        for key, values in want.values.items():
            np.testing.assert_allclose(found.values[key], values, atol=1e-4)
    assert all(torch.equal(other, answer) for other in answers)
    assert [*model.modules()] == before
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_progress_counts_videos_and_may_cancel(folder):
    assert_progress_counts_videos_and_may_cancel(
        folder, partial(extract_features, model_of(), clips_of(folder), batch_size=1)
    )


def test_what_cannot_be_is_refused(folder):
    with pytest.raises(ValueError, match=r"call model\.eval\(\) first"):
        extract_features(model_of().train(), clips_of(folder))
    with pytest.raises(ValueError, match=r"no layer 'layer9'; the layers are layer1\.0"):
        extract_features(model_of(), clips_of(folder), layers=["layer9"])
    with pytest.raises(ValueError, match="videos must be at least 1, got 0"):
        extract_features(model_of(), clips_of(folder), videos=0)
    with pytest.raises(ValueError, match=r"no features of 'pooled' at 5 frames"):
        extract_features(model_of(), clips_of(folder)).at(5, POOLED)
