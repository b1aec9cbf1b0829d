"""What viewers share and what one of them has chosen: models, results, background work, the selection.

The only place with st.cache_*. Whatever is slow runs in a background thread; the page asks and never waits.
"""

import atexit
import gc
import hashlib
import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from ffn import moving_shapes
from ffn.bundled import DEMO, RECIPES
from ffn.card import Card, CheckpointError, read_card
from ffn.checkpoint import load, save
from ffn.costs import Cost, cost, latency
from ffn.data import clips_for
from ffn.evaluation import Progress, Result, evaluate
from ffn.files import cache_folder, file_hash, read_csv, replacing
from ffn.model import FrameFlexible
from ffn.official import is_torch_file, load_official
from workbench import analysis

GRID = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32)  # measured by itself for checkpoints without recorded results
SLIDER = range(1, 33)
IDLE_BUDGET = 60.0  # seconds after which latencies that nobody has asked for are left unmeasured
QUIET = 2.0  # seconds without a move of the slider before they are measured at all
SELECTION = "_selection"  # where the session state keeps it


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


def selection() -> Selection | None:
    """The viewer's choice, drawn from the sidebar in this run."""
    return st.session_state.get(SELECTION)


# --- Checkpoints ----------------------------------------------------------------------------------------------


def bundled() -> dict[str, Path]:
    """The bundled checkpoints by title, in the order of their recipes."""
    order = [recipe.name for recipe in RECIPES]
    paths = sorted(DEMO.glob("*.safetensors"), key=lambda path: (path.stem not in order, path.stem))
    paths.sort(key=lambda path: order.index(path.stem) if path.stem in order else len(order))
    return {_title(str(path), *_stamp(path)): path for path in paths}


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


@st.cache_resource(show_spinner="Opening the checkpoint", max_entries=8)
def _model(digest: str, _source: Any) -> FrameFlexible:
    return load(_source if isinstance(_source, Path) else _source.getvalue())


@st.cache_resource(show_spinner=False, max_entries=64)
def _branch_divergence(digest: str, _checkpoint: Checkpoint) -> pd.DataFrame:
    return analysis.branch_divergence(model(_checkpoint))


def branch_divergence(checkpoint: Checkpoint) -> pd.DataFrame:
    """The table of `analysis.branch_divergence`; needs no data."""
    return _branch_divergence(checkpoint.digest, checkpoint)


# --- Results --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Tables:
    """The tables of `analysis.accuracy` and `analysis.divergence`, and what could not be read."""

    accuracy: pd.DataFrame
    divergence: pd.DataFrame
    unreadable: tuple[str, ...] = ()

    def knows(self, num_frames: int) -> bool:
        return bool((self.accuracy.num_frames == num_frames).any())


@dataclass(frozen=True)
class Recorded(Tables):
    """Results from the repository, of the checkpoint called `title` on the data with hash `data`."""

    title: str = ""
    data: str = ""


def recordings() -> dict[str, Recorded]:
    """The recorded results of the bundled checkpoints, by the hash of the checkpoint."""
    found = {}
    for title, path in bundled().items():
        files = [path, *(path.with_suffix(f".{kind}.csv") for kind in ("accuracy", "divergence"))]
        if all(file.is_file() for file in files) and (read := _recorded(title, str(path), *map(_stamp, files))):
            found[read[0]] = read[1]
    return found


@st.cache_resource(show_spinner=False, max_entries=64)
def _recorded(title: str, path: str, *stamps: tuple[int, int]) -> tuple[str, Recorded] | None:
    """None where the files beside a checkpoint are not of this very checkpoint, on one dataset."""
    accuracy, divergence = (read_csv(Path(path).with_suffix(f".{kind}.csv")) for kind in ("accuracy", "divergence"))
    checkpoint = file_hash(Path(path))
    keys = {(row.get("checkpoint"), row.get("data")) for row in accuracy + divergence}
    if len(keys) != 1 or (found := keys.pop())[0] != checkpoint:
        return None
    tables = analysis.accuracy(accuracy), analysis.divergence(map(_numbers, divergence))
    return checkpoint, Recorded(*tables, title=title, data=str(found[1]))


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    counts = {name: int(row[name]) for name in ("num_frames", "branch")}
    return {**row, **counts, **{name: float(row[name]) for name in analysis.DIVERGENCES}}


def as_record(result: Result) -> dict[str, Any]:
    """A result as plain values, without its predictions."""
    rows = result.divergence_rows()
    return {"accuracy": result.accuracy_row(), "divergence": rows, "unreadable": list(result.unreadable)}


