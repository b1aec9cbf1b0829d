"""The one format: what is saved comes back, and nothing else is ever taken for it."""

import builtins
import json
import pickle
import struct
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from conftest import random_clips, small
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save as dump_tensors
from torch import nn

import ffn
from ffn import Preprocessing, checkpoint
from ffn.card import KEY, CheckpointError, branch_divergences
from ffn.checkpoint import describe, load, preprocessing, read_card, save
from ffn.statistics import branch_divergences as branch_divergences_of

FRAMES = (4, 8)


def answers(model):
    with torch.no_grad():
        return [model(random_clips(t)) for t in (1, 4, 6, 8)]


def header_and_data(content: bytes) -> tuple[dict, bytes]:
    length = struct.unpack("<Q", content[:8])[0]
    return json.loads(content[8 : 8 + length]), content[8 + length :]


def assembled(header: dict, data: bytes) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def with_card(content: bytes, **changes: object) -> bytes:
    """The same file with other values in its card; `...` takes one away."""
    header, data = header_and_data(content)
    card = {**json.loads(header["__metadata__"][KEY]), **changes}
    header["__metadata__"][KEY] = json.dumps({key: value for key, value in card.items() if value is not ...})
    return assembled(header, data)


@pytest.fixture(scope="session")
def content(tmp_path_factory) -> bytes:
    """The bytes of a good checkpoint."""
    path = tmp_path_factory.mktemp("checkpoint") / "good.safetensors"
    save(small(FRAMES, num_classes=2), path, {"classes": ["a", "b"], "input_size": 32, "resize": 36})
    return path.read_bytes()


# What is saved comes back


@pytest.mark.parametrize(
    "make",
    [
        lambda: small(FRAMES),
        lambda: small((16,)),
        lambda: ffn.extract(small(FRAMES), 8),
        lambda: small(FRAMES, architecture="resnet10t"),
        lambda: small(FRAMES, shift=False),
        lambda: small(FRAMES, private_norms=False),
        lambda: small(FRAMES, alteration=False),
    ],
    ids=["ffn", "tsm", "extracted", "resnet10t", "no-shift", "shared-norms", "no-alteration"],
)
def test_a_loaded_model_answers_to_the_bit(tmp_path, make):
    model = make()
    save(model.train(), tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors")
    assert not loaded.training
    assert loaded.frames == model.frames
    for got, want in zip(answers(loaded), answers(model.eval()), strict=True):
        assert torch.equal(got, want)
    again = load((tmp_path / "model.safetensors").read_bytes())
    assert all(torch.equal(a, b) for a, b in zip(again.state_dict().values(), model.state_dict().values(), strict=True))


def test_saving_twice_writes_the_same_bytes(tmp_path, content):
    (tmp_path / "one.safetensors").write_bytes(content)
    save(load(content), tmp_path / "two.safetensors")
    assert (tmp_path / "two.safetensors").read_bytes() == content


def test_the_card_comes_back_with_what_the_model_knows(tmp_path):
    said = {"classes": list("abcdefg"), "recipe": {"epochs": 3}, "seed": 1, "architecture": "a lie", "frames": [99]}
    save(small(FRAMES), tmp_path / "model.safetensors", said)
    card = read_card(tmp_path / "model.safetensors")
    assert card == load(tmp_path / "model.safetensors").card
    assert (card["recipe"], card["seed"], card["classes"]) == ({"epochs": 3}, 1, list("abcdefg"))
    assert (card["architecture"], card["frames"], card["num_classes"]) == ("resnet18", [4, 8], 7)
    assert card["timm_kwargs"] == {"channels": [16, 16, 24, 32]}
    assert card["versions"].keys() == {"frame-flexible", "torch", "timm"}
    assert card["params"] == sum(p.numel() for p in small(FRAMES).parameters())
    assert card["gmacs"]["8"] == pytest.approx(ffn.cost(small(FRAMES), 8, 224).macs / 1e9, abs=1e-6)


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_preprocessing_round_trips_through_the_card(order):
    how = Preprocessing(resize=40, crop=32, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6), channel_order=order)
    assert preprocessing(json.loads(json.dumps(describe(how)))) == how
    assert preprocessing({}) == Preprocessing()
    assert preprocessing({"input_size": 112}) == Preprocessing(resize=128, crop=112)


def test_a_card_of_wrong_classes_is_not_written(tmp_path):
    with pytest.raises(CheckpointError, match="does not name the classes of its 7 outputs"):
        save(small(FRAMES), tmp_path / "model.safetensors", {"classes": ["a"]})
    assert not any(tmp_path.iterdir())


def test_the_card_is_read_without_the_tensors(tmp_path, monkeypatch, content):
    path = tmp_path / "large.safetensors"
    header, _ = header_and_data(content)
    header["large"] = {"dtype": "U8", "shape": [2**36], "data_offsets": [0, 2**36]}
    head = assembled(header, b"")
    path.write_bytes(head)
    with path.open("r+b") as file:
        file.truncate(len(head) + 2**36)  # 64 GiB of nothing, on no disk
    monkeypatch.setattr(Path, "read_bytes", None)
    assert read_card(path)["classes"] == ["a", "b"]
    path.unlink()


