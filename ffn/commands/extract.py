"""`ffn extract`: one branch as an ordinary network."""

import argparse

from ffn.commands import Commands, path


def add(commands: Commands) -> None:
    parser = commands.add_parser("extract", help="take one branch out as an ordinary network")
    parser.add_argument("checkpoint", type=path)
    parser.add_argument("--frames", type=int, required=True, metavar="T")
    parser.add_argument("-o", "--output", type=path, required=True)
    parser.add_argument(
        "--fold-norms", action="store_true", help="norms into the convolutions too: for prediction only"
    )
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    from ffn.checkpoint import load, save
    from ffn.files import writable
    from ffn.model import extract

    output = writable(options.output)
    save(extract(load(options.checkpoint), options.frames, fold_norms=options.fold_norms), output)
    print(f"{options.output}: the {options.frames}-frame branch of {options.checkpoint}")
