"""Decisions as small files: what a checkpoint answered, kept beside it."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from ffn.decisions import Decisions
from ffn.files import replacing


def save(path: Path, decisions: Decisions, **about: str) -> None:
    """Writes decisions as one compressed .npz file, whole or not at all, with what else is to be said `about` them."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, **vars(decisions), **about)  # type: ignore[arg-type]


def load(path: Path) -> tuple[Decisions, dict[str, str]]:
    """The decisions of a file of `save`, and what it says about them.

    Raises:
        ValueError: when the file is damaged or not one of these.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = dict(arrays)
        frames, num_classes = tuple(found.pop("frames").tolist()), int(found.pop("num_classes"))
        rest = {name: found.pop(name) for name in ("indices", "labels", "classes", "probabilities")}
        return Decisions(frames, **rest, num_classes=num_classes), {name: str(value) for name, value in found.items()}
    except (KeyError, EOFError, ValueError, BadZipFile) as error:
        raise ValueError(f"{path} holds no decisions: {error}; record them again") from None
