"""Which videos there are and what they show: folders, manifests and the usual lists, in one form.

A folder        class/video.mp4, or class/clip/00001.jpg: extracted frames; hidden files and folders aside
A manifest      CSV with the columns path, label and, where known, num_frames, template, frames_sha256
A TSN list      `path num_frames label` per line
A video list    `path label` per line
Lists separate by spaces, commas or tabs; labels are numbers or names; paths are relative to the list. Names that look
alike are one: file systems write an accent as a part of its letter, or after it.
"""

import csv
import hashlib
import io
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Any

from ffn.video import TEMPLATE, count_frames, is_clip_folder, template_of

SUFFIXES = (".mp4", ".webm", ".mkv", ".avi", ".mov", ".m4v", ".ts", ".mpg", ".mpeg")
CLASSES = "classes.txt"  # beside a manifest or list: the names of its classes, in the order of the network's outputs
MOST_CLASSES = 100_000  # a number beyond that is no label

_NUMBER = re.compile(r"-?\d+")
_LINE_END = re.compile(rb"\r\n?|\n")
_GAP = r"\s*[\s,]\s*"
_SEVERAL = re.compile(rf"{_NUMBER.pattern}({_GAP}{_NUMBER.pattern})+")  # labels
_VIDEO = rf".+?\.(?:{'|'.join(suffix[1:] for suffix in SUFFIXES)})"
_LINES = tuple(  # what a line of a list may be, the surest first: paths and names may hold spaces
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?P<path>{_VIDEO}){_GAP}(?P<num_frames>\d+){_GAP}(?P<label>-?\d+)",
        rf"(?P<path>{_VIDEO}){_GAP}(?P<label>.+)",
        rf"(?P<path>.+){_GAP}(?P<num_frames>\d+){_GAP}(?P<label>-?\d+)",
        rf"(?P<path>.+?){_GAP}(?P<num_frames>\d+){_GAP}(?P<label>.+)",
        rf"(?P<path>.+){_GAP}(?P<label>[^\s,]+)",
    )
)


class DataError(ValueError):
    """A folder, list or label that cannot be used, with the way out."""


@dataclass(frozen=True)
class Record:
    """One labelled video: a file, or a folder of extracted frames."""

    path: Path
    label: str
    content: str = ""  # hash of the frames before encoding, "" if unknown
    num_frames: int | None = None  # as the list says
    template: str = ""  # of the names of extracted frames, such as "{:05d}.jpg"; "" for what the folder shows

    def fingerprint(self) -> str:
        """The hash of the frames before encoding, or else of the first and last 64 KiB and the size of what is there.

        Of extracted frames it takes the names of all, and the first and last file; and which of them are the video, if
        the list says other ones than the folder shows.
        """
        names = [entry.name for entry in _files(self.path)]
        content = self.content or (_of_frames(self.path, names) if names else _fingerprint(self.path))
        chosen = self._chosen(names) if os.path.exists(self.path) else ""
        return hashlib.sha256(f"{content}\n{chosen}".encode()).hexdigest() if chosen else content

    def state(self) -> str:
        """Changes when a file is replaced, whatever it holds; "" where the hash of the frames tells of changes."""
        if self.content:
            return ""
        files = [self.path] if os.path.isfile(self.path) else _files(self.path)
        states = [(file.name, info.st_size, info.st_mtime_ns) for file in files for info in [file.stat()]]
        return hashlib.sha256(repr(states).encode(errors="surrogateescape")).hexdigest()

    def _chosen(self, names: Sequence[str]) -> str:
        """Which of these files the list says are the frames; "" where it says what they show, or of a video file."""
        shown = template_of(names)
        template = self.template or shown
        count = self.num_frames if template and self.num_frames else count_frames(names, template)
        return "" if (template, count) == (shown, count_frames(names, shown)) else f"{template} {count}"


@dataclass(frozen=True)
class Listing:
    """The videos of one source, in its order, and the names of their classes in the order of a network's outputs."""

    records: list[Record]
    classes: tuple[str, ...]


