"""Which networks `create_model` builds, and which of timm's it refuses."""

from fnmatch import fnmatch
from pathlib import Path

import timm

from ffn.architectures import ARCHITECTURES
from ffn.files import read_csv

TABLE = Path(__file__).with_suffix(".csv")  # one row per family, and one per refused model


def family(model: str) -> str:
    """The module of timm that defines `model`."""
    return timm.model_entrypoint(model).__module__.rpartition(".")[2]


def table() -> list[dict[str, str]]:
    """The rows of families.csv: family, model, params, reason. Written by `python tests/families.py`.

    Where there is no reason, `model` is the smallest of its family that can be converted; the tests prove it.
    """
    return read_csv(TABLE)


def list_models(pattern: str = "*") -> list[str]:
    """The architectures that `create_model` takes, those of the paper first; `pattern` as in a shell.

    Every model of timm in a family that the tests verify, but for those that are refused (`refusals`).
    """
    rows = table()
    verified = {row["family"] for row in rows if not row["reason"]}
    refused = {row["model"] for row in rows if row["reason"]}
    found = [name for name in timm.list_models() if family(name) in verified and name not in refused]
    return [name for name in (*ARCHITECTURES, *found) if fnmatch(name, pattern)]


def refusals() -> dict[str, str]:
    """Why each of timm's models that cannot be converted is refused."""
    return {row["model"]: row["reason"] for row in table() if row["reason"]}