def as_tables(records: Sequence[dict[str, Any]]) -> Tables:
    """Records of several frame counts as tables."""
    unreadable = dict.fromkeys(reason for record in records for reason in record["unreadable"])
    return Tables(
        analysis.accuracy(record["accuracy"] for record in records),
        analysis.divergence(row for record in records for row in record["divergence"]),
        tuple(unreadable),
    )


EMPTY = as_tables([])


def results_folder(checkpoint: str, data: str) -> Path:
    """Where results are remembered, by the hashes of checkpoint and data."""
    return cache_folder() / "results" / f"{checkpoint}-{data}"


def read_records(folder: Path) -> dict[int, dict[str, Any]]:
    """What is remembered, by frame count; a damaged file counts as missing."""
    found = {}
    for path in folder.glob("*.json"):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            as_tables([record])
            found[int(record["accuracy"]["num_frames"])] = record
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return found


def write_record(folder: Path, record: dict[str, Any]) -> None:
    with replacing(folder / f"{record['accuracy']['num_frames']}.json") as temporary:
        temporary.write_text(json.dumps(record), encoding="utf-8")


# --- Background work ------------------------------------------------------------------------------------------


class CancelledError(Exception):
    """Raised inside background work to end it."""


class Processor:
    """Background work takes turns, batch by batch, so that a latency is measured while nothing else computes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @contextmanager
    def held(self) -> Any:
        with self._lock:
            yield

    def pass_on(self) -> None:
        """Lets whoever waits go first."""
        self._lock.release()
        time.sleep(0.002)
        self._lock.acquire()


PROCESSOR = Processor()


class Task:
    """Work in a thread of its own, with progress; `work` calls its argument with (done, total)."""

    def __init__(self, work: Callable[[Progress], Any]) -> None:
        self.done, self.total = 0, 0
        self.error, self.result = "", None
        self.cancelled = False
        self._work = work
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> "Task":
        self._thread.start()
        return self

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def wait(self, seconds: float | None = None) -> "Task":
        self._thread.join(seconds)
        return self

    def cancel(self) -> None:
        """Ends the work at its next step."""
        self.cancelled = True

    def report(self, done: int, total: int) -> None:
        """Progress; ends the work when it was cancelled."""
        self.done, self.total = done, total
        if self.cancelled:
            raise CancelledError

    def _run(self) -> None:
        try:
            self.result = self._work(self.report)
        except CancelledError:
            pass
        except Exception as error:  # a thread has nobody else to tell
            self.error = str(error) or type(error).__name__


class Sweep:
    """Results of one checkpoint on one dataset, computed in the background, the frame count that is wanted first.

    `evaluate_at` gives the results at some frame counts. What is in `folder` is not computed again.
    """

    def __init__(
        self,
        evaluate_at: Callable[[Sequence[int], Progress], Sequence[Result]],
        folder: Path | None = None,
        grid: Sequence[int] = GRID,
    ) -> None:
        self.records = read_records(folder) if folder else {}
        self.task: Task | None = None
        self.now: tuple[int, ...] = ()
        self._evaluate_at, self._folder, self._grid = evaluate_at, folder, grid
        self._wanted: int | None = None
        self._lock = threading.Lock()
        self._tables: tuple[int, Tables] | None = None

    def want(self, num_frames: int | None) -> None:
        """Makes sure that this frame count is being computed, and the grid after it; a cancelled sweep stays so."""
        with self._lock:
            self._wanted = num_frames
            if self.missing() and not self.running and not self.stopped:
                self.task = Task(self._work).start()

    def resume(self) -> None:
        """Goes on after it was cancelled or failed."""
        with self._lock:
            self.task = None if not self.running else self.task
        self.want(self._wanted)

    @property
    def running(self) -> bool:
        return self.task is not None and self.task.running

    @property
    def stopped(self) -> bool:
        """Whether it was cancelled or failed."""
        return self.task is not None and (self.task.cancelled or bool(self.task.error))

    def missing(self) -> list[int]:
        """The frame counts to come, the wanted one first."""
        wanted = [] if self._wanted is None else [self._wanted]
        return [t for t in dict.fromkeys([*wanted, *self._grid]) if t not in self.records]

    def tables(self) -> Tables:
        """Everything that is known by now."""
        if self._tables is None or self._tables[0] != len(self.records):
            records = list(self.records.values())
            self._tables = (len(records), as_tables(records))
        return self._tables[1]

    def _work(self, progress: Progress) -> None:
        with PROCESSOR.held():
            while missing := self.missing():
                # A few at a time share a decode; a newly wanted count never waits for the whole grid.
                self.now = tuple(missing[:1] if self._wanted == missing[0] else sorted(missing[:3]))
                for result in self._evaluate_at(self.now, partial(self._step, progress)):
                    self._keep(as_record(result))

    def _step(self, progress: Progress, done: int, total: int) -> None:
        progress(done, total)
        PROCESSOR.pass_on()

    def _keep(self, record: dict[str, Any]) -> None:
        if self._folder:
            write_record(self._folder, record)
        self.records[record["accuracy"]["num_frames"]] = record


@dataclass(frozen=True)
class Measured:
    """What a forward pass of one clip costs; `milliseconds` is None where it failed."""

    cost: Cost
    milliseconds: float | None


class Profile:
    """Cost and latency by frame count, measured in the background; the count that is asked for comes first."""

    def __init__(self, network: FrameFlexible) -> None:
        self.found: dict[int, Measured] = {}
        self._network = network
        self._asked, self._asked_at = min(network.frames), time.monotonic()
        self._deadline = time.monotonic() + IDLE_BUDGET
        self._task: Task | None = None
        self._lock = threading.Lock()

    def at(self, num_frames: int) -> Measured | None:
        """What is known of this frame count; None while it is being measured."""
        self._asked, self._asked_at = num_frames, time.monotonic()
        with self._lock:
            if self._next() is not None and not (self._task and self._task.running):
                self._task = Task(self._work).start()
        return self.found.get(num_frames)

    def _next(self) -> int | None:
        left = sorted(set(SLIDER) - self.found.keys(), key=lambda t: abs(t - self._asked))
        if self._asked not in self.found:
            return self._asked
        return left[0] if left and time.monotonic() < self._deadline else None

    def _work(self, progress: Progress) -> None:
        while (num_frames := self._next()) is not None:
            if num_frames != self._asked and time.monotonic() - self._asked_at < QUIET:
                time.sleep(0.2)
                continue
            counted = cost(self._network, num_frames)
            with PROCESSOR.held():
                self.found[num_frames] = Measured(counted, self._latency(num_frames))

    def _latency(self, num_frames: int) -> float | None:
        try:
            return latency(self._network, num_frames)
        except RuntimeError:  # not enough memory
            return None


# --- Background work that viewers share -----------------------------------------------------------------------


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
    """The hash of the data; `DataError` when this checkpoint cannot use it."""
    source = source.expanduser()
    folders = [source, *(child for child in source.glob("*") if child.is_dir())] if source.exists() else []
    return _data_digest(
        checkpoint.digest, str(source), tuple(folder.stat().st_mtime_ns for folder in folders), checkpoint
    )


@st.cache_resource(show_spinner="Looking through the videos", max_entries=64)
def _data_digest(digest: str, source: str, modified: tuple[int, ...], _checkpoint: Checkpoint) -> str:
    return clips_for(_checkpoint.card, source, (1,)).digest


def sweep(checkpoint: Checkpoint, source: Path) -> Sweep:
    """The one `Sweep` of a checkpoint on a folder or manifest."""
    source = source.expanduser()
    return _sweep(checkpoint.digest, data_digest(checkpoint, source), checkpoint, source)


@st.cache_resource(show_spinner=False, max_entries=64)
def _sweep(digest: str, data: str, _checkpoint: Checkpoint, _source: Path) -> Sweep:
    return Sweep(_evaluator(_checkpoint, _source), results_folder(digest, data))


@st.cache_resource(show_spinner=False, max_entries=64)
def _verification(digest: str, data: str, num_frames: int, _checkpoint: Checkpoint, _source: Path) -> Sweep:
    return Sweep(_evaluator(_checkpoint, _source), grid=(num_frames,))


def verification(checkpoint: Checkpoint, source: Path, num_frames: int) -> Sweep:
    """A sweep of one frame count that remembers nothing, to compare with what is recorded."""
    return _verification(checkpoint.digest, data_digest(checkpoint, source), num_frames, checkpoint, source)


def _evaluator(checkpoint: Checkpoint, source: Path) -> Callable[[Sequence[int], Progress], Sequence[Result]]:
    network = model(checkpoint)

    def evaluate_at(frames: Sequence[int], progress: Progress) -> Sequence[Result]:
        return evaluate(network, clips_for(checkpoint.card, source, frames), progress=progress)

    return evaluate_at
