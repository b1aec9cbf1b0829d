"""`ffn reproduce`: the experiments behind the numbers of this repository."""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ffn.commands import Commands, path
from ffn.commands.formatting import table, table_of
from ffn.commands.networks import device
from ffn.commands.progress_bar import ProgressBar

if TYPE_CHECKING:
    from ffn.progress import Report
    from ffn.results import Forms

T = TypeVar("T")

GAINS = ("top1", "gained", "share")
ENDS = ("", "_low", "_high")  # of a number and its interval


def add(commands: Commands) -> None:
    parser = commands.add_parser("reproduce", help="make what is missing of an experiment in this repository")
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--only", nargs="+", help="networks of the demo, or tables (1 4 fig2 2 6 3 5 8; 7 is in 2)")
    parser.add_argument("--output", type=path, help="make all anew there: a folder for the demo, else a CSV file")
    parser.add_argument("--seeds", type=int, nargs="+", help="of tables and any-frame (default: 0 1 2, or all to show)")
    parser.add_argument("--device", default="cpu", help="that trains for tables and any-frame")
    parser.add_argument("--processes", type=int, default=1, help="that share the trainings for tables and any-frame")
    parser.add_argument("--show", action="store_true", help="print what is there, train nothing")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    if options.only and options.experiment not in ("demo", "tables"):
        raise ValueError(f"{options.experiment} is made as a whole; --only is for networks of the demo, or tables")
    if options.seeds and min(options.seeds) < 0:
        raise ValueError(f"a seed is a number from 0, got {min(options.seeds)}")
    EXPERIMENTS[options.experiment](options)


def _demo(options: argparse.Namespace) -> None:
    from ffn.bundled import DEMO, demo, summary
    from ffn.files import make_folder

    output, only = options.output or DEMO, options.only or ()
    if not options.show:
        make_folder(output)
        with ProgressBar() as progress:
            demo(output, only=only, report=progress)
    rows = _some(summary(output, only), output)
    print("top-1 on the test clips, %, by number of frames")
    print(table_of(rows))


def _place(
    options: argparse.Namespace, default: Path, columns: Sequence[str], forms: "Forms", key: Sequence[str]
) -> Path:
    """The CSV file of an experiment's rows, if there is one already; else where it can be written.

    Raises:
        ValueError: when it is a file of other rows, a value is not of its form, or two rows have the same `key`.
    """
    from ffn.files import writable
    from ffn.results import check, read

    output = options.output or default
    if not options.show:
        output = writable(output)
    check(output, read(output, columns), forms, key)
    return output


def _some(rows: list[T], output: Path) -> list[T]:
    """`rows`; `ValueError` when there are none."""
    if not rows:
        raise ValueError(f"nothing of this is in {output}; leave out --show to make it")
    return rows


def _tables(options: argparse.Namespace) -> None:
    from ffn.results import COLUMNS, FORMS, KEY, RESULTS, TABLES, summary

    wanted = options.only or list(TABLES)
    if unknown := set(wanted) - TABLES.keys():
        raise ValueError(f"there is no table {', '.join(sorted(unknown))}; there are {', '.join(TABLES)}")
    output = _place(options, RESULTS, COLUMNS, FORMS, KEY)
    if not options.show:
        device(options.device)
        _train(partial(_make_tables, output, options.device, wanted, options.seeds), options.processes)
    summaries = {name: summary(name, TABLES[name].counts, output, seeds=options.seeds) for name in wanted}
    found = [(name, rows) for name, rows in summaries.items() if rows]
    for name, rows in _some(found, output):
        print(f"\n{TABLES[name].title}: top-1 on moving_shapes, %, by number of frames; last what the paper has")
        print(table_of(rows))


def _make_tables(output: Path, device: str, tables: list[str], seeds: list[int] | None, report: "Report") -> None:
    from ffn.reproduction import Reproduction
    from ffn.tables import SEEDS

    Reproduction(output, device=device, report=report).run(tables, seeds or SEEDS)


def _train(work: "Callable[[Report], None]", count: int) -> None:
    """`work` that is shared by `count` processes, each with a bar of its own."""
    from ffn.processes import processes
    from ffn.reproduction import prepare

    if count < 1:
        raise ValueError(f"the number of processes must be at least 1, got {count}")
    if count > 1:
        with ProgressBar() as progress:
            prepare(progress, workers=count)
    with processes(count) as run_each:
        list(run_each(partial(_work, work), range(count)))


def _work(work: "Callable[[Report], None]", line: int) -> None:
    with ProgressBar("clips", line) as progress:
        work(progress)


def _normalisation(options: argparse.Namespace) -> None:
    from ffn.normalisation_gap import GAPS, normalisation_gap
    from ffn.results import COUNT, PERCENT, read

    columns = ("num_frames", "way", *(name + end for name in GAINS for end in ENDS))
    forms = {"num_frames": COUNT, **{f"top1{end}": PERCENT for end in ENDS}}
    output = _place(options, GAPS, columns, forms, columns[:2])
    if not options.show:
        with ProgressBar(unit="clips") as progress:
            normalisation_gap(output, report=progress)
    rows = [[row["num_frames"], row["way"], *_gains(row)] for row in _some(read(output), output)]
    print("TSM trained at 16 frames: top-1, points gained and share of the gap to a network trained at T, %")
    print(table(["frames", "way", *GAINS], rows))


def _gains(row: dict[str, str]) -> list[str]:
    """The three numbers of a row, each with the ends of its interval; a dash where there is no gap to share."""
    shown = {name: "{} ({} to {})".format(*(row[name + end] for end in ENDS)) for name in GAINS}
    return ["-" if row[name] == "nan" else shown[name] for name in GAINS]


def _any_frame(options: argparse.Namespace) -> None:
    from ffn.policy_results import ANY_FRAME, COLUMNS, FORMS, KEY, gains, summary, verdict
    from ffn.results import read

    output = _place(options, ANY_FRAME, COLUMNS, FORMS, KEY)
    if not options.show:
        device(options.device)
        _train(partial(_compare_policies, output, options.device, options.seeds), options.processes)
    found = _some(read(output), output)
    ways = _some(summary(found), output)
    print("top-1 on the test split of moving_shapes, %, by number of frames; last what a policy is chosen by")
    print(table_of(ways), end="\n\n")
    print("what the chosen policy has over others of the same seed, points")
    print(table_of(gains(found)), end="\n\n")
    print(verdict(found))


def _compare_policies(output: Path, device: str, seeds: list[int] | None, report: "Report") -> None:
    from ffn.policy_comparison import PolicyComparison
    from ffn.reproduction import Reproduction
    from ffn.tables import SEEDS

    PolicyComparison(Reproduction(device=device, report=report), output).run(seeds or SEEDS)


EXPERIMENTS = {"demo": _demo, "tables": _tables, "normalisation": _normalisation, "any-frame": _any_frame}
