"""The card of a checkpoint: everything needed to use it, readable in the file's header without torch or the tensors."""

import json
import struct
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from ffn.divergence import Divergence, Gaussian, divergence

Card = dict[str, Any]
KEY = "ffn.card"
# What would make timm fetch or unpickle other weights: a file from a stranger must not ask for it.
ELSEWHERE = {"pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path", "cache_dir"}
LONGEST_HEADER = 100 * 2**20  # bytes; the limit of the safetensors format


class CheckpointError(ValueError):
    """A file that is no checkpoint of ours, or is damaged, with the way out."""


def read_card(source: str | Path | bytes) -> Card:
    """The card of a checkpoint, from the header alone.

    Raises:
        CheckpointError: when the file is missing, foreign or cut off.
    """
    if isinstance(source, bytes):
        return parse_card(source, len(source), "the file")
    path = existing(source)
    with path.open("rb") as file:
        size = path.stat().st_size
        length = struct.unpack("<Q", file.read(8))[0] if size >= 8 else 0
        file.seek(0)
        return parse_card(file.read(8 + min(length, LONGEST_HEADER)), size, str(path))


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


def branch_divergences(path: str | Path, branch: int, reference: int) -> dict[str, Divergence]:
    """Divergence of every norm's running statistics in `branch` from those in `reference`, from the file alone."""
    try:
        with safe_open(str(path), framework="numpy") as file:
            own, others = (_running_statistics(file, t) for t in (branch, reference))
        return {layer: divergence(own[layer], others[layer]) for layer in own}
    except (SafetensorError, KeyError, ValueError):
        raise CheckpointError(f"the norms of {path} cannot be read: it is damaged or not of its card") from None


def _running_statistics(file: Any, branch: int) -> dict[str, Gaussian]:
    end = f".by_frames.{branch}.running_mean"
    layers = [name.removesuffix(end) for name in file.keys() if name.endswith(end)]  # noqa: SIM118

    def read(layer: str, name: str) -> np.ndarray:
        return file.get_tensor(f"{layer}.by_frames.{branch}.{name}").astype(np.float64)

    return {
        layer.removeprefix("network.").removeprefix("backbone."): Gaussian(
            read(layer, "running_mean"), read(layer, "running_var")
        )
        for layer in layers
    }


def existing(source: str | Path) -> Path:
    """The path of a checkpoint that is there; `CheckpointError` otherwise."""
    path = Path(source).expanduser()
    if path.is_dir():
        within = sorted(file.name for file in path.glob("*.safetensors"))
        hint = f"name a checkpoint in it, such as {within[0]}" if within else "there is no checkpoint in it"
        raise CheckpointError(f"{path} is a folder; {hint}")
    if not path.is_file():
        raise CheckpointError(f"no such checkpoint: {path}")
    return path


def parse_card(head: bytes, size: int, name: str) -> Card:
    """The card in the first bytes of a file of `size` bytes."""
    length = struct.unpack("<Q", head[:8])[0] if size >= 8 else 0
    if not 2 <= length <= LONGEST_HEADER or head[8:9] != b"{":
        if head[:2] == b"PK" or head[:1] == b"\x80":
            raise CheckpointError(
                f"{name} is a pickle, whatever its name; only .safetensors files are opened. "
                "`ffn import` turns the files of the paper's authors into such"
            )
        raise CheckpointError(f"{name} is not a .safetensors file; ffn.save writes one")
    if size < 8 + length:
        raise CheckpointError(f"{name} is cut off: {size:,} bytes, less than its header; copy or download it again")
    try:
        header = json.loads(head[8 : 8 + length])
        end = max((int(entry["data_offsets"][1]) for key, entry in header.items() if key != "__metadata__"), default=0)
        text = header.get("__metadata__", {}).get(KEY)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, ArithmeticError, RecursionError):
        raise CheckpointError(f"{name} is damaged: its header cannot be read; copy or download it again") from None
    if size != 8 + length + end:
        raise CheckpointError(f"{name} is cut off: {size:,} bytes of {8 + length + end:,}; copy or download it again")
    if text is None:
        raise CheckpointError(f"{name} holds tensors but no card, so it is no checkpoint of ours; ffn.save writes one")
    return checked_card(text, name)


def checked_card(text: str, name: str) -> Card:
    """The card that is written as `text`; `CheckpointError` unless it says how to build a network, in plain values."""
    try:
        card = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        raise CheckpointError(f"{name} is damaged: its card is not JSON") from None
    if not isinstance(card, dict):
        raise CheckpointError(f"the card of {name} is not a set of named values; write it with ffn.save")
    if missing := NEEDED.keys() - card.keys():
        raise CheckpointError(f"the card of {name} lacks {', '.join(sorted(missing))}; write it with ffn.save")
    for key, makes_sense in {**NEEDED, **OPTIONAL}.items():
        if key in card and not makes_sense(card[key]):
            raise CheckpointError(f"the card of {name} has no usable {key}: {str(card[key])[:60]!r}")
    classes = card.get("classes")
    if classes and len(classes) != card["num_classes"]:
        raise CheckpointError(f"the card of {name} does not name the classes of its {card['num_classes']} outputs")
    return card


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _are_counts(value: object) -> bool:
    return isinstance(value, list) and len(value) <= 64 and all(map(_is_count, value))


def _are_fillings(value: object) -> bool:
    if not isinstance(value, dict) or len(value) > 64:
        return False
    return _all(str, value.values()) and all(count.isdecimal() for count in value)


def _all(kind: Any, values: Iterable[object]) -> bool:
    return all(isinstance(value, kind) for value in values)


NEEDED: dict[str, Callable[[Any], bool]] = {
    "architecture": lambda value: isinstance(value, str),
    "timm_kwargs": lambda value: isinstance(value, dict) and not ELSEWHERE & value.keys(),
    "frames": lambda value: _are_counts(value) and len(value) > 0,
    "num_classes": _is_count,
}
OPTIONAL: dict[str, Callable[[Any], bool]] = {
    "added": _are_counts,
    "filled": _are_fillings,
    "classes": lambda value: value is None or (isinstance(value, list) and _all(str, value)),
    "extracted": lambda value: isinstance(value, dict) and isinstance(value.get("fold_norms"), bool),
    "gmacs": lambda value: isinstance(value, dict) and _all(int | float, value.values()),
}
