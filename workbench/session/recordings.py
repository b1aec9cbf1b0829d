"""Recorded results of the bundled checkpoints."""

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from ffn import decision_files
from ffn.bundled import records_of
from ffn.files import file_hash, read_csv
from workbench import analysis
from workbench.records import Tables
from workbench.session.checkpoints import bundled, stamp


@dataclass(frozen=True)
class Recorded(Tables):
    """Results from the repository, of the checkpoint called `title` on the data with hash `data`."""

    title: str = ""
    data: str = ""


def recordings() -> dict[str, Recorded]:
    """The recorded results of the bundled checkpoints, by the hash of the checkpoint."""
    found = {}
    for title, path in bundled().items():
        files = [path, *records_of(path)]
        if all(file.is_file() for file in files) and (read := _recorded(title, str(path), *map(stamp, files))):
            found[read[0]] = read[1]
    return found


@st.cache_resource(show_spinner=False, max_entries=64)
def _recorded(title: str, path: str, *stamps: tuple[int, int]) -> tuple[str, Recorded] | None:
    """None where the files beside a checkpoint are not of this very checkpoint, on one dataset."""
    shifts, answers, accuracies = records_of(Path(path))
    decisions, about = decision_files.load(answers)
    divergence, accuracy = read_csv(shifts), read_csv(accuracies)
    checkpoint = file_hash(Path(path))
    keys = {(row.get("checkpoint"), row.get("data")) for row in [*accuracy, *divergence, about]}
    if len(keys) != 1 or (found := keys.pop())[0] != checkpoint:
        return None
    tables = analysis.accuracy(accuracy), analysis.divergence(divergence)
    return checkpoint, Recorded(*tables, decisions=decisions, title=title, data=str(found[1]))
