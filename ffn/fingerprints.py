"""Hashes of networks, clips and records by what they hold, which tell when an analysis has been made before."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch

from ffn.card import ELSEWHERE
from ffn.costs import input_size
from ffn.data import Clips
from ffn.model import FrameFlexible

PLAIN = (type(None), bool, int, float, str)


def fingerprint(*things: Any) -> str:
    """16 hexadecimal digits, equal for equal content: of networks, clips, arrays, dataclasses, plain values.

    A network is its structure, its tensors, the input size of its card, whether it is in training mode and the kind of
    its device, on which the last digits of its answers depend: a saved and loaded copy is the same network. Hooks are
    not seen. Clips are the content, path and label of every video in order, and all that makes clips of videos. Lists
    and tuples are alike; of a mapping the order counts, which decides the order of the rows that are made of it.

    Raises:
        ValueError: for anything else, such as a function or an open file.
    """
    return _digest("things", map(_hash, things)).hex()[:16]


def _hash(thing: Any) -> bytes:
    if isinstance(thing, FrameFlexible):
        return _digest("network", _of_network(thing))
    if isinstance(thing, Clips):
        return _digest("clips", map(_hash, _of_clips(thing)))
    if isinstance(thing, np.ndarray | np.generic) and not thing.dtype.hasobject:
        return _of_bytes(f"{thing.dtype.str} {thing.shape}", np.ascontiguousarray(thing))
    if isinstance(thing, torch.Tensor):
        return _of_tensor(thing)
    if is_dataclass(thing) and not isinstance(thing, type):
        values = (getattr(thing, field.name) for field in fields(thing))
        return _digest(type(thing).__qualname__, map(_hash, values))
    if isinstance(thing, Mapping):
        return _digest("mapping", map(_hash, thing.items()))
    if isinstance(thing, Sequence) and not isinstance(thing, str | bytes):
        return _digest("sequence", map(_hash, thing))
    if isinstance(thing, PLAIN):
        return _digest(type(thing).__name__, [repr(thing).encode()])
    raise ValueError(f"a {type(thing).__name__} has no content to hash; pass networks, clips, records or plain values")


def _digest(kind: str, parts: Iterable[bytes | memoryview]) -> bytes:
    """Of parts of a length of their own, so that no two lists of parts read alike."""
    digest = hashlib.sha256(kind.encode() + b"\0")
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.digest()


def _of_network(model: FrameFlexible) -> Iterator[bytes]:
    timm_kwargs = {key: value for key, value in model.config["timm_kwargs"].items() if key not in ELSEWHERE}
    config = {**model.config, "timm_kwargs": timm_kwargs, "input_size": input_size(model), "training": model.training}
    yield json.dumps(config, sort_keys=True, default=str).encode()
    yield repr(model.network).encode()  # what was changed by hand is in no config
    for name, tensor in model.state_dict().items():
        yield f"{name} on {tensor.device.type}".encode()
        yield _of_tensor(tensor)


def _of_tensor(tensor: torch.Tensor) -> bytes:
    content = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return _of_bytes(f"{tensor.dtype} {tuple(tensor.shape)}", content)


def _of_bytes(kind: str, array: np.ndarray) -> bytes:
    return _digest(kind, [array.reshape(-1).view(np.uint8).data])


def _of_clips(clips: Clips) -> Iterator[Any]:
    folder = clips.source if clips.source.is_dir() else clips.source.parent
    yield clips.contents
    yield [os.path.relpath(video.path, folder) for video in clips.videos]
    yield [(video.num_frames, video.template) for video in clips.videos]
    yield clips.labels, clips.classes
    yield clips.frames, clips.preprocessing
    yield clips.seed, clips.epoch, clips.augmentation
