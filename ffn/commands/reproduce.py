"""`ffn reproduce`: the experiments behind the numbers of this repository."""

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ffn.commands import Commands
from ffn.commands.formatting import table, table_of
from ffn.commands.progress_bar import ProgressBar

if TYPE_CHECKING:
    from ffn.progress import Report

GAINS = ("top1", "gained", "share")


def add(commands: Commands) -> None:
    parser = commands.add_parser("reproduce", help="rerun an experiment behind a number in this repository")
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--only", nargs="+", help="networks of the demo, or tables, by name")
    parser.add_argument("--output", type=Path, help="where to (default: workbench/demo, workbench/results)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of tables and any-frame")
    parser.add_argument("--device", default="cpu", help="that trains for tables and any-frame")
    parser.add_argument("--processes", type=int, default=1, help="that share the trainings for tables and any-frame")
    parser.add_argument("--show", action="store_true", help="print what is there, train nothing")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    EXPERIMENTS[options.experiment](options)


def _demo(options: argparse.Namespace) -> None:
    from ffn.bundled import DEMO, demo, summary

    output = options.output or DEMO
    if not options.show:
        with ProgressBar() as progress:
            demo(output, only=options.only or (), report=progress)
    print("top-1 on the test clips, %, by number of frames")
    print(table_of(summary(output)))


def _tables(options: argparse.Namespace) -> None:
    from ffn.results import RESULTS, TABLES, summary

    output = options.output or RESULTS
    wanted = options.only or list(TABLES)
    if unknown := set(wanted) - TABLES.keys():
        raise ValueError(f"there is no table {', '.join(sorted(unknown))}; there are {', '.join(TABLES)}")
    if not options.show:
        _train(partial(_make_tables, output, options.device, wanted, options.seeds), options.processes)
    for name in wanted:
        if rows := summary(name, TABLES[name].counts, output):
            print(f"\n{TABLES[name].title}: top-1 on moving_shapes, %, by number of frames; last what the paper has")
            print(table_of(rows))


def _make_tables(output: Path, device: str, tables: list[str], seeds: list[int], report: "Report") -> None:
    from ffn.reproduction import Reproduction

    Reproduction(output, device=device, report=report).run(tables, seeds)


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
    from ffn.files import read_csv
    from ffn.normalisation_gap import GAPS, normalisation_gap

    output = options.output or GAPS
    if not options.show:
        with ProgressBar(unit="clips") as progress:
            normalisation_gap(output, report=progress)
    print("TSM trained at 16 frames: top-1, points gained and share of the gap to a network trained at T, %")
    rows = [[row["num_frames"], row["way"], *_gains(row)] for row in read_csv(output)]
    print(table(["frames", "way", *GAINS], rows))


def _gains(row: dict[str, str]) -> list[str]:
    """The three numbers of a row, each with the ends of its interval; a dash where there is no gap to share."""
    shown = {name: f"{row[name]} ({row[f'{name}_low']} to {row[f'{name}_high']})" for name in GAINS}
    return ["-" if row[name] == "nan" else shown[name] for name in GAINS]


def _any_frame(options: argparse.Namespace) -> None:
    from ffn.policy_results import ANY_FRAME, gains, summary, verdict
    from ffn.results import read

    output = options.output or ANY_FRAME
    if not options.show:
        _train(partial(_compare_policies, output, options.device, options.seeds), options.processes)
    found = read(output)
    print("top-1 on the test split of moving_shapes, %, by number of frames; last what a policy is chosen by")
    print(table_of(summary(found)), end="\n\n")
    print("what the chosen policy has over others of the same seed, points")
    print(table_of(gains(found)), end="\n\n")
    print(verdict(found))


def _compare_policies(output: Path, device: str, seeds: list[int], report: "Report") -> None:
    from ffn.policy_comparison import PolicyComparison
    from ffn.reproduction import Reproduction

    PolicyComparison(Reproduction(device=device, report=report), output).run(seeds)


EXPERIMENTS = {"demo": _demo, "tables": _tables, "normalisation": _normalisation, "any-frame": _any_frame}
