"""Manifests of the usual data sets, made of their annotations and of what is on the disk."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from ffn.annotations import FORMATS, Splits
from ffn.files import replacing, write_csv
from ffn.lists import CLASSES, DataError, Record, check_names, read_classes, some
from ffn.shelf import Shelf
from ffn.video import TEMPLATE


@dataclass(frozen=True)
class Manifest:
    """One written manifest, and the videos that its annotations name but the disk lacks."""

    path: Path
    videos: int
    missing: tuple[str, ...]


def prepare(
    form: str,
    annotations: Sequence[Path],
    videos: Path,
    output: Path,
    *,
    classes: Path | None = None,
    template: str = "",
    split: int = 1,
    allow_missing: bool = False,
) -> list[Manifest]:
    """Writes a manifest for every split that the annotations label, and `classes.txt`, into the folder `output`.

    Args:
        form: one of `FORMATS`.
        annotations: the files, or a folder of them.
        videos: the folder of the videos or extracted frames.
        classes: a file with the names behind the numbers of a list, one a line.
        template: of the names of extracted frames; by default what each folder shows.
        split: which of the three of HMDB51.
        allow_missing: leave out what the disk lacks.

    Raises:
        DataError: when annotations are missing or cannot be understood, or videos are missing.
    """
    if form not in FORMATS:
        raise DataError(f"there is no format {form!r}; there are {', '.join(FORMATS)}")
    if absent := [path for path in annotations if not path.expanduser().exists()]:
        raise DataError(f"no such file or folder of annotations: {absent[0]}")
    if template and not TEMPLATE.fullmatch(template):
        raise DataError(f"the template must be like {{:05d}}.jpg, got {template}")
    shelf = Shelf(videos.resolve(), template)
    names = read_classes(classes) if classes else None
    splits, names = FORMATS[form]([path.expanduser() for path in annotations], shelf, names, split)
    there = {name: [record for record in records if shelf.at(record.path)] for name, records in splits.items()}
    check_names(chain.from_iterable(there.values()))
    missing = {name: _missing(records, shelf) for name, records in splits.items()}
    _check_missing(splits, missing, f"{shelf.root}{template and f', in frames like {template},'}", allow_missing)
    clash = [output / f"{name}.csv" for name in splits if (output / f"{name}.csv").resolve() in _files(annotations)]
    if clash:
        raise DataError(f"{clash[0]} would overwrite the annotations; choose another --output")
    with replacing(output / CLASSES) as temporary:
        temporary.write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    for name, records in there.items():
        write_csv(output / f"{name}.csv", _rows(records, output.resolve()))
    return [Manifest(output / f"{name}.csv", len(there[name]), missing[name]) for name in splits]


def _files(annotations: Sequence[Path]) -> set[Path]:
    return {file.resolve() for path in annotations for file in ([*path.iterdir()] if path.is_dir() else [path])}


def _missing(records: Sequence[Record], shelf: Shelf) -> tuple[str, ...]:
    return tuple(record.path.name for record in records if not shelf.at(record.path))


def _check_missing(splits: Splits, missing: dict[str, tuple[str, ...]], place: str, allowed: bool) -> None:
    lacking = [name for names in missing.values() for name in names]
    total = sum(map(len, splits.values()))
    empty = [name for name, records in splits.items() if len(missing[name]) == len(records)]
    if lacking and (empty or not allowed):
        raise DataError(
            f"{place} lacks {len(lacking):,} of the {total:,} videos that the annotations name ({some(lacking)}); "
            + (f"nothing is left for {empty[0]}" if empty and allowed else "fetch them, or pass --allow-missing")
        )
    if empty or not splits:
        raise DataError(f"the annotations label no videos{f' for {empty[0]}' if empty else ''}")


def _rows(records: Sequence[Record], folder: Path) -> list[dict[str, Any]]:
    framed = any(record.template for record in records)
    rows = []
    for record in records:
        near = record.path.is_relative_to(folder)
        path = record.path.relative_to(folder) if near else record.path
        frames: dict[str, Any] = {"num_frames": record.num_frames, "template": record.template} if framed else {}
        rows.append({"path": path.as_posix(), "label": record.label, **frames})
    return rows
