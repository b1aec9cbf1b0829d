"""The features that the representations page looks at."""

from collections.abc import Sequence
from pathlib import Path

from ffn.data import clips_for
from ffn.features import Features, joined
from ffn.model import FrameFlexible
from ffn.progress import Progress
from workbench import passes
from workbench.experiments import counts_for

VIDEOS = 480  # drawn at most, the same ones for every network and count


def features(
    model: FrameFlexible, data: str | Path, frames: Sequence[int], *, progress: Progress | None = None
) -> Features:
    """Those of `ffn.extract_features` at every count of `frames`, for `VIDEOS` videos of a folder, manifest or list.

    The counts that the page always shows and the others are extracted, and remembered, apart.
    """
    usual = counts_for(model.frames, model.frames[-1])
    apart = [part for part in (usual, tuple(sorted(set(frames) - set(usual)))) if part]
    found = [
        passes.extract_features(model, clips_for(model.card, data, part), videos=VIDEOS, progress=progress)
        for part in apart
    ]
    return found[0] if len(found) == 1 else joined(*found)