def test_divergences_of_the_file_are_those_of_the_model(tmp_path, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    want = branch_divergences_of(load(path), 4, 8)
    found = branch_divergences(path, 4, 8)
    assert found.keys() == want.keys()
    assert all(vars(found[layer]) == pytest.approx(vars(want[layer])) for layer in want)


def test_where_the_weights_came_from_is_not_in_the_card(tmp_path):
    torch.save(small((8,)).network.backbone.state_dict(), tmp_path / "weights.pth")
    names = {"pretrained_cfg_overlay": {"num_classes": 7}}
    save(small(FRAMES, **names), tmp_path / "model.safetensors")
    assert read_card(tmp_path / "model.safetensors")["timm_kwargs"].keys() == {"channels"}


# Whole or not at all


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, content):
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)

    def full(self, data):
        with builtins.open(self, "wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError("No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        save(small(FRAMES, num_classes=2), path)
    monkeypatch.undo()
    assert path.read_bytes() == content
    assert [*tmp_path.iterdir()] == [path]


def test_a_card_that_is_not_json_writes_nothing(tmp_path):
    with pytest.raises(TypeError):
        save(small(FRAMES), tmp_path / "model.safetensors", {"model": nn.Identity()})
    assert not any(tmp_path.iterdir())


def test_a_header_of_any_length_is_no_pickle(content):
    lengths = set()
    for padding in range(0, 300, 8):  # the first byte of the file is that of the length; a pickle starts with 0x80
        padded = with_card(content, padding="x" * padding)
        assert read_card(padded)["padding"] == "x" * padding
        lengths.add(padded[0])
    assert len(lengths) > 30


# Nothing else is taken for it


def refused(content: bytes, tmp_path: Path, match: str = ".") -> None:
    """Both as a file and as bytes, one line; the card alone may still be readable."""
    path = tmp_path / "file.safetensors"
    path.write_bytes(content)
    for source in (path, content):
        with pytest.raises(CheckpointError, match=match) as raised:
            load(source)
        assert "\n" not in str(raised.value)


def test_no_file_is_named(tmp_path):
    for path, said in (
        (tmp_path / "nowhere.safetensors", f"no such checkpoint: {tmp_path / 'nowhere.safetensors'}"),
        (tmp_path, f"{tmp_path} is a folder; there is no checkpoint in it"),
    ):
        for read in (load, read_card):
            with pytest.raises(CheckpointError, match=f"^{said}$"):
                read(path)
    (tmp_path / "best.safetensors").touch()
    with pytest.raises(CheckpointError, match=r"is a folder; name a checkpoint in it, such as best\.safetensors"):
        load(tmp_path)


@pytest.mark.parametrize("length", [0, 1, 7, 8, 9, 100])
def test_a_file_cut_off_in_its_header_is_no_checkpoint(tmp_path, content, length):
    refused(content[:length], tmp_path, "is not a .safetensors file|is cut off")


@pytest.mark.parametrize("missing", [1, 4, 1000, "half", "all"])
def test_a_file_cut_off_in_its_tensors_says_by_how_much(tmp_path, content, missing):
    data = len(header_and_data(content)[1])
    keep = len(content) - {"half": data // 2, "all": data}.get(missing, missing)
    refused(content[:keep], tmp_path, f"is cut off: {keep:,} bytes of {len(content):,}")
    refused(content + b"more", tmp_path, "bytes of")


def test_pickles_are_never_opened(tmp_path):
    class Evil:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was opened",))

    torch.save({"weights": Evil()}, tmp_path / "zip.pth")
    torch.save({"weights": Evil()}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "plain.pkl").write_bytes(pickle.dumps(Evil()))
    for name in ("zip.pth", "old.pth", "plain.pkl"):
        refused((tmp_path / name).read_bytes(), tmp_path, "is a pickle, whatever its name")


@pytest.mark.parametrize("protocol", [0, 1])
def test_old_pickles_are_no_checkpoints_either(tmp_path, protocol):
    refused(pickle.dumps({"weights": [1.0] * 99}, protocol=protocol), tmp_path, "is not a .safetensors file")


def test_foreign_tensors_have_no_card(tmp_path):
    refused(dump_tensors({"weight": torch.zeros(3)}), tmp_path, "holds tensors but no card")
    refused(dump_tensors({"weight": torch.zeros(3)}, metadata={"format": "pt"}), tmp_path, "holds tensors but no card")


def test_tensors_must_be_those_of_the_card(tmp_path, content):
    header, _ = header_and_data(content)
    card = {KEY: header["__metadata__"][KEY]}
    tensors = load(content).state_dict()
    name, other = "network.backbone.fc.weight", "network.backbone.fc.bias"
    missing = {key: value for key, value in tensors.items() if key != name}
    refused(dump_tensors(missing, card), tmp_path, rf"{name} is missing$")
    refused(dump_tensors({**tensors, "extra": torch.zeros(1)}, card), tmp_path, "extra is unknown$")
    refused(dump_tensors({**tensors, other: torch.zeros(3)}, card), tmp_path, rf"{other} is \(3,\) instead of \(2,\)$")
    refused(dump_tensors({"extra": torch.zeros(1)}, card), tmp_path, r"and \d+ more$")


@pytest.mark.parametrize(
    "changes",
    [
        {"frames": ["4", "8"]},
        {"frames": "48"},
        {"frames": 8},
        {"frames": []},
        {"frames": [8, 4]},
        {"frames": [4, True]},
        {"frames": None},
        {"frames": list(range(1, 10**5))},
        {"num_classes": 10**9},
        {"num_classes": 10**30},
        {"num_classes": -1},
        {"num_classes": 0},
        {"num_classes": 2.0},
        {"num_classes": "2"},
        {"num_classes": 3},
        {"classes": ["a"]},
        {"classes": {"a": 1, "b": 2}},
        {"classes": "ab"},
        {"classes": [1, 2]},
        {"architecture": "resnet5000"},
        {"architecture": "hf-hub:somebody/something"},
        {"architecture": 18},
        {"architecture": ...},
        {"timm_kwargs": ...},
        {"timm_kwargs": [1]},
        {"timm_kwargs": None},
        {"timm_kwargs": {"channels": 5}},
        {"timm_kwargs": {"channels": [10**7] * 4}},
        {"timm_kwargs": {"nonsense": 1}},
        {"timm_kwargs": {"frames": [4]}},
        {"timm_kwargs": {"norm_layer": "nothing"}},
        {"timm_kwargs": {"pretrained": True}},
        {"timm_kwargs": {"checkpoint_path": "/etc/passwd"}},
        {"timm_kwargs": {"pretrained_cfg_overlay": {"file": "/etc/passwd"}}},
        {"input_size": "large"},
        {"input_size": -5},
        {"mean": [1, 2]},
        {"std": [0, 0, 0]},
        {"std": "abc"},
        {"channel_order": "XYZ"},
        {"resize": "x"},
        {"gmacs": [1]},
        {"gmacs": {"4": "much"}},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_a_card_of_nonsense_is_refused(tmp_path, content, changes):
    refused(with_card(content, **changes), tmp_path, "card")


@pytest.mark.parametrize("card", ["", "[]", "5", "null", '"text"', "{", "[" * 10**5, "{}", '{"architecture": 1e999}'])
def test_a_card_that_is_no_card_is_refused(tmp_path, content, card):
    header, data = header_and_data(content)
    header["__metadata__"][KEY] = card
    refused(assembled(header, data), tmp_path, "card")


@pytest.mark.parametrize(
    "header",
    [
        b"{",
        b"{}",
        b'{"a": 1}',
        b'{"a": {"data_offsets": []}}',
        b'{"a": {"data_offsets": [0, "x"]}}',
        b'{"a": {"data_offsets": [0, 1e999]}}',
        b'{"a": {"data_offsets": [0, -9]}}',
        b'{"__metadata__": null}',
        b'{"__metadata__": {"ffn.card": 5}}',
        b'{"a":' * 10**5,
        b"{\xff\xfe}",
    ],
    ids=lambda header: str(header)[:40],
)
def test_a_broken_header_is_refused(tmp_path, header):
    refused(struct.pack("<Q", len(header)) + header, tmp_path)


def survives(content: bytes) -> None:
    """The only error is ours."""
    for read in (load, read_card):
        with suppress(CheckpointError):
            read(content)


fuzz = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@fuzz
@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_else(noise):
    with pytest.raises(CheckpointError):
        load(noise)
    survives(struct.pack("<Q", len(noise)) + noise)
    survives(struct.pack("<Q", len(noise) + 2) + b"{" + noise + b"}")


@fuzz
@given(st.data())
def test_no_truncation_raises_anything_else(content, data):
    keep = data.draw(st.integers(0, len(content) - 1))
    for read in (load, read_card):
        with pytest.raises(CheckpointError):
            read(content[:keep])


@fuzz
@given(st.data())
def test_no_flipped_bit_of_the_header_raises_anything_else(content, data):
    end = len(content) - len(header_and_data(content)[1])
    place = data.draw(st.integers(0, end - 1))
    damaged = bytearray(content)
    damaged[place] ^= 1 << data.draw(st.integers(0, 7))
    survives(bytes(damaged))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 99) | st.floats(-9, 9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)


@fuzz
@given(st.data())
def test_no_card_raises_anything_else(content, data):
    card = read_card(content)
    keys = data.draw(st.lists(st.sampled_from(sorted(card)), min_size=1, max_size=3, unique=True))
    survives(with_card(content, **{key: data.draw(json_values) for key in keys}))


def test_the_checkpoint_module_never_unpickles():
    text = Path(checkpoint.__file__).read_text(encoding="utf-8")
    assert "torch.load" not in text
    assert "import pickle" not in text
