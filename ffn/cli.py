"""The command line. The only place that parses arguments or prints."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import MISSING, astuple, fields, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, get_args, get_origin

from tqdm import tqdm

if TYPE_CHECKING:
    import torch

    from ffn.budget import Outcome
    from ffn.divergence import Divergence
    from ffn.evaluation import Result
    from ffn.experiment import Experiment
    from ffn.model import FrameFlexible

GAINS = ("top1", "gained", "share")

Command = Callable[[argparse.Namespace], None]
POLICIES = ("nearest", "interpolate", "recalibrate", "synthesise", "repeat")  # of ffn.policies, which needs torch


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; an error that the user can mend is one line on stderr and exit status 1."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    name = " ".join(["ffn", *arguments[:1]])
    try:
        options = _parser(settings=arguments[:1] == ["train"]).parse_args(arguments)
        options.command(options)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has gone, and will not read what Python has left to write
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (ValueError, OSError, FloatingPointError, MemoryError) as error:
        print(f"{name}: {' '.join(str(error).splitlines()) or type(error).__name__}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(f"{name}: {str(stop) or 'interrupted'}", file=sys.stderr)
        return 130
    return 0


def _parser(*, settings: bool = False) -> argparse.ArgumentParser:
    """All commands; the `settings` of training come from its config, and with it torch."""
    parser = argparse.ArgumentParser(prog="ffn", description="Frame Flexible Networks.")
    commands = parser.add_subparsers(dest="name", required=True, metavar="command")

    info = commands.add_parser("info", help="what a checkpoint is: card, cost, divergence between branches; no data")
    info.add_argument("checkpoint", type=Path)
    info.add_argument("--layers", type=int, default=5, help="how many layers to list, the most divergent first")
    info.set_defaults(command=_info)

    train = commands.add_parser(
        "train",
        help="train a network; in several processes with `accelerate launch -m ffn train ...`",
        description="Explicit settings come before those of the recipe, and these before the defaults.",
    )
    train.add_argument("-o", "--output", type=Path, required=True, help="the run's folder")
    train.add_argument("--resume", action="store_true", help="go on with the run in the folder, if there is one")
    train.add_argument("--device", help="default: a GPU where there is one, else cpu")
    if settings:
        _add_settings(train)
    train.set_defaults(command=_train)

    evaluate = commands.add_parser("eval", help="accuracy at any numbers of frames")
    evaluate.add_argument("--checkpoint", type=Path, required=True)
    evaluate.add_argument("--data", type=Path, required=True, help="a folder of class/*.mp4, or a manifest CSV")
    evaluate.add_argument("--frames", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32], metavar="T")
    _add_evaluation(evaluate)
    evaluate.add_argument(
        "--policy", choices=POLICIES, nargs="+", default=["nearest"], help="who answers at counts that have no branch"
    )
    evaluate.add_argument("--calibration", type=Path, metavar="DATA", help="the videos to recalibrate from")
    evaluate.add_argument("--clips", type=int, metavar="N", help="how many of them (default: all)")
    evaluate.add_argument("--csv", type=Path, help="write the table to this file too")
    evaluate.set_defaults(command=_eval)

    calibrate = commands.add_parser("calibrate", help="make a checkpoint answer other numbers of frames by a policy")
    calibrate.add_argument("checkpoint", type=Path)
    calibrate.add_argument("--frames", type=int, nargs="+", required=True, metavar="T")
    calibrate.add_argument("--policy", choices=POLICIES[1:], required=True)
    calibrate.add_argument("--data", dest="calibration", type=Path, help="the videos to recalibrate from")
    calibrate.add_argument("--clips", type=int, metavar="N", help="how many of them (default: all)")
    _add_evaluation(calibrate)
    calibrate.add_argument("-o", "--output", type=Path, required=True)
    calibrate.set_defaults(command=_calibrate)

    budget = commands.add_parser(
        "budget",
        help="stop at few frames where the network is sure: what to try, and what it gives",
        description="Chooses frame counts and thresholds on one set of videos and says what they give on another.",
    )
    budget.add_argument("--checkpoint", type=Path, required=True)
    budget.add_argument("--validation", type=Path, required=True, help="the videos to choose on: a folder or manifest")
    budget.add_argument("--data", type=Path, required=True, help="the videos to report on")
    budget.add_argument("--frames", type=int, nargs="+", metavar="T", help="counts to try (default: the branches)")
    budget.add_argument("--share", type=float, default=0.5, help="of the MACs of the largest count (default: 0.5)")
    _add_evaluation(budget)
    budget.add_argument("--csv", type=Path, help="write every best policy, at any budget, to this file")
    budget.set_defaults(command=_budget)

    extract = commands.add_parser("extract", help="take one branch out as an ordinary network")
    extract.add_argument("checkpoint", type=Path)
    extract.add_argument("--frames", type=int, required=True, metavar="T")
    extract.add_argument("-o", "--output", type=Path, required=True)
    extract.add_argument(
        "--fold-norms", action="store_true", help="norms into the convolutions too: for prediction only"
    )
    extract.set_defaults(command=_extract)

    official = commands.add_parser("import", help="turn a file of the paper's authors into one of ours")
    official.add_argument("file", type=Path, help=".pth.tar or .pyth")
    official.add_argument("--architecture", help="one of theirs, such as resnet50; by default what the file looks like")
    official.add_argument(
        "--frames", type=int, nargs="+", metavar="T", help="what it was trained at; default: the paper's"
    )
    official.add_argument("-o", "--output", type=Path, required=True)
    official.set_defaults(command=_import)

    _add_data(commands.add_parser("data", help="render the embedded videos; prepare or check yours"))

    page = commands.add_parser("report", help="one HTML file of what a checkpoint does at every number of frames")
    page.add_argument("checkpoint", type=Path)
    page.add_argument("--data", type=Path, help="a folder of class/*.mp4, or a manifest CSV (default: ours)")
    page.add_argument("--frames", type=int, nargs="+", default=[1, 2, 4, 8, 12, 16, 24, 32], metavar="T")
    page.add_argument("--at", type=int, default=4, metavar="T", help="the count to look at closely (default: 4)")
    page.add_argument("-o", "--output", type=Path, required=True)
    page.set_defaults(command=_report)

    reproduce = commands.add_parser("reproduce", help="rerun an experiment behind a number in this repository")
    reproduce.add_argument("experiment", choices=("demo", "tables", "normalisation", "any-frame"))
    reproduce.add_argument("--only", nargs="+", help="networks of the demo, or tables, by name")
    reproduce.add_argument("--output", type=Path, help="where to (default: workbench/demo, workbench/results)")
    reproduce.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="of tables and any-frame")
    reproduce.add_argument("--device", default="cpu", help="that trains for tables and any-frame")
    reproduce.add_argument("--show", action="store_true", help="print what is there, train nothing")
    reproduce.set_defaults(command=_reproduce)
    return parser


def _add_evaluation(parser: argparse.ArgumentParser) -> None:
    """How videos go through a network."""
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=0, help="processes that decode")
    parser.add_argument("--device", default="cpu")


def _add_settings(parser: argparse.ArgumentParser) -> None:
    """One option for every field of a config; what is not given is absent."""
    from ffn.experiment import Experiment
    from ffn.recipes import RECIPES

    parser.add_argument("--recipe", help=f"settings of the paper, by name: {', '.join(RECIPES)}")
    for setting in fields(Experiment):
        how: dict[str, Any] = {"type": setting.type}
        if setting.type is bool:
            how = {"action": argparse.BooleanOptionalAction}
        elif setting.type == dict[str, Any]:
            how = {"type": _json, "metavar": "JSON"}
        elif get_origin(setting.type) is tuple:
            how = {"type": get_args(setting.type)[0], "nargs": "*"}
        default = "" if setting.default is MISSING else f" (default: {_flat(setting.default) or 'none'})"
        flag = f"--{setting.name.replace('_', '-')}"
        parser.add_argument(flag, default=argparse.SUPPRESS, help=setting.metadata["why"] + default, **how)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'expected JSON such as {{"drop_rate": 0.5}}, got {text!r}') from None


def _train(options: argparse.Namespace) -> None:
    from ffn.distribution import engine
    from ffn.runs import run

    experiment = _experiment(options)
    with engine() as shared, _Progress(unit="clips") as progress:
        speaks = shared is None or shared.is_main_process
        device = shared.device if shared else _device(options.device or _best_device())
        training = run(experiment, options.output, resume=options.resume, device=device, engine=shared, report=progress)
        row = None
        for row in training:
            if speaks:
                tqdm.write(_epoch(experiment, row), file=sys.stdout)
    if speaks and not row:
        print(f"all {experiment.epochs} epochs were done before")
    if speaks:
        print(options.output)


def _epoch(experiment: "Experiment", row: dict[str, Any]) -> str:
    """One epoch in one line."""
    losses = ", ".join(f"{t}: {row[f'loss_{t}']:.4f}" for t in experiment.shown if row[f"loss_{t}"] is not None)
    validated = ", ".join(f"{t}: {row[f'val_{t}']:.2f}" for t in experiment.validated if f"val_{t}" in row)
    validation = f"; validation top-1 % at frames {validated}" if validated else ""
    skipped = f"; unreadable videos: {row['unreadable']} (see ffn data check)" if row["unreadable"] else ""
    return f"epoch {row['epoch']}/{experiment.epochs}: loss at frames {losses}{validation}{skipped}"


def _experiment(options: argparse.Namespace) -> "Experiment":
    """The config that the options ask for: explicit ones, then the recipe's or those of the run that goes on."""
    from ffn.experiment import Experiment
    from ffn.recipes import RECIPES
    from ffn.run_folder import CONFIG, read_config

    given = {f.name: getattr(options, f.name) for f in fields(Experiment) if hasattr(options, f.name)}
    given = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    for name in ("data", "validation", "init"):
        if given.get(name):
            given[name] = str(Path(given[name]).expanduser().resolve())
    if options.recipe and options.recipe not in RECIPES:
        raise ValueError(f"there is no recipe {options.recipe!r}; there are {', '.join(RECIPES)}")
    given = {**(RECIPES[options.recipe] if options.recipe else {}), **given}
    if options.resume and (options.output / CONFIG).exists():
        return replace(read_config(options.output), **given)
    if not given.get("data"):
        raise ValueError(
            "--data must say which videos to train on: a folder of class/video files, a manifest or a list"
        )
    return Experiment(**given)


