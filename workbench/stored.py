"""Tables and records as files: arrays as they are, the rest as JSON, in one .npz file; nothing is ever unpickled."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ffn.files import replacing
from ffn.fingerprints import PLAIN

PACKAGES = ("ffn.", "workbench.")  # whose dataclasses are records
Packed = tuple[str, Any]  # the kind of a value, and the rest as JSON


def write(path: Path, value: Any) -> None:
    """Writes tables, arrays, dataclasses of this project, mappings, sequences and plain values, whole or not at all.

    Raises:
        ValueError: for anything else, and for tables with an index or columns of neither numbers nor text.
    """
    arrays: dict[str, np.ndarray] = {}
    packed = json.dumps(_pack(value, arrays))
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, packed=np.array(packed), **arrays)  # type: ignore[arg-type]


def read(path: Path) -> Any:
    """What was written, every type as it was.

    Raises:
        Exception: of any kind, when the file is not what `write` left.
    """
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        return _unpack(json.loads(arrays["packed"].item()), arrays)


def _pack(value: Any, arrays: dict[str, np.ndarray]) -> Packed:
    if type(value) in PLAIN:
        return "plain", value
    if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
        name = str(len(arrays))
        arrays[name] = np.asarray(value)
        return "array" if isinstance(value, np.ndarray) else "number", name
    if isinstance(value, pd.DataFrame):
        return "table", _columns(value, arrays)
    if isinstance(value, Mapping):
        return "mapping", [[_pack(key, arrays), _pack(item, arrays)] for key, item in value.items()]
    if type(value) in (list, tuple):
        return type(value).__name__, [_pack(item, arrays) for item in value]
    if is_dataclass(value) and type(value).__module__.startswith(PACKAGES):
        inside = {field.name: _pack(getattr(value, field.name), arrays) for field in fields(value)}
        return "record", [type(value).__module__, type(value).__qualname__, inside]
    raise ValueError(f"a {type(value).__name__} cannot be stored; tables, arrays, records and plain values can")


def _columns(table: pd.DataFrame, arrays: dict[str, np.ndarray]) -> list[list[Any]]:
    if not table.index.equals(pd.RangeIndex(len(table))):
        raise ValueError("a table with an index cannot be stored; call reset_index() first")
    return [[name, str(column.dtype), _pack(_values(column), arrays)] for name, column in table.items()]


def _values(column: pd.Series) -> np.ndarray | list[Any]:
    """The numbers of a column as an array, text as a list in which None is missing."""
    if isinstance(column.dtype, np.dtype) and not column.dtype.hasobject:
        return column.to_numpy()
    values = [None if pd.isna(value) else value for value in column]
    if not all(isinstance(value, str | None) for value in values):
        raise ValueError(f"the column {column.name} of a table is neither numbers nor text, and cannot be stored")
    return values


def _unpack(packed: Packed, arrays: Mapping[str, np.ndarray]) -> Any:
    kind, inside = packed
    return _KINDS[kind](inside, arrays)


def _table(columns: list[Any], arrays: Mapping[str, np.ndarray]) -> pd.DataFrame:
    return pd.DataFrame({name: pd.Series(_unpack(values, arrays), dtype=kind) for name, kind, values in columns})


def _record(about: list[Any], arrays: Mapping[str, np.ndarray]) -> Any:
    module, name, inside = about
    record: Any = getattr(import_module(module), name) if module.startswith(PACKAGES) else None
    if not (isinstance(record, type) and is_dataclass(record)):
        raise ValueError(f"{module}.{name} is no record of this project")
    return record(**{field: _unpack(value, arrays) for field, value in inside.items()})


_KINDS: dict[str, Callable[[Any, Mapping[str, np.ndarray]], Any]] = {
    "plain": lambda value, arrays: value,
    "array": lambda name, arrays: arrays[name],
    "number": lambda name, arrays: arrays[name][()],
    "table": _table,
    "mapping": lambda pairs, arrays: {_unpack(key, arrays): _unpack(item, arrays) for key, item in pairs},
    "list": lambda items, arrays: [_unpack(item, arrays) for item in items],
    "tuple": lambda items, arrays: tuple(_unpack(item, arrays) for item in items),
    "record": _record,
}
