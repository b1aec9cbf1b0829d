"""What viewers share and what one of them has chosen: models, results, background work, the selection.

The only place with st.cache_*.
"""

import atexit
import gc
import hashlib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from ffn import decision_files, moving_shapes
from ffn.bundled import DEMO, RECIPES, records_of
from ffn.card import Card, CheckpointError, read_card
from ffn.checkpoint import load, save
from ffn.data import Clips, DataError, clips_for
from ffn.evaluation import Result, evaluate
from ffn.files import cache_folder, file_hash, read_csv
from ffn.fingerprints import fingerprint
from ffn.model import FrameFlexible
from ffn.official import is_torch_file, load_official
from ffn.policies import any_frame
from ffn.progress import Progress, Report
from ffn.transforms import Preprocessing
from workbench import analysis, experiments
from workbench.background import Job, Profile, Sweep, Task
from workbench.records import EMPTY, Tables, results_folder
from workbench.training import Trainings
from workbench.views import View

SELECTION, REPORT, OWN, OPENED = "_selection", "_report", "_own", "_opened"  # where the session state keeps them
LOCAL = "a local file"  # the sidebar's choice of a checkpoint by its path


# --- What is chosen -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that could be read; `digest` is the hash of its bytes."""

    title: str
    digest: str
    card: Card = field(compare=False)
    source: Any = field(compare=False)  # a path, or an uploaded file


@dataclass(frozen=True)
class Selection:
    """What the sidebar says; `data` is the path of a folder or manifest ("" yet), None for the embedded test split."""

    checkpoint: Checkpoint
    data: str | None
    num_frames: int
    policy: str = "nearest"  # for counts that were not trained, of ffn.any_frame

    @property
    def answered_by(self) -> str:
        """The policy that answers the chosen count; "" where a branch was trained at it."""
        return "" if self.num_frames in self.checkpoint.card["frames"] else self.policy


@cache
def settle() -> None:
    """Hides what is imported from the garbage collector, once.

    Streamlit collects everything after every run of the script: 0.3 s with torch loaded, in which nobody is served.
    """
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # or modules complain of leaks


def sentence(error: Exception | str) -> str:
    """An error as the page says it."""
    text = str(error).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."


def select(selection: Selection | None) -> None:
    """Remembers the viewer's choice for the pages; None when there is none that works."""
    st.session_state[SELECTION] = selection
    if selection:
        opened()[selection.checkpoint.digest] = selection.checkpoint


def selection() -> Selection | None:
    """The viewer's choice, drawn from the sidebar in this run."""
    return st.session_state.get(SELECTION)


def report() -> dict[str, View]:
    """What the viewer has put into the report, by link and view; changes stay."""
    kept: dict[str, View] = st.session_state.setdefault(REPORT, {})
    return kept


# --- Checkpoints ----------------------------------------------------------------------------------------------


def bundled() -> dict[str, Path]:
    """The bundled checkpoints by title, in the order of their recipes."""
    order = [recipe.name for recipe in RECIPES]
    paths = sorted(DEMO.glob("*.safetensors"), key=lambda path: (path.stem not in order, path.stem))
    paths.sort(key=lambda path: order.index(path.stem) if path.stem in order else len(order))
    return {_title(str(path), *_stamp(path)): path for path in paths}


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
        path = _imported(str(path), *_stamp(path))
    digest, card = _identity(str(path), *_stamp(path))
    return Checkpoint(str(card.get("title") or path.name), digest, card, path)


def open_upload(upload: Any) -> Checkpoint:
    """The checkpoint in an uploaded file; `CheckpointError` says what is wrong with it."""
    digest, card = _uploaded(upload.file_id, upload)
    return Checkpoint(str(card.get("title") or upload.name), digest, card, upload)


def model(checkpoint: Checkpoint) -> FrameFlexible:
    """The network, one object for all viewers: routing keeps no state, so they need no lock."""
    return _model(checkpoint.digest, checkpoint.source)


