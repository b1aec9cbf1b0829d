"""Files that are written whole or not at all."""

import csv
import errno
import hashlib
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from platformdirs import user_cache_dir

FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "files may not become so large here",
}
_TEMPORARY = re.compile(r"\.\d+-\d+\.")


def cache_folder() -> Path:
    """Where rendered videos and remembered results live: $FFN_CACHE, or the user's cache folder."""
    return Path(os.environ.get("FFN_CACHE") or user_cache_dir("ffn"))


def writable(path: Path, *sources: Path | None) -> Path:
    """Where a file will be written: `path`, or what it links to; found out before the work that makes it.

    Raises:
        ValueError: when it is no ordinary file, or one of `sources`, which would be lost.
        OSError: when its folder cannot be written to.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file in it")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is no file that could be replaced; name another")
    if any(source and path.exists() and source.exists() and path.samefile(source) for source in sources):
        raise ValueError(f"{path} is read here and would be lost; name another file to write")
    place = path.resolve() if path.is_symlink() else path
    make_folder(place.parent)
    return place


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary name in the folder of `path`, which is renamed to `path` when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}-{threading.get_ident()}.{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        if error.errno not in FULL:
            raise
        reason = FULL[error.errno]
        raise OSError(f"{reason}: {path} was not written, and what was there before is untouched") from None
    finally:
        temporary.unlink(missing_ok=True)


def clear_remains(folder: Path, name: str = "*") -> None:
    """Removes what killed processes left half written in a folder, of files with this name; no other may be at them."""
    for path in folder.glob(f".*.{name}"):
        if _TEMPORARY.match(path.name):
            path.unlink(missing_ok=True)


def write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Writes rows with equal keys under a header line."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path: Path, columns: Sequence[str] = ()) -> list[dict[str, str]]:
    """The rows under the header line of a CSV file.

    Raises:
        ValueError: when it is no CSV text in UTF-8, its header lacks some of `columns`, or a line has more or fewer
            fields than the header.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:  # a spreadsheet may add a mark
            reader = csv.DictReader(file)
            header = reader.fieldnames or ()
            rows = [(reader.line_num, row) for row in reader]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not a CSV text file in UTF-8 ({error}); mend it, or remove it") from None
    if header and (missing := [name for name in columns if name not in header]):
        raise ValueError(f"{path} lacks the columns {', '.join(missing)}; it is the table of something else")
    for line, row in rows:
        if None in row or None in row.values():
            raise ValueError(
                f"line {line} of {path} does not have the {len(header)} fields of the header; "
                "mend the line, or remove it"
            )
    return [row for _, row in rows]


def make_folder(folder: Path) -> None:
    """Makes a folder, where it is not there, and finds that files can be written in it; leaves none.

    Raises:
        OSError: when they cannot, with the reason.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(f"{folder} is no folder that can be written to: {error.strerror}") from None


def file_hash(path: Path) -> str:
    """The first 16 hexadecimal digits of a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
