"""`ffn data`: the embedded videos rendered, yours prepared or checked."""

import argparse
from functools import partial

from ffn.commands import Commands, check, path, prepare
from ffn.commands.progress_bar import ProgressBar


def add(commands: Commands) -> None:
    """Without an action it renders, as it always has."""
    parser = commands.add_parser("data", help="render the embedded videos; prepare or check yours")
    actions = parser.add_subparsers(dest="action", metavar="action")
    render = actions.add_parser("render", help="render the embedded videos (what happens without an action)")
    _add_rendering(parser, split="test", root=None)
    _add_rendering(render, split=argparse.SUPPRESS, root=argparse.SUPPRESS)  # what was said before the action stays
    prepare.add(actions)
    check.add(actions)


def _add_rendering(parser: argparse.ArgumentParser, *, split: str, root: str | None) -> None:
    parser.add_argument("--split", choices=("train", "val", "test"), default=split)
    parser.add_argument("--root", type=path, default=root, help="default: $FFN_CACHE or the user's cache")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    from ffn import moving_shapes

    with ProgressBar() as progress:
        manifest = moving_shapes.prepare(options.split, options.root, progress=partial(progress, "rendering"))
    print(manifest)
