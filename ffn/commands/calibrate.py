"""`ffn calibrate`: a policy written into a checkpoint."""

import argparse

from ffn.commands import Commands, path
from ffn.commands.formatting import flat, table
from ffn.commands.networks import add_evaluation, loaded
from ffn.commands.policies import POLICIES, add_calibration, answering


def add(commands: Commands) -> None:
    parser = commands.add_parser("calibrate", help="make a checkpoint answer other numbers of frames by a policy")
    parser.add_argument("checkpoint", type=path)
    parser.add_argument("--frames", type=int, nargs="+", required=True, metavar="T")
    parser.add_argument("--policy", choices=POLICIES[1:], required=True)
    add_calibration(parser, "--data", metavar="CALIBRATION")
    add_evaluation(parser)
    parser.add_argument("-o", "--output", type=path, required=True)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    from ffn.checkpoint import save
    from ffn.files import writable

    output = writable(options.output)
    model = loaded(options)
    calibrated = answering(model, options.policy, options)
    if calibrated is model:
        raise ValueError(f"each of {flat(options.frames)} has a branch in {options.checkpoint}, so nothing is missing")
    save(calibrated, output)
    how = calibrated.card.get("calibrated", {})
    rows = [[str(t), str(calibrated.route(t)), flat(how.get(str(t), "as before"))] for t in options.frames]
    print(table(["frames", "branch", "how"], rows))
