"""A training run in a folder: its config, checkpoints that survive a kill, one row per epoch.

config.json         every setting; the run goes on with these alone
state.pt            all that the steps to come depend on, after every epoch and where the run was stopped
best.safetensors    the network of the best epoch by `select`; last.safetensors that of the last epoch
rows.csv, events*   losses and accuracies by frame count; the events are TensorBoard's
"""

import io
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ffn.checkpoint import save
from ffn.data import Clips
from ffn.distribution import Processes
from ffn.evaluation import evaluate
from ffn.experiment import Experiment
from ffn.files import replacing, write_csv
from ffn.training import Epoch, Trainer

if TYPE_CHECKING:
    from accelerate import Accelerator

Report = Callable[[str, int, int], object]  # what is being done, clips done, clips in all
Row = dict[str, Any]
CONFIG = "config.json"


class RunError(ValueError):
    """A folder that cannot take this run, with the way out."""


class Stopped(KeyboardInterrupt):
    """A run that was asked to stop and has saved where it was."""


def read_config(folder: Path) -> Experiment:
    """The config of the run in `folder`.

    Raises:
        RunError: when there is none, or it cannot be read.
    """
    path = folder / CONFIG
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
        return Experiment(**values)
    except FileNotFoundError:
        raise RunError(f"{folder} holds no run; leave out --resume to start one there") from None
    except (TypeError, ValueError) as error:
        raise RunError(f"{path} is no config of a run: {error}") from None


def settle(experiment: Experiment, folder: Path, *, resume: bool) -> None:
    """Makes `folder` the place of this run, or finds that it is.

    Raises:
        RunError: when the folder belongs to another run, or to this one and `resume` is not set.
    """
    path = folder / CONFIG
    if not path.exists():
        if folder.is_dir() and any(folder.glob("*.safetensors")):
            raise RunError(f"{folder} holds checkpoints but no run; choose another folder")
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(asdict(experiment), indent=1), encoding="utf-8")
        return
    other = asdict(read_config(folder))
    different = [
        f"{name} is {_short(other[name])} there and {_short(value)} here"
        for name, value in asdict(experiment).items()
        if other[name] != value
    ]
    if different:
        raise RunError(f"{folder} belongs to another config ({'; '.join(different)}); choose another folder")
    if not resume:
        raise RunError(f"{folder} holds this run already; --resume goes on with it, or choose another folder")