def _best_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _add_data(data: argparse.ArgumentParser) -> None:
    """Without an action it renders, as it always has."""
    actions = data.add_subparsers(dest="action", metavar="action")
    render = actions.add_parser("render", help="render the embedded videos (what happens without an action)")
    for parser, default in ((data, None), (render, argparse.SUPPRESS)):
        parser.add_argument("--split", choices=("train", "val", "test"), default=default or "test")
        parser.add_argument("--root", type=Path, default=default, help="default: $FFN_CACHE or the user's cache")
        parser.set_defaults(command=_render)

    prepare = actions.add_parser("prepare", help="write manifests for one of the usual data sets")
    prepare.add_argument("format", choices=("sthv1", "sthv2", "kinetics", "hmdb51", "tsn"))
    prepare.add_argument("--annotations", type=Path, nargs="+", required=True, help="files, or a folder of them")
    prepare.add_argument("--videos", type=Path, required=True, help="the folder of videos or extracted frames")
    prepare.add_argument("-o", "--output", type=Path, help="default: manifests, beside the annotations")
    prepare.add_argument("--classes", type=Path, help="class names, one a line, where a list has numbers")
    prepare.add_argument("--template", default="", help="names of extracted frames, such as img_{:05d}.jpg")
    prepare.add_argument("--split", type=int, choices=(1, 2, 3), default=1, help="of HMDB51")
    prepare.add_argument("--allow-missing", action="store_true", help="leave out videos that are not there")
    prepare.set_defaults(command=_prepare)

    check = actions.add_parser("check", help="look for everything that is listed, decode a sample, name what is broken")
    check.add_argument("source", type=Path, help="a folder, manifest or list")
    check.add_argument("--classes", type=Path, help="class names, one a line (default: classes.txt beside the list)")
    check.add_argument("--sample", type=int, default=1000, metavar="N", help="videos that are decoded (default: 1000)")
    check.add_argument("--all", action="store_true", help="decode every video")
    check.add_argument("--workers", type=int, default=os.cpu_count(), help="processes (default: every core)")
    check.add_argument("--seed", type=int, default=0, help="of the sample")
    check.set_defaults(command=_check)


