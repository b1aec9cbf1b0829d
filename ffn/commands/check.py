"""`ffn data check`: what is broken among the videos of a folder, manifest or list."""

import argparse
import os
from functools import partial
from statistics import median
from typing import TYPE_CHECKING

from ffn.commands import Commands, path
from ffn.commands.progress_bar import ProgressBar

if TYPE_CHECKING:
    from ffn.checking import Report


def add(actions: Commands) -> None:
    parser = actions.add_parser(
        "check", help="look for everything that is listed, decode a sample, name what is broken"
    )
    parser.add_argument("source", type=path, help="a folder, manifest or list")
    parser.add_argument("--classes", type=path, help="class names, one a line (default: classes.txt beside the list)")
    parser.add_argument("--sample", type=int, default=1000, metavar="N", help="videos that are decoded (default: 1000)")
    parser.add_argument("--all", action="store_true", help="decode every video")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: every core)")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    from ffn.checking import check
    from ffn.lists import read_classes

    with ProgressBar() as progress:
        report = check(
            options.source,
            classes=read_classes(options.classes) if options.classes else None,
            sample=None if options.all else options.sample,
            workers=options.workers,
            seed=options.seed,
            progress=partial(progress, "decoding"),
        )
    _print(report)
    if report.findings:
        raise ValueError(f"{options.source}: problems found: {len(report.findings)}")


def _print(report: "Report") -> None:
    for finding in report.findings:
        print(finding)
    if report.videos:
        print(f"videos   {report.videos:,}, of which {report.decoded:,} were decoded without fault")
        print(f"classes  {len(report.per_class):,} of {min(report.per_class)} to {max(report.per_class)} videos")
    if report.lengths:
        print(f"lengths  {min(report.lengths)} to {max(report.lengths)} frames, median {median(report.lengths):g}")
        sizes = sorted(report.sizes.items(), key=lambda item: -item[1])
        print(f"sizes    {', '.join(f'{w}x{h} ({count})' for (w, h), count in sizes[:5])}{', ...' * (len(sizes) > 5)}")