def read_list(source: Path, classes: Sequence[str] | None = None) -> Listing:
    """The videos that a folder, manifest or list names.

    The classes are the given ones; or those of `classes.txt` beside a list or manifest; or else the labels: the names
    sorted, or all numbers of a list up to the highest, or the numbers that a manifest has. Where a list or manifest has
    numbers for labels, they count the names in `classes.txt`, or where there is none the given ones.

    Raises:
        DataError: when there is no such source, or no video in it, or a line that cannot be understood.
    """
    if source.is_dir():
        records, derived = _of_folder(source), None
        known = f"names end in {', '.join(SUFFIXES)}"
        empty = f"{source} holds no videos: expected files like {source.name}/class_name/video.mp4 ({known})"
    elif source.is_file():
        records, derived = _of_file(source)
        empty = f"the {'list' if source.suffix == '.txt' else 'manifest'} {source} lists no videos"
    else:
        raise DataError(f"no such folder or manifest: {source}")
    if not records:
        raise DataError(empty)
    classes = classes and [_composed(name) for name in classes]
    beside = source.parent / CLASSES
    named = read_classes(beside) if beside.is_file() and not source.is_dir() else None
    if not source.is_dir() and (names := named or classes or derived):
        records = _with_names(records, names)
    labels = {record.label for record in records}
    return Listing(records, tuple(classes or named or derived or (sorted if source.is_dir() else in_order)(labels)))


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def in_order(labels: Iterable[str]) -> list[str]:
    """Labels by number if all are numbers, otherwise in alphabetical order."""
    found = sorted(labels)
    return sorted(found, key=int) if all(map(_NUMBER.fullmatch, found)) else found


def some(names: Sequence[str]) -> str:
    """The first few names, as an error tells them."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def read_classes(path: Path) -> tuple[str, ...]:
    """The class names of a text file, one a line, in the order of the network's outputs."""
    names = tuple(_composed(line.strip()) for line in read_text(path).splitlines() if line.strip())
    if not names or len(set(names)) < len(names):
        raise DataError(
            f"{path} must name every class once, one a line; it has {len(names)} lines, {len(set(names))} names"
        )
    return names


def class_number(label: str, classes: Sequence[str]) -> int | None:
    """The place of a label among the classes, by name or else by number; None if it has none.

    Where the names are themselves numbers, a number is one of these names, though it may have more zeros.
    """
    label, classes = _composed(label), [*map(_composed, classes)]
    if label in classes:
        return classes.index(label)
    if not label.isdecimal():
        return None
    places = list(map(int, classes)) if all(map(str.isdecimal, classes)) else range(len(classes))
    return places.index(int(label)) if int(label) in places else None


def read_text(path: Path, kind: str = "text") -> str:
    """The content of a text file, its lines ended by "\\n" whichever way they are in the file.

    Raises:
        DataError: when it is not UTF-8, with the line and the byte.
    """
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")  # a spreadsheet may add a mark
        return text.replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        place = error.start + len(content) - len(error.object)  # which lacks the mark
        line = len(_LINE_END.findall(content, 0, place)) + 1
        raise DataError(
            f"{path} is not a {kind} file in UTF-8: byte {place}, 0x{content[place]:02x} in line {line}, is not; "
            "save it as UTF-8"
        ) from None


def _of_folder(source: Path) -> list[Record]:
    found = []
    for path in sorted(source.glob("[!.]*/[!.]*")):
        if (path.suffix.lower() in SUFFIXES and not path.is_dir()) or is_clip_folder(path):
            found.append(Record(path, _composed(path.parent.name)))
    check_names(found)
    return found


def check_names(records: Iterable[Record]) -> None:
    """Finds that all paths can be written down.

    Raises:
        DataError: when some are not UTF-8.
    """
    names = (str(record.path / record.template) for record in records)
    strange = [name for name in names if any("\ud800" <= letter <= "\udfff" for letter in name)]
    if strange:
        raise DataError(
            f"{len(strange)} videos have names that are not UTF-8, the first {os.fsencode(strange[0])!r}; rename them"
        )


def _of_file(source: Path) -> tuple[list[Record], tuple[str, ...] | None]:
    text = read_text(source, "text" if source.suffix == ".txt" else "CSV text")
    first = text.lstrip().partition("\n")[0].strip()
    if source.suffix == ".txt" or re.fullmatch(rf"{_VIDEO}{_GAP}.+", first, re.IGNORECASE):
        records = list(_of_lines(source, text))
        return records, _numbers(source, [record.label for record in records])
    records = list(_of_manifest(source, text))
    labels = {record.label for record in records}
    if all(map(_NUMBER.fullmatch, labels)):
        _check_range(source, labels, inf)
    return records, None