def _info(options: argparse.Namespace) -> None:
    from ffn.card import branch_divergences, read_card

    card = read_card(options.checkpoint)
    for key, value in card.items():
        print(f"{key:<14} {_flat(value)}")
    rows = [[t, f"{gmacs:.4g}", f"{2 * gmacs:.4g}"] for t, gmacs in card.get("gmacs", {}).items()]
    print("\n" + _table(["frames", "GMACs", "GFLOPs"], rows))
    *shorter, longest = card["frames"]
    for branch in shorter:
        found = branch_divergences(options.checkpoint, branch, longest)
        _print_divergences(found, options.layers, f"the {branch}-frame branch against the {longest}-frame branch")


def _flat(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={_flat(content)}" for name, content in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _print_divergences(found: "dict[str, Divergence]", layers: int, title: str) -> None:
    if not found:
        print(f"\nnorms of {title}: none keeps running statistics, so there is nothing to compare without data")
        return
    worst = sorted(found, key=lambda layer: -found[layer].mean_shift)[:layers]
    mean = sum(d.mean_shift for d in found.values()) / len(found)
    print(f"\nnorms of {title}: {len(found)} layers, {mean:.3f} sigma apart in the mean; the furthest:")
    rows = [[layer, *(f"{number:.3f}" for number in astuple(found[layer]))] for layer in worst]
    measures = ["mean shift (sigma)", "|log variance ratio|", "symmetric KL (nats)", "Wasserstein (sigma)"]
    print(_table(["layer", *measures], rows))


def _eval(options: argparse.Namespace) -> None:
    from ffn.checkpoint import load
    from ffn.files import write_csv

    trained = load(options.checkpoint).to(_device(options.device))
    rows = []
    for policy in options.policy:
        model = _any_frame(trained, policy, options)
        results = _evaluated(model, options.data, options.frames, options)
        named = {"policy": policy} if len(options.policy) > 1 else {}
        rows += [{**named, **_accuracy_row(model, result)} for result in results]
    print(_table(list(rows[0]), [list(row.values()) for row in rows]))
    if options.csv:
        write_csv(options.csv, rows)


def _any_frame(model: "FrameFlexible", policy: str, options: argparse.Namespace) -> "FrameFlexible":
    """The model that answers the frame counts of `options` by a policy."""
    from ffn.data import clips_for
    from ffn.policies import any_frame

    frames = tuple(dict.fromkeys(options.frames))
    wanted = options.calibration and policy == "recalibrate"
    clips = clips_for(model.card, options.calibration, frames) if wanted else None
    with _Progress() as progress:
        return any_frame(
            model,
            frames,
            policy,
            clips,
            batch_size=options.batch_size,
            limit=options.clips,
            workers=options.workers,
            progress=lambda done, total: progress("calibrating", done, total),
        )


def _calibrate(options: argparse.Namespace) -> None:
    from ffn.checkpoint import load, save

    model = load(options.checkpoint).to(_device(options.device))
    calibrated = _any_frame(model, options.policy, options)
    if calibrated is model:
        raise ValueError(f"each of {_flat(options.frames)} has a branch in {options.checkpoint}, so nothing is missing")
    save(calibrated, options.output)
    how = calibrated.card.get("calibrated", {})
    rows = [[str(t), str(calibrated.route(t)), _flat(how.get(str(t), "as before"))] for t in options.frames]
    print(_table(["frames", "branch", "how"], rows))


def _evaluated(
    model: "FrameFlexible", data: Path, frames: Sequence[int], options: argparse.Namespace
) -> "list[Result]":
    """Results at each of `frames`; what could not be read is said on stderr."""
    from ffn.data import clips_for
    from ffn.evaluation import evaluate

    clips = clips_for(model.card, data, tuple(dict.fromkeys(frames)))
    with _Progress() as progress:
        results = evaluate(
            model,
            clips,
            batch_size=options.batch_size,
            workers=options.workers,
            progress=lambda done, total: progress("videos", done, total),
        )
    if not results[0].clips:
        raise ValueError(f"none of the {len(clips)} videos of {data} can be read: {results[0].unreadable[0]}")
    for reason in results[0].unreadable:
        print(f"skipped: {reason}", file=sys.stderr)
    if results[0].unreadable:
        print(f"{len(results[0].unreadable)} of {len(clips)} videos were skipped", file=sys.stderr)
    return results


def _accuracy_row(model: "FrameFlexible", result: "Result") -> dict[str, str]:
    from ffn.costs import cost

    return {
        "frames": str(result.num_frames),
        "branch": str(result.branch),
        **_top1(result.correct, result.clips),
        "clips": str(result.clips),
        "GMACs": f"{cost(model, result.num_frames).macs / 1e9:.4g}",
    }


def _budget(options: argparse.Namespace) -> None:
    from ffn.budget import Policy, choose, frontier, outcome, recorded
    from ffn.checkpoint import load
    from ffn.files import write_csv

    model = load(options.checkpoint).to(_device(options.device))
    frames = options.frames or model.frames
    chosen_on, reported_on = (
        recorded(model, _evaluated(model, data, frames, options)) for data in (options.validation, options.data)
    )
    with _Progress() as progress:
        found = frontier(chosen_on, progress=lambda done, total: progress("sequences of counts", done, total))
    chosen = choose(found, options.share * chosen_on.macs[-1])
    rows = {
        policy: _budget_row(outcome(policy, chosen_on), outcome(policy, reported_on), reported_on.macs[-1])
        for policy in (*(Policy((t,)) for t in chosen_on.counts), *(best.policy for best in found))
    }
    shown = [rows[Policy((t,))] for t in chosen_on.counts] + [rows[chosen.policy]]
    print(_table(list(shown[0]), [list(row.values()) for row in shown]))
    if options.csv:
        write_csv(options.csv, list(rows.values()))


def _budget_row(chosen: "Outcome", reported: "Outcome", longest: int) -> dict[str, str]:
    """What a policy gives where it was chosen, and where it is reported; MACs beside `longest`, those of one pass."""
    return {
        "frames in turn": " ".join(map(str, reported.policy.counts)),
        "until sure by": " ".join(f"{threshold:.4f}" for threshold in reported.policy.thresholds),
        "validation top-1 %": f"{100 * chosen.correct / chosen.clips:.2f}",
        **_top1(reported.correct, reported.clips),
        "frames": f"{reported.frames:.2f}",
        "GMACs": f"{reported.macs / 1e9:.4g}",
        "of the MACs %": f"{100 * reported.macs / longest:.1f}",
    }


def _top1(correct: int, clips: int) -> dict[str, str]:
    from ffn.evaluation import wilson

    low, high = (100 * bound for bound in wilson(correct, clips))
    return {"top-1 %": f"{100 * correct / clips:.2f}", "95 % interval": f"{low:.1f}-{high:.1f}"}


def _device(name: str) -> "torch.device":
    import torch

    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError):
        raise ValueError(f"there is no device {name!r} here; cpu always is") from None


