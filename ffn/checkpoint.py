"""The one format: a .safetensors file whose header carries the card, everything needed to use the network.

Nothing is ever unpickled, so a file from a stranger can do no harm.
"""

import json
import struct
from collections.abc import Mapping
from dataclasses import fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors
from torch import Tensor

from ffn.files import replacing
from ffn.model import FrameFlexible, create_model
from ffn.transforms import Preprocessing

Card = dict[str, Any]
KEY = "ffn.card"
LONGEST_HEADER = 100 * 2**20  # bytes; the limit of the safetensors format


class CheckpointError(ValueError):
    """A file that is no checkpoint of ours, or is damaged, with the way out."""


def save(model: FrameFlexible, path: str | Path, card: Mapping[str, Any] | None = None) -> None:
    """Writes the model and its card to one .safetensors file, whole or not at all.

    `card` adds to what the model knows of itself: classes, preprocessing (see `describe`), recipe, seed, metrics, the
    data's hash. Keys that say how to build the model cannot be overridden.
    """
    path = Path(path)
    complete = {"classes": None, **model.card, **(card or {}), **model.config, "versions": versions()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _tensors(model).items()}
    content = dump_tensors(tensors, metadata={"format": "pt", KEY: json.dumps(complete)})
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def load(source: str | Path | bytes) -> FrameFlexible:
    """The model of a checkpoint, in eval mode, with its `card`; `source` is a path or the file's bytes.

    Raises:
        CheckpointError: when the file is missing, foreign or damaged, or its tensors are not those of the card.
    """
    content, name = _content(source)
    card = _card(content, len(content), name)
    try:
        tensors = load_tensors(content)
    except Exception:
        raise CheckpointError(f"{name} is damaged: its tensors cannot be read; copy or download it again") from None
    model = _build(card, name)
    _fill(model, tensors, name)
    model.card = card
    return model.eval()


def read_card(source: str | Path | bytes) -> Card:
    """The card of a checkpoint, from the header alone.

    Raises:
        CheckpointError: when the file is missing, foreign or cut off.
    """
    if isinstance(source, bytes):
        return _card(source, len(source), "the file")
    path = _existing(source)
    with path.open("rb") as file:
        size = path.stat().st_size
        length = struct.unpack("<Q", file.read(8))[0] if size >= 8 else 0
        file.seek(0)
        return _card(file.read(8 + min(length, LONGEST_HEADER)), size, str(path))


def describe(preprocessing: Preprocessing) -> Card:
    """The part of a card that says how frames become a clip."""
    return {
        "input_size": preprocessing.crop,
        "resize": preprocessing.resize,
        "crop": "centre",
        "mean": list(preprocessing.mean),
        "std": list(preprocessing.std),
        "channel_order": preprocessing.channel_order,
        "sampling": "segments: the centre frame of each of T equal parts of the video",
    }


def preprocessing(card: Mapping[str, Any]) -> Preprocessing:
    """How a card says that frames become a clip; ImageNet's customs where it says nothing."""
    known = {field.name for field in fields(Preprocessing)} - {"crop"}
    said = {key: tuple(v) if isinstance(v, list) else v for key, v in card.items() if key in known and v is not None}
    size = int(card.get("input_size") or Preprocessing.crop)
    said.setdefault("resize", round(size * 256 / 224))
    return Preprocessing(crop=size, **said)


def class_names(card: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes in the order of the outputs; numbers as words where the card has no names."""
    return tuple(card.get("classes") or map(str, range(card["num_classes"])))


def versions() -> dict[str, str]:
    """The versions that a file was written with."""
    found = {}
    for package in ("frame-flexible", "torch", "timm"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def _tensors(model: FrameFlexible) -> dict[str, Tensor]:
    """Every parameter and buffer under one name, also where it is shared."""
    kept = model.state_dict(keep_vars=True)
    names = {id(tensor): name for name, tensor in reversed(kept.items())}
    return {name: tensor for name, tensor in kept.items() if names[id(tensor)] == name}


def _content(source: str | Path | bytes) -> tuple[bytes, str]:
    if isinstance(source, bytes):
        return source, "the file"
    path = _existing(source)
    return path.read_bytes(), str(path)


def _existing(source: str | Path) -> Path:
    path = Path(source).expanduser()
    if not path.is_file():
        raise CheckpointError(f"no such checkpoint: {path}")
    return path


def _card(head: bytes, size: int, name: str) -> Card:
    """The card in the first bytes of a file of `size` bytes."""
    if head[:2] == b"PK" or head[:1] == b"\x80":
        raise CheckpointError(f"{name} is a pickle, whatever its name; only .safetensors files are opened")
    length = struct.unpack("<Q", head[:8])[0] if size >= 8 else 0
    if not 2 <= length <= LONGEST_HEADER or head[8:9] != b"{":
        raise CheckpointError(f"{name} is not a .safetensors file; ffn.save writes one")
    if size < 8 + length:
        raise CheckpointError(f"{name} is cut off: {size:,} bytes, less than its header; copy or download it again")
    try:
        header = json.loads(head[8 : 8 + length])
        end = max((entry["data_offsets"][1] for key, entry in header.items() if key != "__metadata__"), default=0)
        text = header.get("__metadata__", {}).get(KEY)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        raise CheckpointError(f"{name} is damaged: its header cannot be read; copy or download it again") from None
    if size != 8 + length + end:
        raise CheckpointError(f"{name} is cut off: {size:,} bytes of {8 + length + end:,}; copy or download it again")
    if text is None:
        raise CheckpointError(f"{name} holds tensors but no card, so it is no checkpoint of ours; ffn.save writes one")
    return _checked(text, name)


def _checked(text: str, name: str) -> Card:
    try:
        card = json.loads(text)
        missing = {"architecture", "timm_kwargs", "frames", "num_classes"} - set(card)
    except (ValueError, TypeError):
        raise CheckpointError(f"{name} is damaged: its card is not JSON") from None
    if missing or not isinstance(card, dict):
        raise CheckpointError(f"the card of {name} lacks {', '.join(sorted(missing))}; write it with ffn.save")
    return card


def _build(card: Card, name: str) -> FrameFlexible:
    parts = {key: card[key] for key in ("shift", "private_norms", "alteration") if key in card}
    try:
        return create_model(
            card["architecture"],
            frames=tuple(card["frames"]),
            num_classes=card["num_classes"],
            **parts,
            **card["timm_kwargs"],
        )
    except (ValueError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"the card of {name} describes no network that can be built: {error}") from None


def _fill(model: FrameFlexible, tensors: dict[str, Tensor], name: str) -> None:
    own = _tensors(model)
    wrong = [
        *(f"{key} is missing" for key in own.keys() - tensors.keys()),
        *(f"{key} is unknown" for key in tensors.keys() - own.keys()),
        *(
            f"{key} is {tuple(tensors[key].shape)} instead of {tuple(own[key].shape)}"
            for key in own.keys() & tensors.keys()
            if own[key].shape != tensors[key].shape
        ),
    ]
    if wrong:
        more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise CheckpointError(f"the tensors of {name} are not those of its card: {'; '.join(sorted(wrong)[:5])}{more}")
    with torch.no_grad():
        for key, tensor in own.items():
            tensor.copy_(tensors[key])
