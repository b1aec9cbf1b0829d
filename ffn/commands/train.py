"""`ffn train`: a run of an experiment, in one process or several."""

import argparse
import json
import sys
from dataclasses import MISSING, Field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin

from tqdm import tqdm

from ffn.commands import Commands, path
from ffn.commands.formatting import flat
from ffn.commands.networks import device
from ffn.commands.progress_bar import ProgressBar

if TYPE_CHECKING:
    from ffn.experiment import Experiment


def add(commands: Commands) -> None:
    parser = commands.add_parser(
        "train",
        help="train a network; in several processes with `accelerate launch -m ffn train ...`",
        description="Explicit settings come before those of the recipe, and these before the defaults.",
    )
    parser.add_argument("-o", "--output", type=path, required=True, help="the run's folder")
    parser.add_argument("--resume", action="store_true", help="go on with the run in the folder, if there is one")
    parser.add_argument("--device", help="default: a GPU where there is one, else cpu")
    parser.set_defaults(command=run)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """One option for every field of a config, which needs torch; what is not given is absent."""
    import numpy as np  # noqa: F401, as it is here and not by torch, which swallows a Ctrl-C meanwhile

    from ffn.experiment import Experiment
    from ffn.recipes import RECIPES

    parser.add_argument("--recipe", help=f"settings of the paper, by name: {', '.join(RECIPES)}")
    for setting in fields(Experiment):
        default = "" if setting.default is MISSING else f" (default: {flat(setting.default) or 'none'})"
        flag = f"--{setting.name.replace('_', '-')}"
        why = setting.metadata["why"] + default
        parser.add_argument(flag, default=argparse.SUPPRESS, help=why, **_reading(setting))


def _reading(setting: Field[Any]) -> dict[str, Any]:
    """How argparse reads a value of the setting's type."""
    if setting.type is bool:
        return {"action": argparse.BooleanOptionalAction}
    if setting.type == dict[str, Any]:
        return {"type": _json, "metavar": "JSON"}
    if get_origin(setting.type) is tuple:
        return {"type": get_args(setting.type)[0], "nargs": "*", "action": "extend"}
    return {"type": setting.type}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'expected JSON such as {{"drop_rate": 0.5}}, got {text!r}') from None


def run(options: argparse.Namespace) -> None:
    from ffn import runs
    from ffn.distribution import engine

    experiment = _experiment(options)
    with engine() as shared, ProgressBar(unit="clips") as progress:
        if shared and options.device:
            raise ValueError("several processes share out the devices themselves; leave out --device")
        speaks = shared is None or shared.is_main_process
        where = shared.device if shared else device(options.device or _best_device())
        for vain in (*experiment.idle(_given(options)), *experiment.unsupported(where)) if speaks else ():
            print(f"ffn train: {vain}", file=sys.stderr)
        training = runs.run(
            experiment, options.output, resume=options.resume, device=where, engine=shared, report=progress
        )
        row = None
        for row in training:
            if speaks:
                tqdm.write(_epoch(experiment, row), file=sys.stdout)
    if speaks and not row:
        print(f"all {experiment.epochs} epochs were done before")
    if speaks:
        print(options.output)


def _experiment(options: argparse.Namespace) -> "Experiment":
    """The config that the options ask for: explicit ones, then the recipe's or those of the run that goes on."""
    from ffn.experiment import Experiment
    from ffn.recipes import RECIPES
    from ffn.run_folder import CONFIG, read_config

    given = _given(options)
    for name in ("data", "validation", "init"):
        if given.get(name):
            given[name] = str(Path(given[name]).expanduser().absolute())  # a list has its videos beside the link
    if options.recipe and options.recipe not in RECIPES:
        raise ValueError(f"there is no recipe {options.recipe!r}; there are {', '.join(RECIPES)}")
    recipe = RECIPES[options.recipe] if options.recipe else {}
    if isinstance(given.get("model_options"), dict):
        given["model_options"] = {**recipe.get("model_options", {}), **given["model_options"]}
    given = {**recipe, **given}
    if options.resume and (options.output / CONFIG).exists():
        return _found(replace(read_config(options.output), **given))
    if not given.get("data"):
        raise ValueError(_without_data(options.output, resume=options.resume))
    return Experiment(**given)


def _found(experiment: "Experiment") -> "Experiment":
    """The experiment of a run that goes on; `ValueError` where its data has moved."""
    for name in ("data", "validation"):
        place = getattr(experiment, name)
        if place and not Path(place).exists():
            raise ValueError(f"{place}, the {name} of this run, is not there any more; --{name} says where it is now")
    return experiment


def _without_data(folder: Path, *, resume: bool) -> str:
    """What whoever asks for a training in `folder` without naming data is told."""
    from ffn.run_folder import CONFIG

    if (folder / CONFIG).exists():
        return f"{folder} holds a run; --resume goes on with it, or choose another folder"
    none = f"{folder} holds no run to go on with; " if resume else ""
    return f"{none}--data must say which videos to train on: a folder of class/video files, a manifest or a list"


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """The explicit settings."""
    from ffn.experiment import Experiment

    given = {f.name: getattr(options, f.name) for f in fields(Experiment) if hasattr(options, f.name)}
    return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


def _best_device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _epoch(experiment: "Experiment", row: dict[str, Any]) -> str:
    """One epoch in one line."""
    losses = ", ".join(f"{t}: {row[f'loss_{t}']:.4f}" for t in experiment.shown if row[f"loss_{t}"] is not None)
    validated = ", ".join(f"{t}: {row[f'val_{t}']:.2f}" for t in experiment.validated if f"val_{t}" in row)
    validation = f"; validation top-1 % at frames {validated}" if validated else ""
    skipped = f"; unreadable videos: {row['unreadable']} (see ffn data check)" if row["unreadable"] else ""
    return f"epoch {row['epoch']}/{experiment.epochs}: loss at frames {losses}{validation}{skipped}"
