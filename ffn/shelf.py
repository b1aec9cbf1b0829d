"""What lies below a folder: videos and folders of extracted frames, found by name."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ffn.lists import SUFFIXES, DataError, Record
from ffn.video import count_frames, template_of


class Shelf:
    """The videos and folders of extracted frames below a folder, found by the end of their path, without suffix.

    The names of frames follow `template`, by default what each folder shows. What is hidden is not there.
    """

    def __init__(self, root: Path, template: str = "") -> None:
        if not root.is_dir():
            raise DataError(f"no such folder of videos: {root}")
        self.root = root
        self._by_name: dict[str, Record] = {}
        self._by_path: dict[Path, Record] = {}
        for record in _walk(root, template):
            self._by_path[record.path] = record
            stem = record.path if record.template else record.path.with_suffix("")
            for parts in (stem.parts[-1:], stem.parts[-2:]):
                self._by_name.setdefault("/".join(parts), record)

    def find(self, label: str, *names: str) -> Record:
        """The video with the first of these names that is there; else one that is not `on` the shelf."""
        found = next((self._by_name[name] for name in names if name in self._by_name), Record(self.root / names[0], ""))
        return replace(found, label=label)

    def at(self, path: Path) -> Record | None:
        """The video at a path."""
        return self._by_path.get(path)


def _walk(root: Path, template: str) -> Iterator[Record]:
    for folder, subfolders, files in os.walk(root, followlinks=True):
        subfolders[:] = sorted(name for name in subfolders if name[0] != "." and not _leads_back(Path(folder, name)))
        own = template or template_of(files)
        if count := count_frames(files, own):
            yield Record(Path(folder), "", num_frames=count, template=own)
        videos = sorted(name for name in files if name.lower().endswith(SUFFIXES) and name[0] != ".")
        yield from (Record(Path(folder, name), "") for name in videos)


def _leads_back(path: Path) -> bool:
    """Whether this is a link to a folder that it lies in."""
    return path.is_symlink() and os.path.realpath(path) in map(os.path.realpath, path.parents)
