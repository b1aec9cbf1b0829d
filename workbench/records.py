"""Results as plain values and tables, and where they are remembered between sessions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ffn.decisions import Decisions
from ffn.evaluation import Result
from ffn.files import cache_folder
from workbench import analysis, stored


@dataclass(frozen=True)
class Record:
    """What is kept of the results at one frame count."""

    accuracy: dict[str, int]  # a row of `analysis.accuracy`
    divergence: list[dict[str, Any]]  # rows of `analysis.divergence`
    unreadable: list[str]
    decisions: Decisions | None  # None where no video could be read


@dataclass(frozen=True)
class Tables:
    """The tables of `analysis.accuracy` and `analysis.divergence`, the answers, and what could not be read."""

    accuracy: pd.DataFrame
    divergence: pd.DataFrame
    unreadable: tuple[str, ...] = ()
    decisions: Decisions | None = None  # at every frame count that is known

    def knows(self, num_frames: int) -> bool:
        return bool((self.accuracy.num_frames == num_frames).any())


def as_record(result: Result) -> Record:
    """A result without all but the best answers."""
    decisions = Decisions.from_results([result]) if result.clips else None
    return Record(result.accuracy_row(), result.divergence_rows(), list(result.unreadable), decisions)


def as_tables(records: Sequence[Record]) -> Tables:
    """Records of several frame counts as tables."""
    unreadable = dict.fromkeys(reason for record in records for reason in record.unreadable)
    decisions = [record.decisions for record in records if record.decisions]
    return Tables(
        analysis.accuracy(record.accuracy for record in records),
        analysis.divergence(row for record in records for row in record.divergence),
        tuple(unreadable),
        Decisions.joined(decisions) if decisions else None,
    )


EMPTY = as_tables([])


def results_folder(checkpoint: str, data: str, policy: str = "nearest") -> Path:
    """Where results are remembered, by the hashes of checkpoint and data, and how untrained counts are answered."""
    return cache_folder() / "results" / "-".join([checkpoint, data, *([policy] if policy != "nearest" else [])])


def read_records(folder: Path) -> dict[int, Record]:
    """What is remembered, by frame count; a damaged file counts as missing."""
    found = {}
    for path in folder.glob("*.npz"):
        try:
            record = stored.read(path)
            as_tables([record])
            found[int(record.accuracy["num_frames"])] = record
        except Exception:  # whatever is wrong with the file, its results can be computed
            continue
    return found


def write_record(folder: Path, record: Record) -> None:
    """Keeps a record, by its frame count."""
    stored.write(folder / f"{record.accuracy['num_frames']}.npz", record)
