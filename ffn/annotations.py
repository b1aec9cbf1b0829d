"""What the annotations of the usual data sets say, as records by split and class names in the official order.

sthv1      something-something-v1-{train,validation,labels}.csv, folders of frames named by id
sthv2      something-something-v2-{train,validation,test,labels}.json, or without the long prefix; ID.webm
kinetics   CSV with label, youtube_id, time_start, time_end; YTID_000012_000022.mp4, in a folder of its class or not
hmdb51     CLASS_test_split{1,2,3}.txt
tsn        lists: `path num_frames label` or `path label`
"""

import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ffn.lists import DataError, Record, class_number, in_order, read_classes, read_list, read_text
from ffn.shelf import Shelf

Splits = dict[str, list[Record]]  # by the name of the split
Names = tuple[str, ...]

_LETTER = r"[^\W\d_]"
SPLIT = re.compile(  # a word of a file's name: `trainlist01`, `validate`, but neither `latest` nor `evaluation`
    rf"(?<!{_LETTER})(train|val|test)(?:ing|idation|idate)?(?:lists?|set|split)?(?![a-z])"
)


def _something_v1(paths: Sequence[Path], shelf: Shelf, names: Names | None, _: int) -> tuple[Splits, Names]:
    names = names or read_classes(_one(paths, "labels.csv"))
    splits = {"train": _one(paths, "train.csv"), "val": _one(paths, "validation.csv")}
    found = {split: [*_semicolons(path, shelf)] for split, path in splits.items()}
    return _checked(found, names), names


def _something_v2(paths: Sequence[Path], shelf: Shelf, names: Names | None, _: int) -> tuple[Splits, Names]:
    names = names or _numbered(_one(paths, "labels.json"))
    splits = {"train": _one(paths, "train.json"), "val": _one(paths, "validation.json")}
    found = {split: [*_templates(path, shelf)] for split, path in splits.items()}
    if answers := _some(paths, "test-answers.csv"):  # test.json alone has no labels
        found["test"] = [*_semicolons(answers[0], shelf)]
    return _checked(found, names), names


def _kinetics(paths: Sequence[Path], shelf: Shelf, names: Names | None, split: int) -> tuple[Splits, Names]:
    files = _by_split(paths, (".csv", ".txt"))
    if not all("youtube_id" in read_text(path).partition("\n")[0] for path in files.values()):
        return _lists(paths, shelf, names, split)
    found: Splits = {}  # none of a split without labels, as that of the test
    for name, path in files.items():
        for own, record in _clips_of_youtube(path, shelf):
            found.setdefault(_split_of(path.stem) or own or name, []).append(record)
    names = names or tuple(sorted({record.label for records in found.values() for record in records}))
    return _checked(_of_their_classes(found, shelf), names), names


def _hmdb51(paths: Sequence[Path], shelf: Shelf, names: Names | None, split: int) -> tuple[Splits, Names]:
    ending = f"_test_split{split}.txt"
    files = sorted(_some(paths, ending))
    if not files:
        raise DataError(f"{paths[0]} has no files like CLASS{ending}; the splits of HMDB51 are 1, 2 and 3")
    found: Splits = {"train": [], "test": []}
    for path in files:
        label = path.name.removesuffix(ending)
        for number, line in enumerate(read_text(path).splitlines(), start=1):
            name, _, part = line.replace("\t", " ").strip().rpartition(" ")
            if line.strip() and (not name or part not in ("0", "1", "2")):
                raise DataError(f"{path}, line {number}: expected `video 0`, 1 or 2, got {line.strip()[:80]!r}")
            if part in ("1", "2"):  # 0 is in neither
                stem = Path(name.strip()).stem
                found["train" if part == "1" else "test"].append(shelf.find(label, f"{label}/{stem}", stem))
    names = names or tuple(path.name.removesuffix(ending) for path in files)
    return _checked(_of_their_classes(found, shelf), names), names


def _lists(paths: Sequence[Path], shelf: Shelf, names: Names | None, _: int) -> tuple[Splits, Names]:
    listings = {split: (path, read_list(path)) for split, path in _by_split(paths, (".txt", ".csv")).items()}
    found = {
        split: [_on(shelf, path.parent, record) for record in listing.records]
        for split, (path, listing) in listings.items()
    }
    if names is None:
        known = {name for _, listing in listings.values() for name in listing.classes}
        longest = max((listing.classes for _, listing in listings.values()), key=len)
        names = longest if known == set(longest) else tuple(in_order(known))
    return _checked(found, names), names


# annotation files, what is there, class names if given, which of several divisions -> records by split, class names
FORMATS: dict[str, Callable[[Sequence[Path], Shelf, Names | None, int], tuple[Splits, Names]]] = {
    "sthv1": _something_v1,
    "sthv2": _something_v2,
    "kinetics": _kinetics,
    "hmdb51": _hmdb51,
    "tsn": _lists,
}


def _semicolons(path: Path, shelf: Shelf) -> Iterator[Record]:
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        name, _, label = line.strip().partition(";")
        if line.strip() and not label:
            raise DataError(f"{path}, line {number}: expected `id;label`, got {line[:80]!r}")
        if label:
            yield shelf.find(label, name)


