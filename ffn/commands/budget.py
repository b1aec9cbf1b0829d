"""`ffn budget`: few frames where the network is sure."""

import argparse
from functools import partial
from typing import TYPE_CHECKING

from ffn.commands import Commands, path
from ffn.commands.formatting import table_of
from ffn.commands.networks import add_evaluation, evaluated, loaded, top1
from ffn.commands.progress_bar import ProgressBar

if TYPE_CHECKING:
    from ffn.budget import Outcome


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "budget",
        help="stop at few frames where the network is sure: what to try, and what it gives",
        description="Chooses frame counts and thresholds on one set of videos and says what they give on another.",
    )
    parser.add_argument("--checkpoint", type=path, required=True)
    parser.add_argument("--validation", type=path, required=True, help="the videos to choose on: a folder or manifest")
    parser.add_argument("--data", type=path, required=True, help="the videos to report on")
    parser.add_argument("--frames", type=int, nargs="+", metavar="T", help="counts to try (default: the branches)")
    parser.add_argument("--share", type=float, default=0.5, help="of the MACs of the largest count (default: 0.5)")
    add_evaluation(parser)
    parser.add_argument("--csv", type=path, help="write every best policy, at any budget, to this file")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    from ffn.budget import Policy, choose, frontier, outcome, recorded
    from ffn.files import writable, write_csv

    if not options.share > 0:
        raise ValueError(f"--share is of the MACs, above 0; got {options.share:g}")
    output = options.csv and writable(options.csv, options.validation, options.data)
    model = loaded(options)
    frames = options.frames or model.frames
    chosen_on, reported_on = (
        recorded(model, evaluated(model, data, frames, options)) for data in (options.validation, options.data)
    )
    with ProgressBar() as progress:
        found = frontier(chosen_on, progress=partial(progress, "sequences of counts"))
    chosen = choose(found, options.share * chosen_on.macs[-1])
    single = [Policy((t,)) for t in chosen_on.counts]
    rows = {
        policy: _row(outcome(policy, chosen_on), outcome(policy, reported_on), reported_on.macs[-1])
        for policy in (*single, *(best.policy for best in found))
    }
    print(table_of([rows[policy] for policy in (*single, chosen.policy)]))
    if output:
        write_csv(output, list(rows.values()))


def _row(chosen: "Outcome", reported: "Outcome", longest: int) -> dict[str, str]:
    """What a policy gives where it was chosen, and where it is reported; MACs beside `longest`, those of one pass."""
    return {
        "frames in turn": " ".join(map(str, reported.policy.counts)),
        "until sure by": " ".join(f"{threshold:.4f}" for threshold in reported.policy.thresholds),
        "validation top-1 %": f"{100 * chosen.correct / chosen.clips:.2f}",
        **top1(reported.correct, reported.clips),
        "frames": f"{reported.frames:.2f}",
        "GMACs": f"{reported.macs / 1e9:.4g}",
        "of the MACs %": f"{100 * reported.macs / longest:.1f}",
    }