def _of_manifest(source: Path, text: str) -> Iterator[Record]:
    reader = csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        rows = [(reader.line_num, _stripped(row)) for row in reader]
    except csv.Error as error:
        raise DataError(
            f"{source} is not a CSV text file ({error}); a manifest has the columns path and label"
        ) from None
    for line, row in rows:
        if not any(row.values()):
            continue
        if not row.get("path") or not row.get("label"):
            columns = ", ".join(map(str.strip, reader.fieldnames or ()))
            raise DataError(
                f"{source}, line {line}: a manifest needs the columns path and label in every line, parted by commas; "
                f"its header is {columns[:80]}"
            )
        count, template = row.get("num_frames") or "", row.get("template") or ""
        if template and not TEMPLATE.fullmatch(template):
            raise DataError(f"{source}, line {line}: the template must be like {{:05d}}.jpg, got {template}")
        yield Record(
            path=source.parent / row["path"],
            label=_composed(row["label"]),
            content=row.get("frames_sha256") or "",
            num_frames=_count(source, line, count) if count else None,
            template=template,
        )


def _stripped(row: dict[str | Any, str | Any]) -> dict[str, str]:
    """The values under a header, "" where a line ends early."""
    return {key.strip(): (value or "").strip() for key, value in row.items() if key is not None}


def _of_lines(source: Path, text: str) -> Iterator[Record]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        match = next(filter(None, (pattern.fullmatch(line.strip()) for pattern in _LINES)), None)
        if match is None:
            raise DataError(
                f"{source}, line {number}: expected `path label` or `path num_frames label`, got {line.strip()[:80]!r}"
            )
        if _SEVERAL.fullmatch(match["label"]):
            raise DataError(
                f"{source}, line {number}: a video has one label, got {match['label']}; write a line for each, or one"
            )
        count = match.groupdict().get("num_frames")
        num_frames = _count(source, number, count) if count else None
        yield Record(source.parent / match["path"], _composed(match["label"]), num_frames=num_frames)


def _count(source: Path, line: int, count: str) -> int:
    if not count.isdecimal() or int(count) < 1:
        raise DataError(f"{source}, line {line}: num_frames must be at least 1, got {count}")
    return int(count)


def _numbers(source: Path, labels: Sequence[str]) -> tuple[str, ...] | None:
    """The classes of a list whose labels are numbers: all numbers up to the highest. None if they are names."""
    numbers = set(filter(_NUMBER.fullmatch, labels))
    if not numbers:
        return None
    names = sorted(set(labels) - numbers)
    if names:
        raise DataError(f"{source}: labels are numbers or names, not both as {min(numbers)} and {names[0]!r}")
    _check_range(source, numbers)
    return tuple(map(str, range(max(map(int, numbers)) + 1)))


def _check_range(source: Path, numbers: Iterable[str], most: float = MOST_CLASSES) -> None:
    """Finds that all labels, which are numbers, are of classes that there can be."""
    beyond = [label for label in numbers if label.startswith("-") or int(label) >= most]
    if beyond:
        worst, below = min(beyond, key=int), f", to below {most:,}" if most < inf else ""
        raise DataError(f"{source}: the label {worst} is out of range; labels count from 0{below}")


def _with_names(records: list[Record], names: Sequence[str]) -> list[Record]:
    """Labels that are numbers, if all are, become names; one that is out of range stays, for who reads it to name."""
    labels = {record.label for record in records}
    if not all(map(str.isdecimal, labels)):
        return records
    places = {label: class_number(label, names) for label in labels}
    named = {label: label if place is None else names[place] for label, place in places.items()}
    return [replace(record, label=named[record.label]) for record in records]


def _files(folder: Path) -> "list[os.DirEntry[str]]":
    """The files in a folder, by name; none where it is no folder, or may not be looked into."""
    if not os.path.isdir(folder):
        return []
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if os.path.isfile(entry)), key=lambda entry: entry.name)
    except PermissionError:
        return []


def _of_frames(folder: Path, names: Sequence[str]) -> str:
    ends = [_fingerprint(folder / name) for name in names[:: max(1, len(names) - 1)]]
    return hashlib.sha256("\n".join([*names, *ends]).encode(errors="surrogateescape")).hexdigest()


def _fingerprint(path: Path, edge: int = 2**16) -> str:
    if not os.path.isfile(path):
        return "missing"
    try:
        with path.open("rb") as file:
            head = file.read(edge)
            size = file.seek(0, 2)
            file.seek(max(len(head), size - edge))
            return hashlib.sha256(b"%d %b %b" % (size, head, file.read())).hexdigest()
    except PermissionError:
        return "missing"
