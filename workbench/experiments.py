"""The causal experiments of the normalisation page: is it the norms that cost the accuracy?"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from ffn.attribution import attribute
from ffn.data import Clips, clips_for
from ffn.model import FrameFlexible
from ffn.policies import any_frame
from ffn.progress import Progress, Report
from ffn.recalibration import recalibrate
from workbench import analysis
from workbench.remembered import remembered

COUNTS = (2, 4, 8, 16)  # tested beside the chosen count and those of the network
CALIBRATION = 512  # clips at most from which statistics are recomputed


@dataclass(frozen=True)
class Experiment:
    """The tables of `analysis.curves` and `analysis.attribution`; the latter at the chosen frame count."""

    curves: pd.DataFrame
    attribution: pd.DataFrame


def counts(frames: tuple[int, ...], num_frames: int) -> tuple[int, ...]:
    """The frame counts that are tested."""
    return tuple(sorted({*COUNTS, *frames, num_frames}))


def recalibration(
    model: FrameFlexible, calibration: str | Path, test: str | Path, num_frames: int, *, stage: Report | None = None
) -> Experiment:
    """Accuracy with statistics recomputed at every count, and by which layers' statistics it comes at `num_frames`.

    `calibration` and `test` are folders, manifests or lists; of the former no label is used.

    Raises:
        ValueError: when no norm of the network keeps statistics.
    """
    card, tested = model.card, counts(model.frames, num_frames)
    return _recalibration(
        model,
        clips_for(card, calibration, tested),
        clips_for(card, test, tested),
        clips_for(card, test, (num_frames,)),
        stage=stage,
    )


@remembered
def _recalibration(
    model: FrameFlexible, unlabelled: Clips, tested: Clips, alone: Clips, *, stage: Report | None
) -> Experiment:
    """`tested` at every count, `alone` at the one that is looked at layer by layer."""

    def at(name: str) -> Progress | None:
        return partial(stage, name) if stage else None

    recomputed = recalibrate(model, unlabelled, tested.frames, limit=CALIBRATION, progress=at("Recomputing statistics"))
    ways = {"as trained": model, "recalibrated": recomputed}
    if len(model.frames) > 1:
        ways["interpolated"] = any_frame(model, tested.frames, "interpolate")
    curves = analysis.curves(ways, tested, progress=at("Testing"))
    found = attribute(model, recomputed, alone, alone.frames[0], progress=at("Layer by layer"))
    return Experiment(curves, analysis.attribution(found))
