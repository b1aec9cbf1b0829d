"""A training run in a folder: its config, checkpoints that survive a kill, one row per epoch.

config.json         every setting; the run goes on with these alone. The folder is the run's once a state is there
state.pt            all that the steps to come depend on, after every epoch and where the run was stopped
best.safetensors    the network of the best epoch by `select`; last.safetensors that of the last epoch
rows.csv, events*   losses and accuracies by frame count; the events are TensorBoard's
"""

import io
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ffn.checkpoint import read_card, save
from ffn.data import Clips
from ffn.distribution import Processes
from ffn.evaluation import evaluate
from ffn.experiment import Experiment
from ffn.files import FULL, file_hash, replacing, write_csv
from ffn.fingerprints import fingerprint
from ffn.lists import CLASSES, DataError, some
from ffn.memory import is_out_of_memory
from ffn.processes import ENDS_OF_TERMINALS, STOPS
from ffn.progress import Report
from ffn.run_folder import (
    LAST,
    ROWS,
    STATE,
    RunError,
    check_folder,
    check_unedited,
    read_config,
    settled,
    write_config,
)
from ffn.training import Epoch, Trainer

if TYPE_CHECKING:
    from accelerate import Accelerator

Row = dict[str, Any]


class Stopped(KeyboardInterrupt):
    """A run that was asked to stop and has saved where it was."""


def run(
    experiment: Experiment,
    folder: Path,
    *,
    resume: bool = False,
    device: str | torch.device = "cpu",
    engine: "Accelerator | None" = None,
    report: Report | None = None,
) -> Iterator[Row]:
    """Trains in `folder` and yields one row per epoch; a stopped or killed run goes on with `resume`.

    Ctrl-C, SIGTERM and a closed terminal end the step under way and save before `Stopped` is raised. A row holds epoch,
    learning_rate, clips, unreadable (of training and validation), seconds, clips_per_second, waiting (share of the time
    in which the next batch was not there); by frame count T, loss_T and train_T (None for a count that was only mixed
    into another) and val_T (top-1 in percent); and score, by which the best epoch is kept.

    Raises:
        RunError: when the folder belongs to another run, or another process is at this one.
        DataError: when the data cannot be used, or is not what the run began with.
        FloatingPointError: when the loss is no longer a number; the run keeps the state after its last whole epoch.
        MemoryError: when a step is too large for the device.
    """
    processes = Processes(engine)
    _first(processes, lambda: check_folder(experiment, folder, resume=resume))
    training = _Run(experiment, folder, device=device, engine=engine, report=report)
    with ExitStack() as place:
        _first(processes, lambda: place.enter_context(settled(experiment, folder, resume=resume)))
        training.load()
        _first(processes, lambda: write_config(experiment, folder))
        yield from training


def _first(processes: Processes, act: Callable[[], object]) -> None:
    """`act` in the first process; where it fails there, all raise its error."""
    problem: Exception | None = None
    if processes.part.rank == 0:
        try:
            act()
        except (OSError, RunError) as error:
            problem = error
    for found in processes.each(problem):
        if found:
            raise found