def _stamp(path: Path) -> tuple[int, int]:
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


# --- Results --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recorded(Tables):
    """Results from the repository, of the checkpoint called `title` on the data with hash `data`."""

    title: str = ""
    data: str = ""


def recordings() -> dict[str, Recorded]:
    """The recorded results of the bundled checkpoints, by the hash of the checkpoint."""
    found = {}
    for title, path in bundled().items():
        files = [path, *records_of(path)]
        if all(file.is_file() for file in files) and (read := _recorded(title, str(path), *map(_stamp, files))):
            found[read[0]] = read[1]
    return found


@st.cache_resource(show_spinner=False, max_entries=64)
def _recorded(title: str, path: str, *stamps: tuple[int, int]) -> tuple[str, Recorded] | None:
    """None where the files beside a checkpoint are not of this very checkpoint, on one dataset."""
    shifts, answers, accuracies = records_of(Path(path))
    decisions, about = decision_files.load(answers)
    divergence, accuracy = read_csv(shifts), read_csv(accuracies)
    checkpoint = file_hash(Path(path))
    keys = {(row.get("checkpoint"), row.get("data")) for row in [*accuracy, *divergence, about]}
    if len(keys) != 1 or (found := keys.pop())[0] != checkpoint:
        return None
    tables = analysis.accuracy(accuracy), analysis.divergence(divergence)
    return checkpoint, Recorded(*tables, decisions=decisions, title=title, data=str(found[1]))


# --- Background work -------------------------------------------------------------------------------------------


@st.cache_resource(show_spinner=False, max_entries=16)
def _profile(digest: str, _checkpoint: Checkpoint) -> Profile:
    return Profile(model(_checkpoint))


def profile(checkpoint: Checkpoint) -> Profile:
    """The one `Profile` of a checkpoint."""
    return _profile(checkpoint.digest, checkpoint)


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


def sweep(checkpoint: Checkpoint, source: Path, policy: str = "nearest", *, embedded: bool = False) -> Sweep:
    """The one `Sweep` of a checkpoint, by a policy, on a folder or manifest; `embedded` says that it is ours."""
    source = source.expanduser()
    return _sweep(checkpoint.digest, data_digest(checkpoint, source), policy, embedded, checkpoint, source)


@st.cache_resource(show_spinner=False, max_entries=64)
def _sweep(digest: str, data: str, policy: str, embedded: bool, _checkpoint: Checkpoint, _source: Path) -> Sweep:
    evaluate_at = _evaluator(_checkpoint, _source, policy, embedded=embedded)
    return Sweep(evaluate_at, results_folder(digest, data, policy))


@st.cache_resource(show_spinner=False, max_entries=64)
def _verification(digest: str, data: str, num_frames: int, _checkpoint: Checkpoint, _source: Path) -> Sweep:
    return Sweep(_evaluator(_checkpoint, _source), grid=(num_frames,))


def verification(checkpoint: Checkpoint, source: Path, num_frames: int) -> Sweep:
    """A sweep of one frame count that remembers nothing, to compare with what is recorded."""
    return _verification(checkpoint.digest, data_digest(checkpoint, source), num_frames, checkpoint, source)


def _evaluator(
    checkpoint: Checkpoint, source: Path, policy: str = "nearest", *, embedded: bool = False
) -> Callable[[Sequence[int], Progress], Sequence[Result]]:
    network = model(checkpoint)

    def evaluate_at(frames: Sequence[int], progress: Progress) -> Sequence[Result]:
        answers = answering(network, source, policy, frames, embedded=embedded, progress=progress)
        counts = sorted({*frames, *experiments.references(answers, frames)})
        results = evaluate(answers, clips_for(checkpoint.card, source, counts), progress=progress)
        return [result for result in results if result.num_frames in frames]

    return evaluate_at


