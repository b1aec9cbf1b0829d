"""`ffn report`: a checkpoint as one page; the only command that needs the workbench."""

import argparse

from ffn.commands import Commands, path
from ffn.commands.progress_bar import ProgressBar


def add(commands: Commands) -> None:
    parser = commands.add_parser("report", help="one HTML file of what a checkpoint does at every number of frames")
    parser.add_argument("checkpoint", type=path)
    parser.add_argument("--data", type=path, help="a folder of class/*.mp4, or a manifest CSV (default: ours)")
    parser.add_argument("--frames", type=int, nargs="+", default=[1, 2, 4, 8, 12, 16, 24, 32], metavar="T")
    parser.add_argument("--at", type=int, default=4, metavar="T", help="the count to look at closely (default: 4)")
    parser.add_argument("-o", "--output", type=path, required=True)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    from ffn.files import replacing, writable
    from workbench.report import of_checkpoint

    output = writable(options.output, options.checkpoint, options.data)
    with ProgressBar(unit="clips") as progress:
        page = of_checkpoint(options.checkpoint, options.data, options.frames, options.at, report=progress)
    with replacing(output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(f"wrote {options.output}")
