"""`ffn eval`: accuracy at any numbers of frames, by one policy or several."""

import argparse
from typing import TYPE_CHECKING

from ffn.commands import Commands, path
from ffn.commands.formatting import table_of
from ffn.commands.networks import add_evaluation, evaluated, loaded, top1
from ffn.commands.policies import POLICIES, add_calibration, answering

if TYPE_CHECKING:
    from ffn.evaluation import Result
    from ffn.model import FrameFlexible


def add(commands: Commands) -> None:
    parser = commands.add_parser("eval", help="accuracy at any numbers of frames")
    parser.add_argument("--checkpoint", type=path, required=True)
    parser.add_argument("--data", type=path, required=True, help="a folder of class/*.mp4, or a manifest CSV")
    parser.add_argument("--frames", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32], metavar="T")
    add_evaluation(parser)
    parser.add_argument(
        "--policy", choices=POLICIES, nargs="+", default=["nearest"], help="who answers at counts that have no branch"
    )
    add_calibration(parser, "--calibration", metavar="DATA")
    parser.add_argument("--csv", type=path, help="write the table to this file too")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    from ffn.files import writable, write_csv

    output = options.csv and writable(options.csv, options.data)
    trained = loaded(options)
    rows = []
    for policy in options.policy:
        model = answering(trained, policy, options)
        results = evaluated(model, options.data, options.frames, options)
        named = {"policy": policy} if len(options.policy) > 1 else {}
        rows += [{**named, **_row(model, result)} for result in results]
    print(table_of(rows))
    if output:
        write_csv(output, rows)


def _row(model: "FrameFlexible", result: "Result") -> dict[str, str]:
    from ffn.costs import cost

    return {
        "frames": str(result.num_frames),
        "branch": str(result.branch),
        **top1(result.correct, result.clips),
        "clips": str(result.clips),
        "GMACs": f"{cost(model, result.num_frames).macs / 1e9:.4g}",
    }