def _extract(options: argparse.Namespace) -> None:
    from ffn.checkpoint import load, save
    from ffn.model import extract

    save(extract(load(options.checkpoint), options.frames, fold_norms=options.fold_norms), options.output)
    print(f"{options.output}: the {options.frames}-frame branch of {options.checkpoint}")


def _import(options: argparse.Namespace) -> None:
    from ffn.checkpoint import save
    from ffn.official import load_official

    model = load_official(options.file, options.architecture, options.frames)
    save(model, options.output)
    print(f"{model.card['title']}: {options.output}")


def _render(options: argparse.Namespace) -> None:
    from ffn import moving_shapes

    with _Progress() as progress:
        manifest = moving_shapes.prepare(
            options.split, options.root, progress=lambda done, total: progress("rendering", done, total)
        )
    print(manifest)


def _prepare(options: argparse.Namespace) -> None:
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
    print(
        _table(["manifest", "videos", "missing"], [[str(m.path), str(m.videos), str(len(m.missing))] for m in written])
    )


def _check(options: argparse.Namespace) -> None:
    from ffn.checking import check
    from ffn.lists import read_classes

    with _Progress() as progress:
        report = check(
            options.source,
            classes=read_classes(options.classes) if options.classes else None,
            sample=None if options.all else options.sample,
            workers=options.workers,
            seed=options.seed,
            progress=lambda done, total: progress("decoding", done, total),
        )
    for finding in report.findings:
        print(finding)
    if report.videos:
        print(f"videos   {report.videos:,}, of which {report.decoded:,} were decoded without fault")
        print(f"classes  {len(report.per_class):,} of {min(report.per_class)} to {max(report.per_class)} videos")
    if report.lengths:
        print(f"lengths  {min(report.lengths)} to {max(report.lengths)} frames, median {median(report.lengths):g}")
        sizes = sorted(report.sizes.items(), key=lambda item: -item[1])
        print(f"sizes    {', '.join(f'{w}x{h} ({count})' for (w, h), count in sizes[:5])}{', ...' * (len(sizes) > 5)}")
    if report.findings:
        raise ValueError(f"{options.source}: problems found: {len(report.findings)}")


