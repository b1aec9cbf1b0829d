"""Trainings of a small network: one at a time for all viewers, each in a run's folder, so that a killed one goes on."""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ffn import moving_shapes, tables
from ffn.bundled import BACKBONE, PREPROCESSING
from ffn.experiment import Experiment
from ffn.files import read_csv
from ffn.progress import Report
from ffn.run_folder import CONFIG, RunError, read_config
from ffn.runs import run
from workbench.background import Job
from workbench.words import in_frames

TESTED = (1, 2, 4, 8, 16, 32)  # validated after every epoch, so that the deviation is seen to appear
VALIDATION = 20  # videos of each class
PACE = 650.0  # frames a second through the small network, forward and back, on one core
METHODS = {
    "single": "one frame count, an ordinary network",
    "ffn": "FFN, the paper's loss",
    "ffn-labels": "FFN, labels on every stream",
    "ffn-thinned": "FFN, the middle streams in a quarter of the steps",
    "labels": "FFN without distillation",
    "proportional": "one network shown two counts in turn",
    "mixed": "one network shown two counts mixed",
}
SHARES = {"ffn-thinned": tables.METHODS["ffn-thinned"]["share"]}  # of the others the default
SHOWN_TO_ONE = ("proportional", "mixed")  # two counts through a network of one branch


@dataclass(frozen=True)
class Plan:
    """What a viewer wants trained; on the embedded videos, or on those of two folders, manifests or lists."""

    method: str
    frames: tuple[int, ...]
    epochs: int
    per_class: int = 0  # of the embedded training videos
    data: str = ""
    validation: str = ""
    seed: int = 0

    def experiment(self, data: str = "", validation: str = "") -> Experiment:
        """The settings of the run.

        Raises:
            ValueError: when they do not go together.
        """
        options = {name: value for name, value in BACKBONE.items() if name != "architecture"}
        validation = validation or self.validation
        return Experiment(
            method=self.method,
            frames=self.frames[-1:] if self.method in SHOWN_TO_ONE else self.frames,
            streams=self.frames if self.method in SHOWN_TO_ONE else (),
            share=SHARES.get(self.method, Experiment.share),
            epochs=self.epochs,
            seed=self.seed,
            data=data or self.data,
            validation=validation,
            tested=TESTED if validation else (),
            architecture=BACKBONE["architecture"],
            model_options={name: list(value) for name, value in options.items()},
            resize=PREPROCESSING.resize,
            crop=PREPROCESSING.crop,
        )

    @property
    def name(self) -> str:
        """Of the run's folder: the same for the same settings and videos."""
        videos = f"{self.data}|{self.validation}"
        place = f"x{self.per_class}" if not self.data else hashlib.sha256(videos.encode()).hexdigest()[:6]
        counts = "-".join(map(str, self.frames))
        return f"{self.method}-{counts}-{place}-e{self.epochs}-s{self.seed}-{self.experiment().digest}"

    def prepare(self, report: Report) -> Experiment:
        """The settings once the videos are there."""
        if self.data:
            return self.experiment()
        paths = [
            moving_shapes.prepare(split, clips_per_class=count, progress=partial(report, f"Rendering {what} videos"))
            for split, count, what in (("train", self.per_class, "training"), ("val", VALIDATION, "validation"))
        ]
        return self.experiment(*map(str, paths))

    def seconds(self, cores: int) -> float:
        """About how long it takes on the embedded videos; validation costs a third of training, frame by frame."""
        classes = len(moving_shapes.CLASSES)
        shown = sum(self.frames) - (1 - SHARES.get(self.method, 1.0)) * sum(self.frames[1:-1])
        frames = self.per_class * shown + VALIDATION * (sum(TESTED) + sum(self.frames)) / 3
        return self.epochs * classes * frames / (PACE * cores)


@dataclass(frozen=True)
class Run:
    """A run as its folder tells it."""

    folder: Path
    experiment: Experiment
    epochs: int  # that are finished

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def finished(self) -> bool:
        return self.epochs >= self.experiment.epochs

    @property
    def rows(self) -> Path:
        """The table of its epochs, once there is one."""
        return self.folder / "rows.csv"

    @property
    def best(self) -> Path:
        """The network of the best epoch, once there is one."""
        return self.folder / "best.safetensors"

    @property
    def title(self) -> str:
        *first, last = self.experiment.shown
        counts = ", ".join([*map(str, first), in_frames(last)])
        return f"{METHODS.get(self.experiment.method, self.experiment.method)}: {counts}"


class Trainings:
    """The runs in a folder, one of which may be under way, whoever asked for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.job: Job | None = None
        self.name = ""  # of the run that is under way, or was last
        self._lock = threading.Lock()

    @property
    def running(self) -> bool:
        return self.job is not None and self.job.running

    def start(self, name: str, prepare: Callable[[Report], Experiment]) -> bool:
        """Begins a run or goes on with it; False where another is under way."""
        with self._lock:
            if self.running:
                return False
            self.name, self.job = name, Job(partial(self._train, name, prepare))
            self.job.start()
            return True

    def go_on(self, found: Run) -> bool:
        """Goes on with a run that was stopped; False where another is under way."""
        return self.start(found.name, lambda report: found.experiment)

    def runs(self) -> dict[str, Run]:
        """All that can be read, by name, the newest first."""
        configs = sorted(self.folder.glob(f"*/{CONFIG}"), key=lambda path: -path.stat().st_mtime)
        found = (read_run(path.parent) for path in configs)
        return {one.name: one for one in found if one}

    def _train(self, name: str, prepare: Callable[[Report], Experiment], report: Report) -> bool:
        for _ in run(prepare(report), self.folder / name, resume=True, report=steady(report)):
            pass
        return True


def read_run(folder: Path) -> Run | None:
    """The run in a folder; None where it cannot be read."""
    try:
        experiment = read_config(folder)
    except RunError:
        return None
    rows = folder / "rows.csv"
    return Run(folder, experiment, len(read_csv(rows)) if rows.is_file() else 0)


def steady(report: Report) -> Report:
    """`report` whose numbers are always those of training, so that the time left is that of the whole run."""
    last = (0, 0)

    def one(doing: str, done: int, total: int) -> None:
        nonlocal last
        if doing.startswith("epoch"):
            last = (done, total)
        doing = f"{doing[:1].upper()}{doing[1:]}"
        report(doing, *(last if doing.startswith("Validating") else (done, total)))

    return one
