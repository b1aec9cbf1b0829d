"""The one format: a .safetensors file whose header carries the card, everything needed to use the network.

Nothing is ever unpickled, so a file from a stranger can do no harm.
"""

import json
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as dump_tensors
from torch import Tensor

from ffn.branches import fill, with_branch
from ffn.card import (
    ELSEWHERE,
    KEY,
    Card,
    CheckpointError,
    checked_card,
    class_names,
    existing,
    parse_card,
    read_card,
    versions,
)
from ffn.costs import cost
from ffn.files import replacing
from ffn.model import FrameFlexible, create_model, extract, fixed_size
from ffn.transforms import Preprocessing

__all__ = ["CheckpointError", "class_names", "describe", "load", "preprocessing", "read_card", "save"]


def save(model: FrameFlexible, path: str | Path, card: Mapping[str, Any] | None = None) -> None:
    """Writes the model and its card to one .safetensors file, whole or not at all.

    `card` adds to what the model knows of itself: classes, preprocessing (see `describe`), recipe, seed, metrics, the
    data's hash. Keys that say how to build the model cannot be overridden.
    """
    path = Path(path)
    complete = {"classes": None, **model.card, **(card or {}), **model.config, "versions": versions()}
    complete["timm_kwargs"] = {key: v for key, v in complete["timm_kwargs"].items() if key not in ELSEWHERE}
    if fixed := fixed_size(model):
        complete["input_size"] = complete.get("input_size") or fixed
    size = int(complete.get("input_size") or 224)
    costs = {t: cost(model, t, size) for t in model.frames}
    complete["params"] = costs[model.frames[0]].params
    complete["gmacs"] = {str(t): round(c.macs / 1e9, 6) for t, c in costs.items()}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in _tensors(model).items()}
    text = json.dumps(complete)
    checked_card(text, path.name)
    content = dump_tensors(tensors, metadata={KEY: text})
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def load(source: str | Path | bytes) -> FrameFlexible:
    """The model of a checkpoint, in eval mode, with its `card`; `source` is a path or the file's bytes.

    Raises:
        CheckpointError: when the file is missing, foreign or damaged, or its tensors are not those of the card.
    """
    content, name = _content(source)
    card = parse_card(content, len(content), name)
    try:
        tensors = load_tensors(content)
    except Exception:
        raise CheckpointError(f"{name} is damaged: its tensors cannot be read; copy or download it again") from None
    with torch.device("meta"):  # a card may ask for more memory than there is: look before anything is made
        _compare(_build(card, name), tensors, name)
    model = _build(card, name)
    with torch.no_grad():
        for key, tensor in _tensors(model).items():
            tensor.copy_(tensors[key])
    model.card = card
    return model.eval()


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
    size = int(card.get("input_size") or Preprocessing.crop)
    return Preprocessing(
        crop=size,
        resize=int(card.get("resize") or round(size * 256 / 224)),
        mean=tuple(card.get("mean") or Preprocessing.mean),
        std=tuple(card.get("std") or Preprocessing.std),
        channel_order=card.get("channel_order") or Preprocessing.channel_order,
    )


def _tensors(model: FrameFlexible) -> dict[str, Tensor]:
    """Every parameter and buffer under one name, also where it is shared."""
    kept = model.state_dict(keep_vars=True)
    names = {id(tensor): name for name, tensor in reversed(kept.items())}
    return {name: tensor for name, tensor in kept.items() if names[id(tensor)] == name}


def _content(source: str | Path | bytes) -> tuple[bytes, str]:
    if isinstance(source, bytes):
        return source, "the file"
    path = existing(source)
    return path.read_bytes(), str(path)


def _build(card: Card, name: str) -> FrameFlexible:
    parts = {key: card[key] for key in ("shift", "private_norms", "alteration", "sharing") if key in card}
    added = card.get("added", [])
    try:
        preprocessing(card)
        model = create_model(
            card["architecture"],
            frames=tuple(t for t in card["frames"] if t not in added),
            num_classes=card["num_classes"],
            **parts,
            **card["timm_kwargs"],
        )
        how = card.get("extracted")
        whole = extract(model, model.frames[0], fold_norms=bool(how["fold_norms"])) if how else model
        filled = ((int(t), policy) for t, policy in card.get("filled", {}).items())
        return reduce(lambda grown, how: fill(grown, *how), filled, reduce(with_branch, added, whole))
    except Exception as error:  # timm meets nonsense with any of them
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"the card of {name} describes no network that can be built: {reason}") from None


def _compare(model: FrameFlexible, tensors: dict[str, Tensor], name: str) -> None:
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
