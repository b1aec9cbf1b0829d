"""Fingerprints: equal for equal content, another one for whatever decides a result."""

import shutil
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import small

import ffn
from ffn.data import Clips
from ffn.features import Features
from ffn.fingerprints import fingerprint

PREPROCESSING = ffn.Preprocessing(resize=36, crop=32)
NETWORKS = [
    ("resnet18", (4, 8), {}),
    ("resnet18", (8,), {}),
    ("test_vit", (4, 8), {"img_size": 32}),
    ("slowfast_resnet50", (8,), {}),
    ("uniformer_small", (4, 8), {}),
]


def clips_of(source, **how) -> Clips:
    return Clips(source, **{"frames": (2, 4), "preprocessing": PREPROCESSING, **how})


@pytest.mark.parametrize(("architecture", "frames", "options"), NETWORKS)
def test_a_saved_and_loaded_network_is_the_same(architecture, frames, options, tmp_path):
    model = ffn.create_model(architecture, frames, num_classes=2, **options).eval()
    ffn.save(model, tmp_path / "model.safetensors")
    assert fingerprint(ffn.load(tmp_path / "model.safetensors")) == fingerprint(model)
    assert fingerprint(deepcopy(model)) == fingerprint(model)


def first(model, name: str) -> torch.Tensor:
    """The beginning of the first tensor whose name has this end."""
    return next(tensor for key, tensor in model.state_dict().items() if key.endswith(name)).view(-1)[:1]


CHANGES = {
    "a weight": lambda model: first(model, "conv1.weight").add_(1e-6),
    "a gain": lambda model: first(model, "by_frames.8").add_(1e-3),
    "a running mean": lambda model: first(model, "running_mean").add_(1e-6),
    "the structure": lambda model: setattr(model.network.backbone, "act1", torch.nn.GELU()),
    "an option": lambda model: setattr(model, "config", {**model.config, "filled": [2]}),
    "the card's input size": lambda model: model.card.update(input_size=96),
    "its mode": lambda model: model.train(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_whatever_changes_in_a_network_is_seen(change):
    model = small((4, 8))
    before = fingerprint(model)
    change(model)
    assert fingerprint(model) != before


def test_clips_are_the_content_of_their_videos_wherever_they_lie(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "elsewhere")
    clips, moved = clips_of(folder), clips_of(tmp_path / "elsewhere", cache=True)
    assert fingerprint(clips) == fingerprint(moved)
    (folder / "a" / "0.mp4").write_bytes((folder / "b" / "0.mp4").read_bytes())
    assert fingerprint(clips_of(folder)) != fingerprint(moved)


@pytest.mark.parametrize(
    "how",
    [
        {"frames": (2, 5)},
        {"frames": (4, 2)},
        {"preprocessing": replace(PREPROCESSING, crop=30)},
        {"preprocessing": replace(PREPROCESSING, channel_order="BGR")},
        {"classes": ("b", "a")},
        {"seed": 0},
        {"seed": 0, "augmentation": ffn.Augmentation(flip="on")},
    ],
    ids=str,
)
def test_whatever_makes_other_clips_of_the_same_videos_is_seen(folder, how):
    assert fingerprint(clips_of(folder, **how)) != fingerprint(clips_of(folder))
    assert clips_of(folder, **how).digest == clips_of(folder).digest


def test_the_same_videos_under_each_other_s_names_are_seen(folder):
    before = fingerprint(clips_of(folder))
    for name, to in [("0", "spare"), ("1", "0"), ("spare", "1")]:
        (folder / "a" / f"{name}.mp4").rename(folder / "a" / f"{to}.mp4")
    assert fingerprint(clips_of(folder)) != before


def test_records_and_plain_values_are_told_apart_by_all_they_hold():
    def features(number, dtype=np.float32):
        return Features(("a",), (2,), np.arange(2), np.arange(2), {(2, "a"): np.full((2, 3), number, dtype)}, ())

    things = [1, 1.0, True, "1", None, [1], [[1]], [1, 2], {1: 2}, {2: 1}, {1: 2, 2: 1}, {2: 1, 1: 2}]
    things += [np.ones(4), np.ones(4, np.float32), np.ones((2, 2)), torch.ones(4), np.float64(1)]
    things += [features(1), features(2), features(1, np.float64)]
    assert len({fingerprint(thing) for thing in things}) == len(things)
    assert fingerprint(features(1)) == fingerprint(features(1))
    assert fingerprint((1, "a")) == fingerprint([1, "a"])
    assert fingerprint("a", "b") != fingerprint("ab")
    assert fingerprint(np.ones((2, 4))[:, ::2]) == fingerprint(np.ones((2, 2)))


@pytest.mark.parametrize("thing", [print, np.array([{}]), (i for i in "ab"), {1: object()}])
def test_what_has_no_content_to_go_by_is_refused(thing):
    with pytest.raises(ValueError, match="has no content to hash; pass networks, clips"):
        fingerprint(thing)
