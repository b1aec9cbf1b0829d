"""Videos that viewers look at: those of a folder, manifest or list, and the embedded ones."""

from pathlib import Path

import streamlit as st

from ffn import moving_shapes
from ffn.data import Clips, clips_for
from ffn.fingerprints import fingerprint
from ffn.progress import Progress
from ffn.transforms import Preprocessing
from workbench.background import Task
from workbench.session.checkpoints import Checkpoint


@st.cache_resource(show_spinner=False)
def rendering() -> Task:
    """Makes sure that the embedded test videos exist; the result is their manifest."""
    return Task(lambda progress: moving_shapes.prepare("test", progress=progress)).start().wait(0.3)


def data_digest(checkpoint: Checkpoint, source: Path) -> str:
    """The hash of the data, of its order too; `DataError` when this checkpoint cannot use it."""
    source = source.expanduser()
    folders = [source, *(child for child in source.glob("*") if child.is_dir())] if source.exists() else []
    return _data_digest(
        checkpoint.digest, str(source), tuple(folder.stat().st_mtime_ns for folder in folders), checkpoint
    )


@st.cache_resource(show_spinner="Looking through the videos", max_entries=64)
def _data_digest(digest: str, source: str, modified: tuple[int, ...], _checkpoint: Checkpoint) -> str:
    return fingerprint(clips_for(_checkpoint.card, source, (1,)))


def listing(source: Path) -> Clips:
    """The videos at `source` with their labels, whatever network looks at them; `DataError` when there are none."""
    return _listing(str(source.expanduser()), source.stat().st_mtime_ns if source.exists() else 0)


@st.cache_resource(show_spinner="Looking through the videos", max_entries=8)
def _listing(source: str, modified: int) -> Clips:
    return Clips(source, frames=(1,), preprocessing=Preprocessing())


def clips(checkpoint: Checkpoint, source: Path) -> Clips:
    """The videos at `source` in the order of results, with a checkpoint's classes; `DataError` as `data_digest`."""
    return _clips(data_digest(checkpoint, source), checkpoint.digest, checkpoint, source.expanduser())


@st.cache_resource(show_spinner=False, max_entries=16)
def _clips(data: str, digest: str, _checkpoint: Checkpoint, _source: Path) -> Clips:
    return clips_for(_checkpoint.card, _source, (1,))


def unlabelled(source: Path, embedded: bool, progress: Progress | None) -> Path:
    """Videos from which statistics come: our validation split, else the very videos that are tested."""
    return moving_shapes.prepare("val", progress=progress) if embedded else source
