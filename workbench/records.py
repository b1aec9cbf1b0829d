"""Results as plain values and tables, and where they are remembered between sessions."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ffn.evaluation import Result
from ffn.files import cache_folder, replacing
from workbench import analysis


@dataclass(frozen=True)
class Tables:
    """The tables of `analysis.accuracy` and `analysis.divergence`, and what could not be read."""

    accuracy: pd.DataFrame
    divergence: pd.DataFrame
    unreadable: tuple[str, ...] = ()

    def knows(self, num_frames: int) -> bool:
        return bool((self.accuracy.num_frames == num_frames).any())


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


def results_folder(checkpoint: str, data: str, policy: str = "nearest") -> Path:
    """Where results are remembered, by the hashes of checkpoint and data, and how untrained counts are answered."""
    return cache_folder() / "results" / "-".join([checkpoint, data, *([policy] if policy != "nearest" else [])])


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