def _short(value: object) -> str:
    return text if len(text := str(value)) < 40 else f"{text[:37]}..."


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

    Ctrl-C and SIGTERM end the step under way and save before `Stopped` is raised. A row holds epoch, learning_rate,
    clips, unreadable, seconds, clips_per_second, waiting (share of the time in which the next batch was not there);
    by frame count T, loss_T, train_T and val_T (top-1 in percent); and score, by which the best epoch is kept.

    Raises:
        RunError: when the folder belongs to another run.
        DataError: when the data cannot be used.
        FloatingPointError: when the loss is no longer a number; the run keeps the state after its last whole epoch.
    """
    _settle_together(Processes(engine), lambda: settle(experiment, folder, resume=resume))
    yield from _Run(experiment, folder, device=device, engine=engine, report=report)


def _settle_together(processes: Processes, settle: Callable[[], None]) -> None:
    """`settle` in the first process; where it fails there, all raise its error."""
    problem: Exception | None = None
    if processes.part.rank == 0:
        try:
            settle()
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
        self._remember(self.clips)
        self.model = experiment.build(len(self.clips.classes)).to(device)
        self.validation = (
            experiment.clips_to_test(experiment.validation, experiment.shown, self.clips.classes)
            if experiment.validation
            else None
        )
        self.trainer = Trainer(self.model, self.clips, experiment.training, progress=self._progress, engine=engine)
        self.rows: list[Row] = []
        self.pending: Epoch | None = None  # trained but not yet validated
        self.stop = False
        self.clock, self.first = time.perf_counter(), self.trainer.step  # of the epoch under way
        self.state = folder / "state.pt"
        if self.state.exists():
            self._load()

    def _remember(self, clips: Clips) -> None:
        """Decodes what a cache will hold before the first step, in several processes."""
        progress = partial(self.report, "decoding") if self.report else None
        clips.remember(workers=self.experiment.workers, progress=progress)

    def __iter__(self) -> Iterator[Row]:
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

    def _progress(self, done: int, steps: int) -> None:
        size = min(self.experiment.batch_size, len(self.clips))
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
        self._save()
        if self.main:
            write_csv(self.folder / "rows.csv", self.rows)
            log(row)
        return row

    def _row(self, epoch: Epoch) -> Row:
        seconds, steps = time.perf_counter() - self.clock, self.trainer.step - self.first
        row: Row = {
            "epoch": epoch.epoch,
            "learning_rate": epoch.learning_rate,
            "clips": epoch.clips,
            "unreadable": len(epoch.unreadable),
            "seconds": round(seconds, 2),
            "clips_per_second": round(steps * self.experiment.batch_size / seconds, 2),
            "waiting": round(epoch.waiting, 4),
            **{f"loss_{t}": loss for t, loss in epoch.losses.items()},
            **{f"train_{t}": 100 * accuracy for t, accuracy in epoch.accuracies.items()},
            **{f"val_{t}": accuracy for t, accuracy in self._validate().items()},
        }
        row["score"] = self._score(row)
        self.clock, self.first = time.perf_counter(), self.trainer.step
        return row

    def _validate(self) -> dict[int, float]:
        """Top-1 in percent by frame count."""
        if self.validation is None:
            return {}
        results = evaluate(
            self.model.eval(), self.validation, batch_size=self.experiment.batch_size, engine=self.engine
        )
        return {r.num_frames: 100 * r.correct / max(1, r.clips) for r in results}

    def _score(self, row: Row) -> float:
        if self.experiment.select == "last" or self.validation is None:
            return float(row["epoch"])
        if self.experiment.select == "mean":
            return sum(row[f"val_{t}"] for t in self.experiment.shown) / len(self.experiment.shown)
        return row[f"val_{self.experiment.select}"]

    def _keep(self, row: Row) -> None:
        card = self.experiment.card(self.clips)
        card["metrics"] = {"epoch": row["epoch"], **{k: round(v, 2) for k, v in row.items() if k.startswith("val_")}}
        if all(row["score"] > earlier["score"] for earlier in self.rows):
            save(self.model, self.folder / "best.safetensors", card)
        save(self.model, self.folder / "last.safetensors", card)

    def _save(self, pending: Epoch | None = None) -> None:
        if not self.main:
            return
        content = io.BytesIO()  # torch reports a full disk as a failed assertion, a file as what it is
        state = {"trainer": self.trainer.state_dict(), "rows": self.rows, "pending": pending and asdict(pending)}
        torch.save(state, content)
        with replacing(self.state) as temporary:
            temporary.write_bytes(content.getbuffer())

    def _load(self) -> None:
        try:
            state = torch.load(self.state, map_location="cpu", weights_only=True)
        except Exception as error:  # torch lets through whatever its readers meet
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise RunError(f"{self.state} is damaged ({reason}); delete it to start anew") from None
        self.trainer.load_state_dict(state["trainer"])
        self.rows = state["rows"]
        self.pending = Epoch(**state["pending"]) if state["pending"] else None

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """The first Ctrl-C or SIGTERM waits for the step to end, the second does not."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number: int, frame: object) -> None:
            if self.stop:
                raise KeyboardInterrupt
            self.stop = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def _events(folder: Path, main: bool, epochs: int) -> Iterator[Callable[[Row], None]]:
    """Writes rows for TensorBoard, after those of the first `epochs` epochs."""
    if not main:
        yield lambda row: None
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), purge_step=epochs + 1) as writer:

        def log(row: Row) -> None:
            for name, value in row.items():
                writer.add_scalar(name.replace("_", "/") if name[-1].isdigit() else name, value, row["epoch"])

        yield log
