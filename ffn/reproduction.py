"""Making the tables: trainings that share their work, and the rows that come of them.

Every training lives in a folder of its own. Whoever runs takes the next one that nobody else is at, so that as many
processes as there are cores or GPUs share the work, and a killed one is taken up where it stopped. The test split is
seen once by each network, when it is trained.
"""

import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from torch import from_numpy

from ffn import moving_shapes
from ffn.checkpoint import load
from ffn.costs import parameters
from ffn.evaluation import evaluate
from ffn.experiment import Experiment
from ffn.files import cache_folder, replacing, write_csv
from ffn.progress import Report
from ffn.provenance import commit, machine
from ffn.results import COLUMNS, RESULTS, TABLES, read
from ffn.runs import run
from ffn.tables import COMMON, SEEDS, Entry, counts, entries, members, origin, pretraining, recipe, recipe_of, tested

PATIENCE = 0.5  # seconds until it is asked again whether the others are done
ROOT = Path(__file__).resolve().parent.parent
RESULT = ("top1", "clips", "params", "commit", "machine")  # columns that tell of a network at one frame count
Row = dict[str, Any]


@dataclass(frozen=True)
class Answers:
    """What a network gave on the test split: logits (N, K) by frame count, labels (N,), and where it was made."""

    logits: dict[int, np.ndarray]
    labels: np.ndarray
    params: int
    commit: str
    machine: str

    @property
    def top1(self) -> dict[int, float]:
        """Accuracy in percent by frame count."""
        return {t: 100 * float((logits.argmax(-1) == self.labels).mean()) for t, logits in self.logits.items()}

    def save(self, path: Path) -> None:
        """Writes one .npz file."""
        content: dict[str, Any] = {str(t): logits for t, logits in self.logits.items()}
        content |= {"params": self.params, "commit": self.commit, "machine": self.machine}
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez(file, labels=self.labels, **content)

    @staticmethod
    def load(path: Path) -> "Answers":
        """Reads what `save` wrote."""
        with np.load(path) as file:
            logits = {int(name): file[name] for name in file.files if name.isdigit()}
            about = {name: str(file[name]) for name in ("commit", "machine")}
            return Answers(logits, file["labels"], int(file["params"]), **about)


def averaged(members: Sequence[Answers]) -> Answers:
    """The mean of the networks' probabilities at every frame count (ensemble of paper section 5.1)."""
    first = members[0]
    probabilities = {
        t: np.mean([from_numpy(member.logits[t]).softmax(-1).numpy() for member in members], axis=0)
        for t in first.logits
    }
    logits = {t: np.log(share) for t, share in probabilities.items()}
    return replace(first, logits=logits, params=sum(member.params for member in members))


def embedded(report: Report, workers: int = 2) -> dict[str, Path]:
    """The manifests of the embedded data by split, rendered where it is not there."""
    return {
        split: moving_shapes.prepare(split, workers=workers, progress=partial(report, f"rendering {split}"))
        for split in moving_shapes.SPLITS
    }


def prepare(report: Report, workers: int) -> None:
    """Renders and decodes, in so many processes, what every training reads; else the first to ask does it alone."""
    data = embedded(report, workers)
    experiment = Experiment(**COMMON, data=str(data["train"]), cache="on")
    for clips in (experiment.clips(), experiment.clips_to_test(str(data["test"]), (1,))):
        clips.remember(workers=workers, progress=partial(report, f"decoding {clips.source.stem}"))


class BusyError(Exception):
    """Another process is at a training that is needed."""


def share(wanted: Iterable[tuple[Entry, int]], make: Callable[[Entry, int], None]) -> None:
    """`make(entry, seed)` of every entry and seed, always the first that no other process is at."""
    work = list(wanted)
    while work:
        made = next((item for item in work if _made(make, *item)), None)
        if made:
            work.remove(made)
        else:
            time.sleep(PATIENCE)


def _made(make: Callable[[Entry, int], None], entry: Entry, seed: int) -> bool:
    try:
        make(entry, seed)
    except BusyError:
        return False
    return True


