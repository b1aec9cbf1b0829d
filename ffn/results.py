"""The rows of the reproduced tables: reading them, and means over seeds beside the paper's numbers."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from ffn.files import read_csv

HERE = Path(__file__).resolve().parent.parent / "workbench" / "results"
RESULTS = HERE / "moving_shapes.csv"
PAPER = HERE / "paper.csv"
COLUMNS = (
    "table",
    "method",
    "backbone",
    "frames",
    "num_frames",
    "seed",
    "top1",
    "clips",
    "params",
    "recipe",
    "commit",
    "machine",
)
KEY = COLUMNS[:6]  # no two rows have the same
Row = Mapping[str, str]
Forms = Mapping[str, tuple[str, str]]  # of values, by column: a pattern for the whole of them, and what it is in words
COUNT = (r"[1-9]\d*", "a whole number of at least 1")
WHOLE = (r"\d+", "a whole number of at least 0")
PERCENT = (r"100(\.0*)?|\d{1,2}(\.\d*)?", "a number from 0 to 100")
FORMS = {
    "frames": (r"[1-9]\d*(-[1-9]\d*)*", "one or more frame counts like 4-8-16"),
    "num_frames": COUNT,
    "seed": WHOLE,
    "top1": PERCENT,
}


@dataclass(frozen=True)
class Table:
    """A table of the paper: what it is about, and the tested frame counts that are its columns."""

    title: str
    counts: tuple[int, ...] = (4, 8, 16)


TABLES = {
    "1": Table("Table 1, against the baselines"),
    "4": Table("Table 4, without one part"),
    "fig2": Table("Figure 2, trained at one count and tested at others", (4, 8, 12, 16)),
    "2": Table("Tables 2 and 7, any number of frames", (4, 6, 8, 10, 12, 14, 16)),
    "6": Table("Table 6, which middle count", (4, 6, 8, 10, 12, 14, 16)),
    "3": Table("Table 3, more frames", (4, 8, 16, 24)),
    "5": Table("Table 5, depths"),
    "8": Table("Table 8, architectures (SlowFast counts its fast frames)", (4, 8, 16, 32)),
}


def read(path: Path, columns: Sequence[str] = ()) -> list[dict[str, str]]:
    """The rows of a CSV file, which has at least `columns`; none where there is no file."""
    return read_csv(path, columns) if path.exists() else []


def check(path: Path, rows: Iterable[Row], forms: Forms, key: Sequence[str]) -> None:
    """Finds that values are what `forms` says, and that no two of the rows in a file have the same `key`.

    Raises:
        ValueError: when they are not, with the row.
    """
    seen: dict[tuple[str, ...], int] = {}
    for number, row in enumerate(rows, start=1):
        for name, (pattern, words) in forms.items():
            if not re.fullmatch(pattern, row[name]):
                raise ValueError(
                    f"row {number} under the header of {path}: {name} must be {words}, got {row[name][:40]!r}; "
                    "mend the row, or remove it"
                )
        first = seen.setdefault(tuple(row[name] for name in key), number)
        if first != number:
            raise ValueError(
                f"rows {first} and {number} under the header of {path} are of the same {', '.join(key)}; remove one"
            )


def lines(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """Method, backbone and trained frames of the lines of a table, in the order of the file."""
    return list(dict.fromkeys((row["method"], row["backbone"], row["frames"]) for row in rows))


def by_frames(rows: Sequence[Row], line: tuple[str, str, str]) -> dict[int, list[float]]:
    """Top-1 in percent of every seed, by tested frame count, of one line of a table."""
    found: dict[int, list[float]] = {}
    for row in rows:
        if (row["method"], row["backbone"], row["frames"]) == line:
            found.setdefault(int(row["num_frames"]), []).append(float(row["top1"]))
    return dict(sorted(found.items()))


def spread(values: Sequence[float], style: str = ".1f") -> str:
    """Mean, in a format of Python's, and standard deviation over seeds."""
    return f"{mean(values):{style}}" + (f" ± {stdev(values):.1f}" if len(values) > 1 else "")


def summary(
    table: str,
    counts: Sequence[int],
    results: Path = RESULTS,
    paper: Path = PAPER,
    *,
    seeds: Sequence[int] | None = None,
) -> list[dict[str, str]]:
    """One row per line of a table: top-1 in percent, mean and standard deviation over seeds, then the paper's.

    Of all seeds, or the given ones. The paper's numbers are of other data (Something-Something V1) and networks, by
    frame count, separated by slashes; its SlowFast sees twice the frames of ours.
    """
    own = [row for row in read(results) if row["table"] == table and (not seeds or int(row["seed"]) in seeds)]
    theirs = [row for row in read(paper) if row["table"] == table]
    stand_in = {"resnet10t": "resnet50"}
    if table == "5":
        stand_in = {"resnet10t": "resnet18", "resnet14t": "resnet50", "resnet18": "resnet101"}
    rows = []
    for method, backbone, frames in lines(own):
        ours = by_frames(own, (method, backbone, frames))
        times = 2 if backbone.startswith("slowfast") else 1
        shown = "-".join(str(times * int(t)) for t in frames.split("-"))
        line = (method, stand_in.get(backbone, backbone.removesuffix("_tiny")), shown)
        printed = {t // times: f"{values[0]:.2f}" for t, values in by_frames(theirs, line).items()}
        rows.append(
            {
                "method": method,
                "backbone": backbone,
                "trained at": frames,
                **{str(t): spread(ours[t]) if t in ours else "-" for t in counts},
                "paper": " / ".join(printed.get(t, "-") for t in counts) if printed else "-",
            }
        )
    return rows
