"""`ffn data prepare`: manifests of one of the usual data sets."""

import argparse

from ffn.commands import Commands, path
from ffn.commands.formatting import table


def add(actions: Commands) -> None:
    parser = actions.add_parser("prepare", help="write manifests for one of the usual data sets")
    parser.add_argument("format", choices=("sthv1", "sthv2", "kinetics", "hmdb51", "tsn"))
    parser.add_argument("--annotations", type=path, nargs="+", required=True, help="files, or a folder of them")
    parser.add_argument("--videos", type=path, required=True, help="the folder of videos or extracted frames")
    parser.add_argument("-o", "--output", type=path, help="default: manifests, beside the annotations")
    parser.add_argument("--classes", type=path, help="class names, one a line, where a list has numbers")
    parser.add_argument("--template", default="", help="names of extracted frames, such as img_{:05d}.jpg")
    parser.add_argument("--split", type=int, choices=(1, 2, 3), default=1, help="of HMDB51")
    parser.add_argument("--allow-missing", action="store_true", help="leave out videos that are not there")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    from ffn.preparation import prepare

    annotations = options.annotations
    beside = annotations[0] if annotations[0].is_dir() else annotations[0].parent
    written = prepare(
        options.format,
        annotations,
        options.videos,
        options.output or beside / "manifests",
        classes=options.classes,
        template=options.template,
        split=options.split,
        allow_missing=options.allow_missing,
    )
    rows = [[str(manifest.path), str(manifest.videos), str(len(manifest.missing))] for manifest in written]
    print(table(["manifest", "videos", "missing"], rows))
