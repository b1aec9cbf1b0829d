"""Files of the paper's authors: their layouts, their networks' logits, and every way in which a file can be wrong.

tests/golden holds, per network, the names and shapes of a file with 7 classes, and the logits of the authors' code on
weights and clips that are drawn here (float32 and float64).
"""

import json
import os
import re
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import error, random_clips

import ffn
from ffn.checkpoint import CheckpointError, preprocessing
from ffn.layers import ResidualAdapter, Switchable
from ffn.official import OFFICIAL, identify, load_official

GOLDEN = Path(__file__).parent / "golden"
NETWORKS = ("resnet18", "resnet50", "tea_resnet50", "slowfast_resnet50", "uniformer_small")
SIDE = {"tea_resnet50": 224}  # pixels of the recorded clips; 64 of the others
BRANCH = re.compile(r"_(4|8|16)(?=\.)")
every = pytest.mark.parametrize("architecture", NETWORKS)


@cache
def golden(architecture):
    """The shapes of a file by name, and the recorded logits by precision and clip."""
    with np.load(GOLDEN / f"{architecture}.npz") as file:
        arrays = dict(file)
    return json.loads(arrays.pop("keys").tobytes()), {name: torch.from_numpy(a) for name, a in arrays.items()}


def drawn(name, shape, seed=0):
    """The tensor of one name; every name has a generator of its own."""
    if name.endswith("num_batches_tracked"):
        return torch.zeros((), dtype=torch.int64)
    rng = np.random.RandomState((seed + zlib.crc32(name.encode()) % 2**31) % 2**32)
    if name.endswith("running_var"):
        return torch.from_numpy(rng.uniform(0.5, 1.5, shape)).float()
    noise = rng.standard_normal(shape)
    if "adaconv" in name or not name.endswith(".weight"):
        noise *= 0.1
    elif len(shape) >= 2:
        noise *= 0.7 * np.sqrt(2 / np.prod(shape[1:]))
    else:
        noise = 1 + 0.1 * noise
    return torch.from_numpy(noise).float()


