"""Whose a training run's folder is: that of one config and, while it trains, of one process."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, get_origin

from ffn.experiment import Experiment
from ffn.files import clear_remains, replacing

try:
    import fcntl
except ImportError:  # no such locks on Windows
    fcntl = None  # type: ignore[assignment]

CONFIG, STATE, ROWS, LAST = "config.json", "state.pt", "rows.csv", "last.safetensors"
PATIENCE = 10.0  # seconds for another process to leave the folder
ANYWHERE = ("workers", "cache", "capture")  # with other values of these a run goes on to the same end
MOVABLE = ("data", "validation", "init")  # and these may be at another place: the state tells whether they are the same


class RunError(ValueError):
    """A folder that cannot take this run, with the way out."""


def read_config(folder: Path) -> Experiment:
    """The config of the run in `folder`.

    Raises:
        RunError: when there is none, or it cannot be read.
    """
    path = folder / CONFIG
    try:
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(stored, dict):
            raise TypeError("it has no settings")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
        for field in (f for f in fields(Experiment) if f.name in values):
            _check_type(field.name, values[field.name], field.type)
        return Experiment(**values)
    except FileNotFoundError:
        raise RunError(f"{folder} holds no run; leave out --resume to start one there") from None
    except (TypeError, ValueError) as error:
        raise RunError(f"{path} is no config of a run: {error}") from None


def _check_type(name: str, value: Any, annotated: Any) -> None:
    kind = get_origin(annotated) or annotated
    if not isinstance(value, (int, float) if kind is float else kind) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{name} cannot be {json.dumps(value)}")


def check_folder(experiment: Experiment, folder: Path, *, resume: bool) -> None:
    """Finds that `folder` is free for this run, or its own already.

    Raises:
        RunError: when it belongs to another run, or to this one and `resume` is not set.
    """
    if not folder.is_dir():
        if blocked := next((path for path in (folder, *folder.parents) if path.exists() and not path.is_dir()), None):
            raise RunError(f"{folder} cannot be the run's folder: {blocked} is a file; choose another")
        return
    if not (folder / STATE).exists() and not any(folder.glob("*.safetensors")):  # nothing was trained there yet
        _check_untouched(folder)
        return
    if not (folder / CONFIG).exists():
        raise RunError(f"{folder} holds checkpoints but no run; choose another folder")
    others, moved = _differences(read_config(folder).settings(), experiment.settings(), "{} is {} there and {} here")
    if others:
        raise RunError(
            f"{folder} belongs to another config ({'; '.join(others)}); choose another folder, "
            "or go on with that run by --resume and no other settings; what is trained can begin another by "
            f"--init {folder / LAST}"
        )
    if not (folder / STATE).exists():
        raise RunError(
            f"{folder} holds what a run trained, but no {STATE} to go on from; remove the folder to start anew, "
            f"or begin another run in another folder by --init {folder / LAST}"
        )
    if not resume:
        elsewhere = f" ({'; '.join(moved)})" if moved else ""
        same = " if that is the same" if moved else ""
        raise RunError(
            f"{folder} holds this run already{elsewhere}; --resume goes on with it{same}, or choose another folder"
        )


def check_unedited(experiment: Experiment, folder: Path, begun_with: dict[str, Any]) -> None:
    """Finds that the config in `folder` is the one that its run began with.

    Raises:
        RunError: when somebody wrote another into it.
    """
    others, _ = _differences({**experiment.settings(), **begun_with}, experiment.settings(), "{} was {} and is {}")
    if others:
        raise RunError(
            f"{folder / CONFIG} is not what the run began with ({'; '.join(others)}); put that back, "
            f"or begin another run in another folder by --init {folder / LAST}"
        )


def _differences(there: dict[str, Any], here: dict[str, Any], wording: str) -> tuple[list[str], list[str]]:
    """What keeps two configs from being one run, and what of the same run lies elsewhere, in words."""
    texts = {
        name: wording.format(name, *_short(str(there[name]), str(value)))
        for name, value in here.items()
        if there[name] != value and name not in ANYWHERE
    }
    moved = {name for name in texts.keys() & set(MOVABLE) if there[name] and here[name]}
    return [text for name, text in texts.items() if name not in moved], [texts[name] for name in texts if name in moved]


def _check_untouched(folder: Path) -> None:
    """Finds that a run would overwrite nothing in `folder` but what another left there before it began."""
    if (folder / CONFIG).exists():
        try:
            read_config(folder)
        except RunError as error:
            raise RunError(f"{error}; choose another folder for the run") from None
    elif (folder / ROWS).exists():
        raise RunError(f"{folder / ROWS} is of no run; choose another folder for the run")


@contextmanager
def settled(experiment: Experiment, folder: Path, *, resume: bool) -> Iterator[None]:
    """While this lasts, `folder` is the place of this run and no other process is there."""
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        check_folder(experiment, folder, resume=resume)  # anew: another may have begun in the meantime
        clear_remains(folder)
        yield


def write_config(experiment: Experiment, folder: Path) -> None:
    """The config of the run in `folder` from now on."""
    with replacing(folder / CONFIG) as temporary:
        temporary.write_text(json.dumps(experiment.settings(), indent=1), encoding="utf-8")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Locks `folder`; workers that decode hold the lock of a killed process for some seconds more."""
    if not fcntl:
        yield
        return
    descriptor, end = os.open(folder, os.O_RDONLY), time.monotonic() + PATIENCE
    try:
        while not _locked(descriptor):
            if time.monotonic() > end:
                raise RunError(f"another process is training in {folder}; let it end, or end it")
            time.sleep(0.2)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # this file system locks no folders
    return True


def _short(*texts: str, most: int = 40) -> list[str]:
    """The texts; of long ones the part where they differ."""
    differ = next((i for i, letters in enumerate(zip(*texts, strict=False)) if len(set(letters)) > 1), 0)
    start = max(0, differ - most // 2) if max(map(len, texts)) > most else 0
    parts = [text[start : start + most] for text in texts]
    return [
        f"{'...' * bool(start)}{part}{'...' * (len(text) > start + most)}"
        for part, text in zip(parts, texts, strict=True)
    ]
