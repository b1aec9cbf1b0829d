"""`ffn import`: a file of the paper's authors in our format."""

import argparse

from ffn.commands import Commands, path


def add(commands: Commands) -> None:
    parser = commands.add_parser("import", help="turn a file of the paper's authors into one of ours")
    parser.add_argument("file", type=path, help=".pth.tar or .pyth")
    parser.add_argument("--architecture", help="one of theirs, such as resnet50; by default what the file looks like")
    parser.add_argument(
        "--frames", type=int, nargs="+", metavar="T", help="what it was trained at; default: the paper's"
    )
    parser.add_argument("-o", "--output", type=path, required=True)
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    from ffn.checkpoint import save
    from ffn.files import writable
    from ffn.official import load_official

    output = writable(options.output, options.file)
    model = load_official(options.file, options.architecture, options.frames)
    save(model, output)
    print(f"{model.card['title']}: {options.output}")