def recorded_clips(seed, num_frames, side, *, squares):
    """Noise, and with `squares` large coloured squares that change from frame to frame, so that time matters."""
    rng = np.random.RandomState(seed)
    clips = rng.standard_normal((2, num_frames, 3, side, side))
    if squares:
        clips += 3 * np.kron(rng.standard_normal((2, num_frames, 3, 4, 4)), np.ones((side // 4, side // 4)))
    return torch.from_numpy(clips).float()


def weights(architecture):
    return {name: drawn(name, shape) for name, shape in golden(architecture)[0].items()}


def hollow(architecture):
    """A file of the right names and shapes in a few kilobytes: every tensor is one number, repeated."""
    return {name: torch.zeros(()).expand(shape) for name, shape in golden(architecture)[0].items()}


def write(path, state, **more):
    key = "state_dict" if any(name.startswith("module.") for name in state) else "model_state"
    torch.save({key: state, "epoch": 49, **more}, path)
    return path


def opened(tmp_path, state, architecture, frames=None):
    path = write(tmp_path / "authors.pth.tar", state)
    try:
        return load_official(path, architecture, frames)
    finally:
        path.unlink()  # they are large


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """Opens, once, the file of a network whose weights are drawn."""
    folder = tmp_path_factory.mktemp("official")
    return cache(lambda architecture: opened(folder, weights(architecture), architecture))


def worst(model, architecture, precision, only=lambda name: True):
    """Largest error of a model over the recorded clips."""
    model = model.to(getattr(torch, precision))
    errors = []
    for name, want in golden(architecture)[1].items():
        kind, seed, num_frames, squares = re.fullmatch(r"(\w+)/seed(\d+)_T(\d+)(_s)?", name).groups()
        if kind == precision and only(name):
            side = SIDE.get(architecture, 64)
            clips = recorded_clips(int(seed), int(num_frames), side, squares=bool(squares)).to(want.dtype)
            with torch.no_grad():
                errors.append(error(model(clips), want))
    assert errors
    return max(errors)


LIMITS = {"float32": 2e-5, "float64": 1e-9}
precisions = pytest.mark.parametrize("precision", LIMITS)


# What of the slow ones is enough from day to day.
QUICK = {
    ("tea_resnet50", "float32"): r"T4|T6_s",
    ("tea_resnet50", "float64"): r"T4_s",
    ("slowfast_resnet50", "float64"): r"T(16|24|32)_s",
    ("uniformer_small", "float64"): r"_s",
    ("resnet50", "float64"): r"_s",
}


@precisions
@every
def test_every_branch_gives_the_authors_logits(architecture, precision, official):
    quick = re.compile(QUICK.get((architecture, precision), ""))
    assert worst(official(architecture), architecture, precision, quick.search) < LIMITS[precision]


@pytest.mark.campaign
@pytest.mark.parametrize(("architecture", "precision"), QUICK)
def test_every_frame_count_of_the_slow_ones_gives_the_authors_logits(architecture, precision, official):
    assert worst(official(architecture), architecture, precision) < LIMITS[precision]


@pytest.mark.parametrize("architecture", ["resnet18", "slowfast_resnet50", "uniformer_small"])
def test_a_wrong_branch_or_a_dropped_adapter_is_noticed(architecture, official, monkeypatch):
    def some(name):
        return name.endswith("T16_s")  # the longest or, of SlowFast, the shortest branch

    model = official(architecture)
    with monkeypatch.context() as mutant:
        mutant.setattr(ResidualAdapter, "at", lambda self, branch, num_frames: self.conv)
        assert worst(model.eval(), architecture, "float32", some) > 1e-2
    with monkeypatch.context() as mutant:
        mutant.setattr(Switchable, "at", lambda self, *_: list(self.by_frames.values())[1])
        assert worst(model.eval(), architecture, "float32", some) > 1e-2
    assert worst(model.eval(), architecture, "float32", some) < 2e-5


def plain_of(state, suffix):
    """One branch of a file as a plain network's file."""
    return {
        BRANCH.sub("", name): tensor
        for name, tensor in state.items()
        if "adaconv" not in name and BRANCH.findall(name) in ([], [suffix])
    }


@every
def test_a_plain_file_is_a_branch_without_gains(architecture, tmp_path):
    state = {name: torch.zeros_like(t) if "adaconv" in name else t for name, t in weights(architecture).items()}
    whole = opened(tmp_path, state, architecture)
    for suffix, branch in zip(("4", "8", "16"), whole.frames, strict=True):
        single = opened(tmp_path, plain_of(state, suffix), architecture, (branch,))
        assert single.frames == (branch,)
        assert not any(isinstance(module, Switchable | ResidualAdapter) for module in single.modules())
        clips = random_clips(6)
        with torch.no_grad():
            assert torch.equal(single(clips), whole(clips, branch=branch))


def test_the_ways_to_write_a_plain_file(tmp_path):
    state = plain_of(weights("resnet18"), "8")
    spellings = {
        "theirs": state,
        "torchvision's": {
            name.replace("downsample_conv", "downsample.0").replace("downsample_bn", "downsample.1"): tensor
            for name, tensor in state.items()
        },
        "MIT's": {re.sub(r"(layer.*conv1)", r"\1.net", name): tensor for name, tensor in state.items()},
        "bare": {name.removeprefix("module."): tensor for name, tensor in state.items()},
    }
    clips = random_clips(5)
    want = opened(tmp_path, state, "resnet18")(clips)
    for spelling, spelled in spellings.items():
        assert spelling == "theirs" or spelled.keys() != state.keys()
        assert torch.equal(opened(tmp_path, spelled, "resnet18")(clips), want), spelling
    torch.save(state, tmp_path / "tensors.pth")
    assert torch.equal(load_official(tmp_path / "tensors.pth", "resnet18")(clips), want)


def test_the_same_tensor_under_two_names_is_refused(tmp_path):
    state = plain_of(hollow("resnet18"), "8")
    name = "module.base_model.layer2.0.downsample_conv.weight"
    state[name.replace("_conv", ".0")] = state[name]
    with pytest.raises(CheckpointError, match=r"unknown: module.base_model.layer2.0.downsample.0.weight"):
        opened(tmp_path, state, "resnet18")


@every
def test_frames_are_those_of_the_authors_or_as_told(architecture, tmp_path):
    usual = (16, 32, 64) if architecture == "slowfast_resnet50" else (4, 8, 16)
    state = hollow(architecture)
    assert opened(tmp_path, state, architecture).frames == usual
    assert opened(tmp_path, state, architecture, (3, 5, 16)).frames == (3, 5, 16)
    assert opened(tmp_path, plain_of(state, "8"), architecture).frames == usual[-1:]
    assert opened(tmp_path, plain_of(state, "8"), architecture, (8,)).frames == (8,)
    for frames in ((4, 8), (16,), (4, 8, 12, 16)):
        with pytest.raises(ValueError, match=r"three branches, so it takes three frame counts .*got \("):
            opened(tmp_path, state, architecture, frames)
    with pytest.raises(ValueError, match=r"one set of norms, so it takes one frame count .*got \(4, 8, 16\)"):
        opened(tmp_path, plain_of(state, "8"), architecture, (4, 8, 16))
    with pytest.raises(ValueError, match="frames must be increasing"):
        opened(tmp_path, state, architecture, (16, 8, 4))


@every
def test_it_says_what_it_is(architecture, tmp_path):
    for state in (hollow(architecture), plain_of(hollow(architecture), "16")):
        assert identify(write(tmp_path / "some.pth", state)) == architecture


def test_resnet101_is_a_resnet_too(tmp_path):
    shapes = golden("resnet50")[0]
    deeper = {
        name.replace("layer3.5.", f"layer3.{j}."): shape
        for name, shape in shapes.items()
        for j in range(5, 23 if "layer3.5." in name else 6)
    }
    state = {name: torch.zeros(()).expand(shape) for name, shape in deeper.items()}
    assert identify(write(tmp_path / "some.pth", state)) == "resnet101"
    model = opened(tmp_path, state, "resnet101")
    assert len(model.network.backbone.layer3) == 23
    assert model.card["title"] == "TSM-FFN ResNet-101 (official)"


def test_the_number_of_classes_is_that_of_the_file(tmp_path):
    for architecture in NETWORKS:
        head = OFFICIAL[architecture].classifier
        state = {
            name: torch.zeros(()).expand(174, *t.shape[1:]) if head in name.rpartition(".")[0] else t
            for name, t in hollow(architecture).items()
        }
        assert opened(tmp_path, state, architecture).config["num_classes"] == 174


def test_half_precision_and_strides_become_ordinary(tmp_path):
    model = opened(tmp_path, {k: v.half() for k, v in hollow("resnet18").items()}, "resnet18")
    for name, tensor in model.state_dict().items():
        assert tensor.is_contiguous(), name
        assert tensor.dtype == (torch.int64 if name.endswith("tracked") else torch.float32)
    assert not model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("architecture", "title", "input_size", "resize", "order", "mean"),
    [
        ("resnet18", "TSM-FFN ResNet-18 (official)", 224, 256, "RGB", [0.485, 0.456, 0.406]),
        ("tea_resnet50", "TEA-FFN Res2Net-50 (official)", 224, 256, "RGB", [0.485, 0.456, 0.406]),
        ("slowfast_resnet50", "SlowFast-FFN ResNet-50 (official)", 256, 256, "BGR", [0.45] * 3),
        ("uniformer_small", "UniFormer-FFN Small (official)", 224, 224, "RGB", [0.45] * 3),
    ],
)
def test_the_card_says_how_to_feed_it(architecture, title, input_size, resize, order, mean, tmp_path):
    card = opened(tmp_path, hollow(architecture), architecture).card
    assert card["title"] == title
    assert card["source"] == "authors.pth.tar"
    assert card["epoch"] == 49
    assert card["classes"] is None
    assert (card["input_size"], card["resize"], card["channel_order"], card["mean"]) == (
        input_size,
        resize,
        order,
        mean,
    )
    plain = opened(tmp_path, plain_of(hollow(architecture), "16"), architecture).card
    assert plain["title"] == title.replace("-FFN", "")
    assert str(tmp_path) not in json.dumps(card)


@pytest.mark.parametrize("architecture", ["resnet18", "uniformer_small"])
def test_our_file_of_it_is_the_same_network(architecture, tmp_path, official):
    model = official(architecture).float()
    ffn.save(model, tmp_path / "ours.safetensors")
    ours = ffn.load(tmp_path / "ours.safetensors")
    assert preprocessing(ours.card) == OFFICIAL[architecture].preprocessing
    assert model.card.items() <= ours.card.items()
    for num_frames in (3, 6, 16):
        assert torch.equal(ours(random_clips(num_frames)), model(random_clips(num_frames)))
    with pytest.raises(CheckpointError, match=r"is a .safetensors file; open it with ffn.load"):
        load_official(tmp_path / "ours.safetensors", architecture)


@every
def test_a_tensor_missing_left_over_or_misshapen_is_told(architecture, tmp_path):
    state = hollow(architecture)
    gone = [name for name in state if name.endswith("bias")][:7]
    bare = sorted(name.removeprefix("module.") for name in gone)
    head = f"{OFFICIAL[architecture].classifier}.weight"
    prefix = "module." if gone[0].startswith("module.") else ""
    changed = {name: tensor for name, tensor in state.items() if name not in gone}
    changed |= {"spare": torch.zeros(1), f"{prefix}{head}": torch.zeros(7, 3)}
    with pytest.raises(CheckpointError) as caught:
        opened(tmp_path, changed, architecture)
    message = str(caught.value)
    assert f"missing: {', '.join(bare[:5])} and 2 more" in message
    assert "unknown: spare" in message
    assert f"misshapen: {head} is (7, 3) instead of (7, " in message


def test_an_adapter_is_never_optional(tmp_path):
    state = {name: tensor for name, tensor in hollow("resnet18").items() if "adaconv" not in name}
    with pytest.raises(CheckpointError, match=r"missing: base_model.layer1.0.adaconv_16.weight,.*19 more"):
        opened(tmp_path, state, "resnet18")
    state = hollow("resnet18")
    state["module.base_model.layer1.0.adaconv_16.weight"] = torch.zeros(64, 1, 3, 3)
    with pytest.raises(CheckpointError, match=r"adaconv_16.weight is \(64, 1, 3, 3\)"):
        opened(tmp_path, state, "resnet18")


@pytest.mark.parametrize(("given", "meant"), [("resnet50", "resnet18"), ("resnet18", "uniformer_small")])
def test_a_file_of_another_network_is_named(given, meant, tmp_path):
    with pytest.raises(CheckpointError, match=f"does not look like {given} but like {meant}"):
        opened(tmp_path, hollow(meant), given)


@pytest.mark.parametrize(
    ("given", "meant"), [("slowfast", "slowfast_resnet50"), ("resnet-50", "resnet50"), ("uniformer", "uniformer_small")]
)
def test_an_unknown_architecture_is_named(given, meant, tmp_path):
    with pytest.raises(ValueError, match=f"the authors have no '{given}'; did you mean {meant}"):
        load_official(tmp_path / "none.pth", given)


def test_other_tensors_are_told_apart(tmp_path):
    imagenet = {name: torch.zeros(1) for name in ("conv1.weight", "layer1.0.conv1.weight", "fc.weight", "fc.bias")}
    with pytest.raises(CheckpointError, match=r"is an image classifier.*pretrained=True"):
        opened(tmp_path, imagenet, "resnet50")
    with pytest.raises(CheckpointError, match="is an image classifier"):
        identify(write(tmp_path / "imagenet.pth", imagenet))
    for function in (identify, lambda path: load_official(path, "resnet50")):
        with pytest.raises(CheckpointError, match=r"looks like none of .*names begin with a, b"):
            function(write(tmp_path / "foreign.pth", {"a": torch.zeros(1), "b": torch.zeros(1)}))
    for number, content in enumerate(([1, 2], {"state_dict": {}}, {"state_dict": {"a": 1}}, {"x": 3}, torch.ones(2))):
        torch.save(content, tmp_path / f"{number}.pth")
        with pytest.raises(CheckpointError, match="holds no network"):
            load_official(tmp_path / f"{number}.pth", "resnet50")


class Payload:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("zipped", [True, False])
def test_nothing_in_a_file_is_run(zipped, tmp_path):
    path = tmp_path / "evil.pth"
    content = {"state_dict": hollow("resnet18"), "args": Payload(tmp_path / "ran")}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    for function in (identify, lambda path: load_official(path, "resnet18")):
        with pytest.raises(CheckpointError, match=r"evil.pth holds a pickle that could run code; if you trust"):
            function(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_file_is_told(zipped, tmp_path):
    path = tmp_path / "cut.pth"
    torch.save({"state_dict": hollow("resnet18")}, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    for length in (len(content) // 2, 200):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r"cut.pth is cut off or damaged; copy or download it again"):
            load_official(path, "resnet18")


def test_what_is_no_file_of_torch_is_told(tmp_path):
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_official(tmp_path / "none.pth", "resnet18")
    for content in (b"", b"<html>sign in to download</html>"):
        (tmp_path / "page.pth").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"page.pth is not a file of torch.save"):
            load_official(tmp_path / "page.pth", "resnet18")