def _report(options: argparse.Namespace) -> None:
    from ffn.files import replacing
    from workbench.report import of_checkpoint

    with _Progress(unit="clips") as progress:
        page = of_checkpoint(options.checkpoint, options.data, options.frames, options.at, report=progress)
    with replacing(options.output) as temporary:
        temporary.write_text(page, encoding="utf-8")
    print(f"wrote {options.output}")


def _reproduce(options: argparse.Namespace) -> None:
    what = {
        "demo": _reproduce_demo,
        "tables": _reproduce_tables,
        "normalisation": _reproduce_normalisation,
        "any-frame": _reproduce_any_frame,
    }
    what[options.experiment](options)


def _reproduce_demo(options: argparse.Namespace) -> None:
    from ffn.bundled import DEMO, demo, summary

    output = options.output or DEMO
    if not options.show:
        with _Progress() as progress:
            demo(output, only=options.only or (), report=progress)
    rows = summary(output)
    print("top-1 on the test clips, %, by number of frames")
    print(_table(list(rows[0]), [list(row.values()) for row in rows]))


def _reproduce_normalisation(options: argparse.Namespace) -> None:
    from ffn.files import read_csv
    from ffn.normalisation_gap import GAPS, normalisation_gap

    output = options.output or GAPS
    if not options.show:
        with _Progress(unit="clips") as progress:
            normalisation_gap(output, report=progress)
    print("TSM trained at 16 frames: top-1, points gained and share of the gap to a network trained at T, %")
    rows = [[row["num_frames"], row["way"], *_gains(row)] for row in read_csv(output)]
    print(_table(["frames", "way", *GAINS], rows))


