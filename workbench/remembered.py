"""What slow analyses have given, remembered on disk by the content of what they were given.

A file is named after the analysis and a hash of its networks, clips and options (`ffn.fingerprint`), the analysis' own
source, the sources of `ffn` and `workbench.analysis`, and the versions of what computes and decodes. A change to any of
them makes it start anew: a line that did not matter costs one more computation, one that did would cost the truth.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from importlib.metadata import PackageNotFoundError, version
from inspect import getsourcefile, signature, unwrap
from pathlib import Path
from platform import python_version
from typing import ParamSpec, TypeVar

import ffn
from ffn.eviction import surplus, touch
from ffn.files import cache_folder
from ffn.fingerprints import fingerprint
from workbench.stored import read, write

P = ParamSpec("P")
R = TypeVar("R")
LIMIT = 2**30  # bytes of all that is remembered
IDLE = ("progress", "stage", "report", "workers")  # arguments that decide nothing but when and where it is done
PACKAGES = ("torch", "torchvision", "timm", "numpy", "pandas", "scipy", "scikit-learn", "decord", "eva-decord", "av")


def remembered(analysis: Callable[P, R]) -> Callable[P, R]:
    """`analysis`, which gives what `workbench.stored` can write, computed once for the same content and code.

    What is remembered is exactly what was computed. A damaged file counts as missing; a disk that takes none is no
    error; arguments that have no content to go by, such as an `engine`, are computed with anew.
    """
    about = signature(analysis)
    name = f"{analysis.__module__}.{analysis.__qualname__}"
    code = (name, _sources(Path(getsourcefile(unwrap(analysis)) or "")), *CODE)

    @wraps(analysis)
    def recall(*args: P.args, **kwargs: P.kwargs) -> R:
        given = about.bind(*args, **kwargs)
        given.apply_defaults()
        try:
            key = fingerprint(code, {way: value for way, value in given.arguments.items() if way not in IDLE})
        except ValueError:
            return analysis(*args, **kwargs)
        path = folder() / f"{name}-{key}.npz"
        found: list[R] = []
        with suppress(Exception):  # whatever is wrong with the file, its value can be computed
            found.append(read(path))
            touch(path)
        return found[0] if found else _kept(path, analysis(*args, **kwargs))

    return recall


def folder() -> Path:
    """Where the files are."""
    return cache_folder() / "analysis"


def _kept(path: Path, value: R) -> R:
    with suppress(OSError):
        write(path, value)
        for old in surplus(path.parent.glob("*.npz"), LIMIT):
            os.remove(old)
    return value


def _sources(*paths: Path) -> str:
    return fingerprint([path.read_text(encoding="utf-8") for path in paths])


def _versions() -> list[str]:
    found = [f"python {python_version()}"]
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found.append(f"{package} {version(package)}")
    return found


def _code() -> tuple[str, ...]:
    """Of what is imported now: read later, it might say less than the truth of a process that runs on."""
    library = Path(ffn.__file__).parent
    here = Path(__file__)
    files = [*library.rglob("*.py"), *(here.parent / "analysis").rglob("*.py"), here, here.with_name("stored.py")]
    return (_sources(*sorted(files)), *_versions())


CODE = _code()
