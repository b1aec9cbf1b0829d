"""The adaptive budget of a network: what it answers to videos, and when it may stop."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pandas as pd

from ffn.data import clips_for
from ffn.evaluation import Result
from ffn.model import FrameFlexible
from ffn.progress import Report
from workbench import analysis, passes

COUNTS = (1, 2, 4, 8, 16)  # tried beside those of the network


def counts(frames: Sequence[int]) -> tuple[int, ...]:
    """The frame counts that are tried, alone and in turn."""
    return tuple(sorted({*COUNTS, *frames}))


def adaptive(
    model: FrameFlexible, validation: str | Path, test: str | Path, *, stage: Report | None = None
) -> pd.DataFrame:
    """The table of `analysis.budget`: thresholds are chosen on `validation`, accuracies are those on `test`.

    Both are folders, manifests or lists. Where they are the same, the thresholds are chosen on every second video and
    the others tell the accuracy.
    """
    frames = counts(model.frames)

    def answers(name: str, videos: str | Path) -> list[Result]:
        progress = partial(stage, name) if stage else None
        return passes.evaluate(model, clips_for(model.card, videos, frames), progress=progress)

    chosen_on, reported_on = answers("Answering validation videos", validation), answers("Answering test videos", test)
    if str(validation) == str(test):
        chosen_on, reported_on = _every_second(chosen_on, 0), _every_second(reported_on, 1)
    progress = partial(stage, "Choosing when to stop") if stage else None
    return analysis.budget(model, chosen_on, reported_on, progress=progress)


def _every_second(results: Sequence[Result], first: int) -> list[Result]:
    def half(result: Result) -> Result:
        kept = slice(first, None, 2)
        return replace(result, indices=result.indices[kept], labels=result.labels[kept], logits=result.logits[kept])

    return [half(result) for result in results]