def _gains(row: dict[str, str]) -> list[str]:
    """The three numbers of a row, each with the ends of its interval; a dash where there is no gap to share."""
    shown = {name: f"{row[name]} ({row[f'{name}_low']} to {row[f'{name}_high']})" for name in GAINS}
    return ["-" if row[name] == "nan" else shown[name] for name in GAINS]


def _reproduce_tables(options: argparse.Namespace) -> None:
    from ffn.results import RESULTS, TABLES, summary

    output = options.output or RESULTS
    wanted = options.only or list(TABLES)
    if unknown := set(wanted) - TABLES.keys():
        raise ValueError(f"there is no table {', '.join(sorted(unknown))}; there are {', '.join(TABLES)}")
    if not options.show:
        from ffn.reproduction import Reproduction

        with _Progress(unit="clips") as progress:
            Reproduction(output, device=options.device, report=progress).run(wanted, options.seeds)
    for table in wanted:
        if rows := summary(table, TABLES[table].counts, output):
            print(f"\n{TABLES[table].title}: top-1 on moving_shapes, %, by number of frames; last what the paper has")
            print(_table(list(rows[0]), [list(row.values()) for row in rows]))


def _reproduce_any_frame(options: argparse.Namespace) -> None:
    from ffn.policy_results import ANY_FRAME, gains, summary, verdict
    from ffn.results import read

    output = options.output or ANY_FRAME
    if not options.show:
        from ffn.policy_comparison import PolicyComparison
        from ffn.reproduction import Reproduction

        with _Progress(unit="clips") as progress:
            PolicyComparison(Reproduction(device=options.device, report=progress), output).run(options.seeds)
    found = read(output)
    tables = {
        "top-1 on the test split of moving_shapes, %, by number of frames; last what a policy is chosen by": summary,
        "what the chosen policy has over others of the same seed, points": gains,
    }
    for title, rows in ((title, table(found)) for title, table in tables.items()):
        print(title)
        print(_table(list(rows[0]), [list(row.values()) for row in rows]), end="\n\n")
    print(verdict(found))


class _Progress:
    """A tqdm bar that starts anew with other work; the last one stays."""

    def __init__(self, unit: str = "it") -> None:
        self.bar = tqdm(disable=True)
        self.unit = unit

    def __call__(self, name: str, done: int, total: int) -> None:
        if self.bar.disable or total != self.bar.total or done < self.bar.n:
            self.bar.leave = False
            self.bar.close()
            self.bar = tqdm(total=total, initial=done, desc=name, unit=self.unit)
        self.bar.set_description(name, refresh=False)
        self.bar.update(done - self.bar.n)

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their longest cell, flushed right but for words in the first."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].rjust(widths[0]) if header[0] == "frames" else cells[0].ljust(widths[0])
        return "  ".join([first, *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))])

    return "\n".join(map(line, [header, *rows]))
