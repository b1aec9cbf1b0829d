"""Checkpoints that viewers share: one network each, found by the hash of their bytes."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from ffn.bundled import DEMO, RECIPES
from ffn.card import Card, CheckpointError, read_card
from ffn.checkpoint import load, save
from ffn.files import cache_folder, file_hash
from ffn.model import FrameFlexible
from ffn.official import is_torch_file, load_official
from workbench import analysis

OPENED = "_opened"  # where the session state keeps what its viewer opened


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that could be read; `digest` is the hash of its bytes."""

    title: str
    digest: str
    card: Card = field(compare=False)
    source: Any = field(compare=False)  # a path, or an uploaded file


def bundled() -> dict[str, Path]:
    """The bundled checkpoints by title, in the order of their recipes."""
    order = [recipe.name for recipe in RECIPES]
    paths = sorted(DEMO.glob("*.safetensors"), key=lambda path: (path.stem not in order, path.stem))
    paths.sort(key=lambda path: order.index(path.stem) if path.stem in order else len(order))
    return {_title(str(path), *stamp(path)): path for path in paths}


def opened() -> dict[str, Checkpoint]:
    """The checkpoints that this viewer has chosen so far, by the hash of their bytes."""
    found: dict[str, Checkpoint] = st.session_state.setdefault(OPENED, {})
    return found


def others(checkpoint: Checkpoint) -> dict[str, Checkpoint]:
    """The other checkpoints by title: the bundled ones, and those that this viewer has opened."""
    found: dict[str, Checkpoint] = {}
    for other in (*map(open_path, bundled().values()), *opened().values()):
        if other.digest not in {checkpoint.digest, *(known.digest for known in found.values())}:
            taken = other.title in {checkpoint.title, *found}
            title = f"{other.title} ({other.digest[:6]})" if taken else other.title
            found[title] = replace(other, title=title)
    return found


def alike(checkpoint: Checkpoint) -> dict[str, Checkpoint]:
    """Those of the same architecture and classes, by title."""
    same = ("architecture", "timm_kwargs", "classes")
    return {
        title: other
        for title, other in others(checkpoint).items()
        if all(other.card.get(key) == checkpoint.card.get(key) for key in same)
    }


def open_path(path: Path) -> Checkpoint:
    """The checkpoint at a path; `CheckpointError` says what is wrong with it."""
    path = path.expanduser()
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}; give the path of a .safetensors file on this machine")
    if is_torch_file(path):
        path = _imported(str(path), *stamp(path))
    digest, card = _identity(str(path), *stamp(path))
    return Checkpoint(str(card.get("title") or path.name), digest, card, path)


def open_upload(upload: Any) -> Checkpoint:
    """The checkpoint in an uploaded file; `CheckpointError` says what is wrong with it."""
    digest, card = _uploaded(upload.file_id, upload)
    return Checkpoint(str(card.get("title") or upload.name), digest, card, upload)


def model(checkpoint: Checkpoint) -> FrameFlexible:
    """The network, one object for all viewers: routing keeps no state, so they need no lock."""
    return _model(checkpoint.digest, checkpoint.source)


def stamp(path: Path) -> tuple[int, int]:
    """What changes when a file is written, for the caches."""
    about = path.stat()
    return about.st_mtime_ns, about.st_size


@st.cache_data(show_spinner=False)
def _title(path: str, modified: int, size: int) -> str:
    try:
        return str(read_card(path).get("title") or Path(path).stem)
    except CheckpointError:
        return Path(path).stem


@st.cache_resource(show_spinner="Reading the authors' file", max_entries=64)
def _imported(path: str, modified: int, size: int) -> Path:
    """A file of the paper's authors in our format, written once."""
    ours = cache_folder() / "imported" / f"{file_hash(Path(path))}.safetensors"
    if not ours.is_file():
        save(load_official(path), ours)
    return ours


@st.cache_resource(show_spinner=False, max_entries=64)
def _identity(path: str, modified: int, size: int) -> tuple[str, Card]:
    card = read_card(path)  # first: it refuses foreign files before they are read
    return file_hash(Path(path)), card


@st.cache_resource(show_spinner=False, max_entries=16)
def _uploaded(file_id: str, _upload: Any) -> tuple[str, Card]:
    content = _upload.getvalue()
    return hashlib.sha256(content).hexdigest()[:16], read_card(content)


@st.cache_resource(show_spinner=False, max_entries=8)  # a spinner in a thread of background work is a warning
def _model(digest: str, _source: Any) -> FrameFlexible:
    return load(_source if isinstance(_source, Path) else _source.getvalue())


@st.cache_resource(show_spinner=False, max_entries=64)
def _branch_divergence(digest: str, _checkpoint: Checkpoint) -> pd.DataFrame:
    return analysis.branch_divergence(model(_checkpoint))


def branch_divergence(checkpoint: Checkpoint) -> pd.DataFrame:
    """The table of `analysis.branch_divergence`; needs no data."""
    return _branch_divergence(checkpoint.digest, checkpoint)


def norm_parameters(*checkpoints: Checkpoint) -> pd.DataFrame:
    """The table of `analysis.norm_parameters` of several checkpoints; needs no data."""
    return _norm_parameters(tuple(checkpoint.digest for checkpoint in checkpoints), checkpoints)


@st.cache_resource(show_spinner=False, max_entries=64)
def _norm_parameters(digests: tuple[str, ...], _checkpoints: Sequence[Checkpoint]) -> pd.DataFrame:
    return analysis.norm_parameters({checkpoint.title: model(checkpoint) for checkpoint in _checkpoints})