def answering(
    network: FrameFlexible,
    source: Path,
    policy: str,
    frames: Sequence[int],
    *,
    embedded: bool,
    progress: Progress | None = None,
) -> FrameFlexible:
    """The network that answers `frames` by a policy, which may recompute statistics of the videos at `source`."""
    calibration = None
    if policy == "recalibrate":
        calibration = clips_for(network.card, unlabelled(source, embedded, progress), frames)
    return any_frame(network, frames, policy, calibration, limit=experiments.CALIBRATION, progress=progress)


def unlabelled(source: Path, embedded: bool, progress: Progress | None) -> Path:
    """Videos from which statistics come: our validation split, else the very videos that are tested."""
    return moving_shapes.prepare("val", progress=progress) if embedded else source


def job(name: str, *key: Hashable, work: Callable[[Report], Any]) -> Job:
    """The one background work of this name and key, for all viewers."""
    return _job((name, *key), work)


def own(name: str, *key: Hashable, make: Callable[[], Any]) -> Any:
    """What this viewer alone keeps under a name, gone with the session; that of another key is cancelled first."""
    kept: dict[str, tuple[tuple[Hashable, ...], Any]] = st.session_state.setdefault(OWN, {})
    if name in kept and kept[name][0] != key:
        kept.pop(name)[1].cancel()
    if name not in kept:
        kept[name] = key, make()
    return kept[name][1]


@st.cache_resource(show_spinner=False)
def trainings() -> Trainings:
    """The trainings of all viewers."""
    return Trainings(cache_folder() / "runs")


def glance(name: str, *key: Hashable, work: Callable[[Report], Any]) -> Job:
    """As `job`, for what is quick and of which there are many: begun at once, and often done when it is returned."""
    found = _glance((name, *key), work)
    found.start()
    if found.task:
        found.task.wait(0.2)
    return found


@st.cache_resource(show_spinner=False, max_entries=256)
def _glance(key: tuple[Hashable, ...], _work: Callable[[Report], Any]) -> Job:
    return Job(_work)


@st.cache_resource(show_spinner=False, max_entries=256)
def _job(key: tuple[Hashable, ...], _work: Callable[[Report], Any]) -> Job:
    return Job(_work)


# --- What is known of the selection ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Known:
    """What is known of a checkpoint on some data by now, and what is still at work."""

    tables: Tables
    others: Mapping[str, Recorded]  # of the other bundled checkpoints on the same data, by title
    recorded: bool = False
    checked: bool = True  # whether the data is known to be that of the record
    source: Path | None = None
    sweep: Sweep | None = None
    rendering: Task | None = None


NOTHING = Known(EMPTY, {})


def known(chosen: Selection) -> Known:
    """Everything that is known by now; `DataError` when the data cannot be used, or is not said yet."""
    if chosen.data is None:
        return _embedded(chosen)
    if not chosen.data:
        raise DataError("give the path of a folder of class/video.mp4, or of a CSV manifest, in the sidebar")
    return _live(chosen, Path(chosen.data), {})


def _embedded(chosen: Selection) -> Known:
    """Recorded results where they are of this very checkpoint and data, else live ones once the videos are there."""
    task = rendering()
    every = recordings()
    record = every.get(chosen.checkpoint.digest)
    digest = clips(chosen.checkpoint, task.result).digest if task.result else None
    others = {
        other.title: other
        for checkpoint, other in every.items()
        if checkpoint != chosen.checkpoint.digest and digest in (None, other.data)
    }
    if record and digest in (None, record.data) and chosen.policy == "nearest":
        return Known(record, others, True, digest is not None, task.result, rendering=task)
    return Known(EMPTY, others, rendering=task) if digest is None else _live(chosen, task.result, others)


def _live(chosen: Selection, source: Path, others: Mapping[str, Recorded]) -> Known:
    """Results that are computed in the background, the chosen frame count first."""
    found = sweep(chosen.checkpoint, source, chosen.policy, embedded=chosen.data is None)
    found.want(chosen.num_frames)
    return Known(found.tables(), others, source=source, sweep=found)