class _Run:
    """One run under way, in this process and perhaps others; the first one writes."""

    def __init__(
        self,
        experiment: Experiment,
        folder: Path,
        *,
        device: str | torch.device,
        engine: "Accelerator | None",
        report: Report | None,
    ) -> None:
        self.experiment, self.folder, self.engine = experiment, folder, engine
        self.processes = Processes(engine)
        self.main = self.processes.part.rank == 0
        self.report = report if self.main else None
        self.clips = experiment.clips()
        if len(self.clips.classes) < 2:
            raise DataError(
                f"{self.clips.source} has one class alone, {self.clips.classes[0]}; "
                "there is nothing to tell apart, training needs at least two"
            )
        self._remember(self.clips)
        self.validation: Clips | None = None
        if experiment.validation:
            self.validation = experiment.clips_to_test(experiment.validation, experiment.validated, self.clips.classes)
            _check_there(self.validation)
            self._remember(self.validation)
        self.state = folder / STATE
        self.begun = self.state.exists()
        self.model = experiment.build(len(self.clips.classes), fresh=not self.begun).to(device)
        self.origin = _Origin() if self.begun else _Origin.of(experiment)
        self.trainer = Trainer(self.model, self.clips, experiment.training, progress=self._progress, engine=engine)
        self.rows: list[Row] = []
        self.pending: Epoch | None = None  # trained but not yet validated
        self.stop = False
        self.clock, self.first = time.perf_counter(), self.trainer.step  # of the epoch under way

    def _remember(self, clips: Clips) -> None:
        """Decodes what a cache will hold before the first step, in several processes."""
        progress = partial(self.report, "decoding") if self.report else None
        clips.remember(workers=self.experiment.workers, progress=progress)

    def __iter__(self) -> Iterator[Row]:
        if self.trainer.epoch == self.experiment.epochs and not self.pending:
            return
        with self._signals(), _events(self.folder, self.main, len(self.rows)) as log:
            if self.pending:
                yield self._finish(self.pending, log)
            self.clock, self.first = time.perf_counter(), self.trainer.step
            try:
                for epoch in self.trainer:
                    self._save(epoch)
                    yield self._finish(epoch, log)
            except FloatingPointError as error:
                kept = f"{self.state} holds epoch {len(self.rows)}" if self.rows else "no epoch was finished"
                raise FloatingPointError(f"{error}; {kept}") from None
            except RuntimeError as error:
                if is_out_of_memory(error):
                    raise MemoryError(
                        f"{self.experiment.batch_size} videos a step at {max(self.experiment.shown)} frames and "
                        f"{self.experiment.crop} pixels are too many for this device; "
                        f"take a smaller batch_size or crop ({str(error).splitlines()[0]})"
                    ) from None
                if "DataLoader worker" not in str(error):
                    raise
                raise ChildProcessError(
                    "a worker that decodes was killed, perhaps for want of memory; --resume with fewer workers"
                ) from None

    @property
    def _step_size(self) -> int:
        """Videos of a step over all processes."""
        return min(self.experiment.batch_size, len(self.clips))

    def _progress(self, done: int, steps: int) -> None:
        size = self._step_size
        if self.report:
            epoch = -(-done // self.trainer.steps)
            self.report(f"epoch {epoch}/{self.experiment.epochs}", done * size, steps * size)
        if done < steps and any(stop for (stop,) in self.processes.rows(self.stop)):
            self._save()
            raise Stopped(f"stopped after step {done} of {steps}; --resume goes on from there")

    def _finish(self, epoch: Epoch, log: Callable[[Row], None]) -> Row:
        """Validates, keeps what is to be kept, and gives the epoch's row."""
        row = self._row(epoch)
        if self.main:
            self._keep(row)
        self.rows.append(row)
        self.pending = None
        if self.main:
            write_csv(self.folder / ROWS, self.rows)
            log(row)
        self._save()  # last: killed before it, the run validates anew and writes the same row
        return row

    def _row(self, epoch: Epoch) -> Row:
        seconds, steps = time.perf_counter() - self.clock, self.trainer.step - self.first
        accuracies, skipped = self._validate()
        row: Row = {
            "epoch": epoch.epoch,
            "learning_rate": epoch.learning_rate,
            "clips": epoch.clips,
            "unreadable": len(epoch.unreadable) + skipped,
            "seconds": round(seconds, 2),
            "clips_per_second": round(steps * self._step_size / seconds, 2),
            "waiting": round(epoch.waiting, 4),
            **{f"loss_{t}": epoch.losses.get(t) for t in self.experiment.shown},
            **{f"train_{t}": 100 * epoch.accuracies[t] if t in epoch.losses else None for t in self.experiment.shown},
            **{f"val_{t}": accuracy for t, accuracy in accuracies.items()},
        }
        row["score"] = self._score(row)
        self.clock, self.first = time.perf_counter(), self.trainer.step
        return row

    def _validate(self) -> tuple[dict[int, float], int]:
        """Top-1 in percent by frame count, and how many videos were skipped."""
        if self.validation is None:
            return {}, 0
        results = evaluate(
            self.model.eval(),
            self.validation,
            batch_size=self.experiment.batch_size,
            workers=self.experiment.workers,
            progress=self._validating,
            engine=self.engine,
        )
        unreadable = results[0].unreadable
        if not results[0].clips:
            raise DataError(f"none of the {len(unreadable)} videos to validate on can be read: {unreadable[0]}")
        return {r.num_frames: 100 * r.correct / r.clips for r in results}, len(unreadable)

    def _validating(self, done: int, total: int) -> None:
        if self.report:
            self.report(f"validating epoch {self.trainer.epoch}", done, total)
        if self.stop and self.processes.part.of == 1:
            raise Stopped(f"stopped after {done} of {total} videos of validation; --resume validates anew and goes on")

    def _score(self, row: Row) -> float:
        if self.experiment.select == "last" or self.validation is None:
            return float(row["epoch"])
        if self.experiment.select == "mean":
            return sum(row[f"val_{t}"] for t in self.experiment.shown) / len(self.experiment.shown)
        return row[f"val_{self.experiment.select}"]

    def _keep(self, row: Row) -> None:
        card = self.experiment.card(self.clips, self.origin.recipe)
        card["metrics"] = {"epoch": row["epoch"], **{k: round(v, 2) for k, v in row.items() if k.startswith("val_")}}
        if all(row["score"] > earlier["score"] for earlier in self.rows):
            save(self.model, self.folder / "best.safetensors", card)
        save(self.model, self.folder / LAST, card)

    def _save(self, pending: Epoch | None = None) -> None:
        if not self.main:
            return
        content = io.BytesIO()  # torch reports a full disk as a failed assertion, a file as what it is
        state = {
            "trainer": self.trainer.state_dict(),
            "rows": self.rows,
            "pending": pending and asdict(pending),
            "origin": asdict(self.origin),
            "settings": self.experiment.settings(),
            "listings": self._listings,
            "contents": self._contents if self.rows else [],  # slow for many videos: not in the first epoch
        }
        torch.save(state, content)
        with replacing(self.state) as temporary:
            temporary.write_bytes(content.getbuffer())

    @property
    def _data(self) -> list[Clips]:
        """What the run trains on and, if it does, validates on."""
        return [self.clips, *([self.validation] if self.validation else [])]

    @cached_property
    def _listings(self) -> list[str]:
        return [_listing(clips) for clips in self._data]

    @cached_property
    def _contents(self) -> list[str]:
        return [_content(clips) for clips in self._data]

    def load(self) -> None:
        """Goes on from the state in the folder, if there is one; no other process may be at work there.

        Raises:
            RunError: when it is damaged, or of a run of another config or that started from something else.
            DataError: when it is of a run on other data.
        """
        if not self.begun and not self.state.exists():
            return
        try:
            state = torch.load(self.state, map_location="cpu", weights_only=True)
            trainer, rows, pending = (state[name] for name in ("trainer", "rows", "pending"))
        except Exception as error:  # torch lets through whatever its readers meet
            raise self._damaged(error) from None
        check_unedited(self.experiment, self.folder, state.get("settings", {}))
        if rows:
            self._check_classes()
        for clips, *before in zip_longest(self._data, state.get("listings", []), state.get("contents", [])):
            _check_data(clips, *before)
        self.origin = _Origin(**state["origin"]) if "origin" in state else _Origin.of(self.experiment)
        self._check_origin()
        try:
            self.trainer.load_state_dict(trainer)
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise self._damaged(error) from None
        self.rows = rows
        self.pending = Epoch(**pending) if pending else None

    def _damaged(self, error: Exception) -> RunError:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return RunError(f"{self.state} is damaged ({reason}); remove the folder to start anew")

    def _check_origin(self) -> None:
        """The run started from this very checkpoint; where it is gone, that is its place still."""
        init = Path(self.experiment.init)
        if not self.experiment.init or self.experiment.init == read_config(self.folder).init:
            return
        if not init.is_file() or file_hash(init) != self.origin.content:
            raise RunError(
                f"{init} is not the checkpoint that the run in {self.folder} started from; "
                "choose another folder, or leave out --init"
            )

    def _check_classes(self) -> None:
        """The outputs of the network stand for the classes in the order that they had."""
        if not (self.folder / LAST).is_file():
            raise RunError(f"{self.folder} lacks its {LAST}: bring that back, or choose another folder for a new run")
        before = read_card(self.folder / LAST)["classes"]
        if before != list(self.clips.classes):
            raise DataError(
                f"{self.clips.source} has other classes than when the run began, or in another order; they were "
                f"{some(before)}: write those in the card of {LAST}, one a line, to {CLASSES} beside it"
            )

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """The first Ctrl-C, SIGTERM or closed terminal waits for the step to end, the second does not."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, frame: object) -> None:
            if self.stop:
                raise KeyboardInterrupt
            self.stop = True

        ignored = [number for number in ENDS_OF_TERMINALS if signal.getsignal(number) is signal.SIG_IGN]  # by nohup
        before = {number: signal.signal(number, stop) for number in STOPS if number not in ignored}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@dataclass(frozen=True)
class _Origin:
    """What a run started from, which may be gone before it ends."""

    recipe: str = ""  # digest, with that of the checkpoint
    content: str = ""  # hash of the checkpoint

    @staticmethod
    def of(experiment: Experiment) -> "_Origin":
        return _Origin(experiment.digest, file_hash(Path(experiment.init)) if experiment.init else "")


def _check_there(validation: Clips) -> None:
    """Finds some of the videos, which nobody opens before an epoch is trained."""
    if not any(os.path.exists(video.path) for video in validation.videos):
        raise DataError(
            f"none of the {len(validation.videos)} videos to validate on is there: {validation.videos[0].path}"
        )


def _check_data(clips: Clips, listing: str | None, content: str | None) -> None:
    """Finds that data is what the run began with: by its content where that is known, else by its videos' names."""
    same = content == _content(clips) if content else listing in (None, _listing(clips))
    if not same:
        raise DataError(
            f"{clips.source} is not the data that the run began with: its videos, what they hold, their labels or "
            "their order are others; bring that back, or start another run"
        )


def _listing(clips: Clips) -> str:
    """Hash of what videos there are, in order, with labels and classes, wherever they lie; none is opened."""
    paths = [os.path.abspath(video.path) for video in clips.videos]
    start = len(os.path.commonpath(paths))
    return fingerprint(clips.classes, [(v.label, path[start:]) for v, path in zip(clips.videos, paths, strict=True)])


def _content(clips: Clips) -> str:
    """Hash of what the videos hold, in order, with labels and classes."""
    return fingerprint(clips.classes, [(v.label, held) for v, held in zip(clips.videos, clips.contents, strict=True)])


@contextmanager
def _events(folder: Path, main: bool, epochs: int) -> Iterator[Callable[[Row], None]]:
    """Writes rows for TensorBoard, after those of the first `epochs` epochs."""
    if not main:
        yield lambda row: None
        return
    from torch.utils.tensorboard import SummaryWriter

    with _disk_errors_told(folder), SummaryWriter(str(folder), purge_step=epochs + 1) as writer:

        def log(row: Row) -> None:
            for name, value in row.items():
                if value is not None:
                    writer.add_scalar(name.replace("_", "/") if name[-1].isdigit() else name, value, row["epoch"])

        yield log


@contextmanager
def _disk_errors_told(folder: Path) -> Iterator[None]:
    """A full disk that TensorBoard's thread meets is told in one line here, without a traceback there."""
    before = threading.excepthook
    threading.excepthook = lambda met: None if getattr(met.exc_value, "errno", None) in FULL else before(met)
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise OSError(f"{FULL[error.errno]}: the events for TensorBoard in {folder} were not written") from None
    finally:
        threading.excepthook = before