class Reproduction:
    """Trains what the tables need and writes their rows.

    Args:
        output: the CSV file of the rows; what is there by the same recipes is not made again.
        folder: where the trainings live.
        data: manifest by split, by default the embedded data.
    """

    def __init__(
        self,
        output: Path = RESULTS,
        folder: Path | None = None,
        *,
        device: str = "cpu",
        report: Report,
        data: Mapping[str, Path] | None = None,
    ) -> None:
        self.output, self.folder = output, folder or cache_folder() / "tables"
        self.device, self.report = device, report
        self._data = data

    @cached_property
    def data(self) -> Mapping[str, Path]:
        """Manifest by split; where nothing is missing nobody asks."""
        return self._data or embedded(self.report)

    def run(self, tables: Sequence[str] = tuple(TABLES), seeds: Sequence[int] = SEEDS) -> None:
        """Makes the rows that are missing; what other processes are at is left to them, and waited for at the end."""
        wanted = [(entry, seed) for seed in seeds for entry in entries(tables)]
        while missing := [item for item in wanted if not self._is_there(*item)]:
            share(missing, self._make_rows)

    def _make_rows(self, entry: Entry, seed: int) -> None:
        if not self._is_there(entry, seed):
            self._write(entry, seed, self._known_rows(entry, seed) or self._new_rows(entry, seed))

    def answers(self, entry: Entry, seed: int) -> Answers:
        """What the entry's network gives on the test split; trained first where it is not there yet."""
        if entry.method == "ensemble":
            return averaged([self.answers(member, seed) for member in members(entry)])
        return Answers.load(self.trained(entry, seed) / "test.npz")

    def trained(self, entry: Entry, seed: int) -> Path:
        """The folder of the entry's training, which has come to its end; made first where it has not.

        Raises:
            BusyError: when another process is at it, or at what it starts from.
        """
        before = origin(entry)
        start = self.trained(before, seed) if before else self._pretrained(entry.backbone, seed)
        settings = {**recipe_of(entry), "init": str(start / "last.safetensors")}
        return self._make(self.folder / f"{recipe(entry)}-{seed}", settings, seed)

    def _pretrained(self, backbone: str, seed: int) -> Path:
        settings = pretraining(backbone)
        return self._make(self.folder / f"{Experiment(**settings).digest}-{seed}", settings, seed)

    def _make(self, folder: Path, settings: Mapping[str, Any], seed: int) -> Path:
        """Trains and tests in `folder`, unless that was done before."""
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(f"{folder}.lock").acquire(blocking=False):
                if not (folder / "test.npz").exists():
                    where: dict[str, Any] = {"data": str(self.data["train"]), "cache": "on"}
                    self._train(Experiment(**settings, **where, seed=seed), folder)
        except Timeout:
            raise BusyError(str(folder)) from None
        return folder

    def _train(self, experiment: Experiment, folder: Path) -> None:
        name = f"{experiment.method} {'-'.join(map(str, experiment.shown))} seed {experiment.seed}"

        def report(epoch: str, done: int, total: int) -> None:
            self.report(f"{name}, {epoch}", done, total)

        for _ in run(experiment, folder, resume=True, device=self.device, report=report):
            pass
        model = load(folder / "last.safetensors").to(self.device)
        clips = experiment.clips_to_test(str(self.data["test"]), tested(experiment.architecture))
        results = evaluate(model, clips, progress=partial(self.report, f"{name}, test"))
        Answers(
            logits={result.num_frames: result.logits for result in results},
            labels=results[0].labels,
            params=parameters(model),
            commit=commit(ROOT),
            machine=machine(self.device),
        ).save(folder / "test.npz")

    def _is_there(self, entry: Entry, seed: int) -> bool:
        key = {**_key(entry, seed), "recipe": recipe(entry)}
        there = {int(row["num_frames"]) for row in read(self.output) if key.items() <= row.items()}
        return there >= set(counts(entry))

    def _known_rows(self, entry: Entry, seed: int) -> list[Row]:
        """The rows of other tables that tell all of the same network; none where some count is missing."""
        network = {"recipe": recipe(entry), "seed": str(seed)}
        rows = {int(row["num_frames"]): row for row in read(self.output) if network.items() <= row.items()}
        return [rows[t] for t in counts(entry)] if rows.keys() >= set(counts(entry)) else []

    def _new_rows(self, entry: Entry, seed: int) -> list[Row]:
        answers = self.answers(entry, seed)
        about = {name: str(getattr(answers, name)) for name in ("params", "commit", "machine")}
        about |= {"recipe": recipe(entry), "seed": str(seed), "clips": str(len(answers.labels))}
        return [{**about, "num_frames": str(t), "top1": f"{top1:.2f}"} for t, top1 in answers.top1.items()]

    def _write(self, entry: Entry, seed: int, rows: Sequence[Row]) -> None:
        """Writes the rows of an entry.

        Where other tables have the same network, they take over what is new of it, and ensembles with it are to be
        made again.
        """
        key, fresh = _key(entry, seed), {_network(row): row for row in rows}
        own = [{**row, **key} for row in rows if int(row["num_frames"]) in counts(entry)]
        with FileLock(f"{self.output}.lock"):
            before = read(self.output)
            anew = {_network(row)[:2] for row in before if _result(row) != _result(fresh.get(_network(row), row))}
            others = [row for row in before if not key.items() <= row.items() and not _averages(row, anew)]
            kept = [{**row, **_result(fresh.get(_network(row), row))} for row in others]
            written = sorted([*kept, *own], key=_place)
            write_csv(self.output, [{column: row[column] for column in COLUMNS} for row in written])


def _key(entry: Entry, seed: int) -> Row:
    frames = "-".join(map(str, entry.frames))
    key = {"table": entry.table, "method": entry.method, "backbone": entry.backbone, "frames": frames}
    return {**key, "seed": str(seed)}


def _network(row: Row) -> tuple[str, ...]:
    """Of which network, at which count, a row is."""
    return row["recipe"], row["seed"], row["num_frames"]


def _result(row: Row) -> Row:
    return {name: row[name] for name in RESULT}


def _averages(row: Row, networks: Container[tuple[str, ...]]) -> bool:
    """Whether a row is of an ensemble, and one of these networks, by recipe and seed, a member of it."""
    members = row["recipe"].split("-")
    return len(members) > 1 and any((member, row["seed"]) in networks for member in members)


def _place(row: Row) -> tuple[Any, ...]:
    """Where a row stands in the file: by table and line, then seed and frame count."""
    lines = [_key(entry, 0) for entry in entries()]
    line = {**{name: row[name] for name in lines[0]}, "seed": "0"}
    return (lines.index(line) if line in lines else len(lines), int(row["seed"]), int(row["num_frames"]))