def _numbered(path: Path) -> Names:
    """The names of a file that gives each its number, in that order."""
    numbers = _json(path)
    if not isinstance(numbers, dict) or not numbers:
        raise DataError(f'{path} must give every class its number, as in {{"Pushing something": "0"}}')
    if strange := [name for name, number in numbers.items() if not str(number).isdecimal()]:
        raise DataError(f"{path}: the class {strange[0]!r} has no number but {json.dumps(numbers[strange[0]])}")
    names = {int(number): name for name, number in numbers.items()}
    if len(names) < len(numbers):
        name = next(name for name, number in numbers.items() if names[int(number)] != name)
        raise DataError(f"{path}: {name!r} and {names[int(numbers[name])]!r} have one number, {numbers[name]}")
    return tuple(names[number] for number in sorted(names))


def _templates(path: Path, shelf: Shelf) -> Iterator[Record]:
    entries = _json(path)
    if not isinstance(entries, list):
        raise DataError(f"{path} must be a list of entries with id and template")
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict) or "id" not in entry or not isinstance(entry.get("template"), str):
            raise DataError(f"{path}, entry {number}: expected the keys id and template, a sentence")
        yield shelf.find(re.sub(r"[\[\]]", "", entry["template"]), str(entry["id"]))


def _clips_of_youtube(path: Path, shelf: Shelf) -> Iterator[tuple[str, Record]]:
    """The clips that have a label, and the split that the file gives each, "" where it gives none."""
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), skipinitialspace=True)
    for line, row in enumerate(_rows_of(reader, path), start=2):
        if not any(row.values()):
            continue
        try:
            start, end = (int(float(row[key])) for key in ("time_start", "time_end"))
        except (KeyError, TypeError, ValueError, OverflowError):
            raise DataError(f"{path}, line {line}: expected numbers of seconds as time_start and time_end") from None
        if label := row.get("label"):
            clip = f"{row['youtube_id']}_{start:06d}_{end:06d}"
            folders = (label, label.replace(" ", "_"))
            record = shelf.find(label, *(f"{folder}/{clip}" for folder in folders), clip, row["youtube_id"])
            yield _split_of(row.get("split") or ""), record


def _rows_of(reader: "csv.DictReader[str]", path: Path) -> Iterator[dict[str, str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise DataError(f"{path} is not a CSV text file ({error})") from None


def _split_of(name: str) -> str:
    """The split that is a word of a name; "" if there is none."""
    match = SPLIT.search(name)
    return match[1] if match else ""


def _on(shelf: Shelf, folder: Path, record: Record) -> Record:
    """A record of a list in `folder`, whose paths are relative to the shelf, or else to the list, or absolute."""
    near = record.path.is_relative_to(folder)
    path = shelf.root / (record.path.relative_to(folder) if near else record.path)
    there = shelf.at(path) or shelf.at(record.path.absolute()) or shelf.at(Path(os.path.realpath(record.path)))
    if not there:
        return replace(record, path=path, num_frames=None)
    return replace(there, label=record.label, num_frames=record.num_frames if there.template else None)


def _of_their_classes(splits: Splits, shelf: Shelf) -> Splits:
    """The records; one that was found by its name alone, but in the folder of another class, is not on the shelf."""
    labels = {record.label for records in splits.values() for record in records}
    owners = {folder: label for label in labels for folder in (label, label.replace(" ", "_"))}

    def own(record: Record) -> Record:
        folder = record.path.parent
        if folder == shelf.root or owners.get(folder.name, record.label) == record.label:
            return record
        return Record(shelf.root / record.label / record.path.name, record.label)

    return {split: [own(record) for record in records] for split, records in splits.items()}


def _checked(splits: Splits, names: Names) -> Splits:
    """The records with the names of their classes."""
    labels = {record.label for records in splits.values() for record in records}
    numbers = {label: class_number(label, names) for label in labels}
    unknown = sorted(label for label, number in numbers.items() if number is None)
    if unknown:
        raise DataError(
            f"{len(unknown)} labels of the annotations are not among the {len(names)} classes: {', '.join(unknown[:3])}"
        )
    named = {label: names[number] for label, number in numbers.items() if number is not None}
    return {
        split: [replace(record, label=named[record.label]) for record in records] for split, records in splits.items()
    }


def _json(path: Path) -> Any:
    try:
        return json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}") from None


def _some(paths: Sequence[Path], ending: str) -> list[Path]:
    """Annotation files with an ending, among the paths or in the folders."""
    files = (file for path in paths for file in (path.iterdir() if path.is_dir() else [path]))
    wanted = (file for file in files if file.name.endswith(ending) and not file.name.startswith("."))
    return sorted(file for file in wanted if file.is_file())


def _one(paths: Sequence[Path], ending: str) -> Path:
    found = _some(paths, ending)
    if len(found) != 1:
        raise DataError(
            f"the annotations at {', '.join(map(str, paths))} must have one file ...{ending}, found {len(found)}"
        )
    return found[0]


def _by_split(paths: Sequence[Path], suffixes: tuple[str, ...]) -> dict[str, Path]:
    """Annotation files by the split that is a word of their name; one that is named but tells none gives its own."""
    found: dict[str, Path] = {}
    for path in sorted(
        {file for suffix in suffixes for file in _some(paths, suffix)} | {p for p in paths if p.is_file()}
    ):
        split = _split_of(path.stem) or (path.stem if path in paths else "")
        if split in found:
            raise DataError(f"both {found[split]} and {path} are for {split}; name the files, one for each split")
        if split:
            found[split] = path
    if not found:
        raise DataError(
            f"{', '.join(map(str, paths))}: found no files with train, val or test in their names; "
            "one that tells no split is taken if it is named itself"
        )
    return found
