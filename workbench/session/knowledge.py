"""What is known of a selection by now."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ffn.data import DataError
from workbench.background import Sweep, Task
from workbench.records import EMPTY, Tables
from workbench.session.recordings import Recorded, recordings
from workbench.session.videos import clips, rendering
from workbench.session.viewer import Selection
from workbench.session.work import sweep


@dataclass(frozen=True)
class Known:
    """What is known of a checkpoint on some data by now, and what is still at work."""

    tables: Tables
    others: Mapping[str, Recorded]  # of the other bundled checkpoints on the same data, by title
    recorded: bool = False
    checked: bool = True  # whether the data is known to be that of the record
    source: Path | None = None
    sweep: Sweep | None = None
    rendering: Task | None = None


NOTHING = Known(EMPTY, {})


def known(chosen: Selection) -> Known:
    """Everything that is known by now; `DataError` when the data cannot be used, or is not said yet."""
    if chosen.data is None:
        return _embedded(chosen)
    if not chosen.data:
        raise DataError("give the path of a folder of class/video.mp4, or of a CSV manifest, in the sidebar")
    return _live(chosen, Path(chosen.data), {})


def _embedded(chosen: Selection) -> Known:
    """Recorded results where they are of this very checkpoint and data, else live ones once the videos are there."""
    task = rendering()
    every = recordings()
    record = every.get(chosen.checkpoint.digest)
    digest = clips(chosen.checkpoint, task.result).digest if task.result else None
    others = {
        other.title: other
        for checkpoint, other in every.items()
        if checkpoint != chosen.checkpoint.digest and digest in (None, other.data)
    }
    if record and digest in (None, record.data) and chosen.policy == "nearest":
        return Known(record, others, True, digest is not None, task.result, rendering=task)
    return Known(EMPTY, others, rendering=task) if digest is None else _live(chosen, task.result, others)


def _live(chosen: Selection, source: Path, others: Mapping[str, Recorded]) -> Known:
    """Results that are computed in the background, the chosen frame count first."""
    found = sweep(chosen.checkpoint, source, chosen.policy, embedded=chosen.data is None)
    found.want(chosen.num_frames)
    return Known(found.tables(), others, source=source, sweep=found)
