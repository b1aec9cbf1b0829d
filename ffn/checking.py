"""Whether data can be trained on: what is broken in it, found before training finds it."""

import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ffn.lists import SUFFIXES, DataError, Record, read_list
from ffn.processes import FEW, processes
from ffn.progress import Progress
from ffn.video import Frames, UnreadableVideoError, open_video

SAMPLE = 1000  # videos that are decoded unless told otherwise
# Videos too, which only a list may name.
UNLISTED = (".gif", ".wmv", ".flv", ".f4v", ".3gp", ".ogv", ".mts", ".m2ts", ".vob", ".asf", ".divx", ".y4m")
_WAY_OUT = f"videos end in {', '.join(SUFFIXES)}, and a list may name any"
FRAMES = 64  # of one video that are read as training reads them, spread evenly from the first to the last


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and where."""

    place: str
    problem: str

    def __str__(self) -> str:
        return self.problem if self.place in self.problem else f"{self.place}: {self.problem}"


@dataclass(frozen=True)
class Report:
    """What a check found, and what the data is like."""

    findings: tuple[Finding, ...]
    videos: int  # that are listed
    decoded: int  # that were decoded, in part or whole, without a finding
    per_class: tuple[int, ...]  # videos of each class, in class order
    lengths: tuple[int, ...]  # frames of each decoded video
    sizes: dict[tuple[int, int], int]  # how many decoded videos are of each width and height, pixels


@dataclass(frozen=True)
class _Seen:
    """What decoding one video showed."""

    problem: str = ""
    length: int = 0
    size: tuple[int, int] = (0, 0)


def check(
    source: str | Path,
    *,
    classes: Sequence[str] | None = None,
    sample: int | None = SAMPLE,
    workers: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Report:
    """Looks for every listed video, and decodes a random sample of `sample` of them, or all if that is None.

    Of each sampled video file all frames are decoded; of extracted frames at most 64, spread evenly, of the others the
    size is read. `progress` is called with (videos decoded, videos to decode). A source that cannot be read at all is
    one finding.

    Raises:
        ValueError: when the sample has no video.
    """
    if sample is not None and sample < 1:
        raise ValueError(f"a sample has at least 1 video, got {sample}")
    source = Path(source).expanduser()
    try:
        listing = read_list(source, classes)
    except (DataError, OSError) as error:
        return Report((Finding(str(source), str(error)),), 0, 0, (), (), {})
    records = listing.records
    absent = {finding.place: finding for finding in _absent(records)}
    chosen = [record for record in _sampled(records, sample, seed) if str(record.path) not in absent]
    with processes(workers if len(chosen) >= FEW else min(workers, 1)) as run:
        seen = list(_watched(run(look, chosen), len(chosen), progress))
    broken = [Finding(str(record.path), one.problem) for record, one in zip(chosen, seen, strict=True) if one.problem]
    fine = [one for one in seen if not one.problem]
    counts = Counter(record.label for record in records)
    return Report(
        findings=(
            *_passed_over(source, {record.path for record in records}),
            *_of_labels(source, counts, listing.classes),
            *_repeated(records),
            *absent.values(),
            *broken,
        ),
        videos=len(records),
        decoded=len(fine),
        per_class=tuple(counts[name] for name in listing.classes),
        lengths=tuple(one.length for one in fine),
        sizes=dict(Counter(one.size for one in fine)),
    )


def look(record: Record) -> _Seen:
    """Decodes one video."""
    try:
        video = open_video(record.path, record.num_frames, record.template)
        video.verify()
        length = len(video)
        frames = video.frames(np.unique(np.linspace(0, length - 1, min(length, FRAMES)).round().astype(int)))
    except UnreadableVideoError as error:
        return _Seen(str(error))
    there = video.there if isinstance(video, Frames) else length
    if record.num_frames not in (None, there):
        return _Seen(f"its list says {record.num_frames} frames, but there are {there}")
    return _Seen(length=length, size=(frames.shape[2], frames.shape[1]))


def _passed_over(source: Path, listed: Collection[Path]) -> Iterator[Finding]:
    """Folders that look like classes and are none, and what in classes looks like videos and is not read."""
    if not source.is_dir():
        return
    classes = {path.parent for path in listed}
    for folder in sorted(child for child in source.glob("[!.]*") if child.is_dir() and child not in listed):
        try:
            others = [child for child in folder.iterdir() if child not in listed and not child.name.startswith(".")]
        except OSError as error:
            yield Finding(str(folder), f"cannot be looked into: {error.strerror}")
            continue
        if folder not in classes:
            yield Finding(
                str(folder), f"is no class, for it holds no video but {_kinds(others) or 'nothing'}; {_WAY_OUT}"
            )
        elif lost := [child for child in others if _looks_like_videos(child)]:
            yield Finding(str(folder), f"videos are passed over: {_kinds(lost)}; {_WAY_OUT}")


def _kinds(paths: Iterable[Path]) -> str:
    kinds = Counter("folders" if path.is_dir() else path.suffix.lower() or "no suffix" for path in paths)
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))


def _looks_like_videos(path: Path) -> bool:
    if path.is_dir():
        readable = os.access(path, os.R_OK | os.X_OK)
        return not readable or any(name.lower().endswith((*SUFFIXES, *UNLISTED)) for name in os.listdir(path))
    return path.suffix.lower() in UNLISTED


def _of_labels(source: Path, counts: Mapping[str, int], classes: Sequence[str]) -> Iterator[Finding]:
    for label in sorted(counts.keys() - set(classes)):
        yield Finding(str(source), f"{counts[label]} videos have the label {label}, which is none of the classes")


def _absent(records: Iterable[Record]) -> Iterator[Finding]:
    for path in dict.fromkeys(record.path for record in records):
        if not os.path.exists(path):
            yield Finding(str(path), "no such file")
        elif os.path.isfile(path) and not path.stat().st_size:
            yield Finding(str(path), "is empty")


def _repeated(records: Iterable[Record]) -> Iterator[Finding]:
    labels: dict[str, list[str]] = {}
    for record in records:
        labels.setdefault(os.path.normpath(record.path), []).append(record.label)
    for path, found in labels.items():
        if len(found) > 1:
            yield Finding(path, f"is listed {len(found)} times, as {' and '.join(sorted(set(found)))}")


def _sampled(records: Sequence[Record], sample: int | None, seed: int) -> list[Record]:
    if sample is None or sample >= len(records):
        return list(records)
    return [records[i] for i in sorted(np.random.default_rng(seed).choice(len(records), sample, replace=False))]


def _watched(seen: Iterator[_Seen], total: int, progress: Progress | None) -> Iterator[_Seen]:
    for done, one in enumerate(seen, start=1):
        if progress:
            progress(done, total)
        yield one
