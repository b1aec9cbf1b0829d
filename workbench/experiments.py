"""The causal experiments of the normalisation page: is it the norms that cost the accuracy?"""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from ffn.attribution import attribute
from ffn.card import Card
from ffn.data import clips_for
from ffn.model import FrameFlexible
from ffn.policies import any_frame
from ffn.progress import Report
from ffn.recalibration import recalibrate
from workbench import analysis

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
    model: FrameFlexible, card: Card, calibration: str, test: str, num_frames: int, *, stage: Report
) -> Experiment:
    """Accuracy with statistics recomputed at every count, and by which layers' statistics it comes at `num_frames`.

    `calibration` and `test` are folders, manifests or lists; of the former no label is used.

    Raises:
        ValueError: when no norm of the network keeps statistics.
    """
    tested = counts(model.frames, num_frames)

    def at(name: str) -> Callable[[int, int], object]:
        return lambda done, total: stage(name, done, total)

    recomputed = recalibrate(
        model, clips_for(card, calibration, tested), tested, limit=CALIBRATION, progress=at("Recomputing statistics")
    )
    ways = {"as trained": model, "recalibrated": recomputed}
    if len(model.frames) > 1:
        ways["interpolated"] = any_frame(model, tested, "interpolate")
    curves = analysis.curves(ways, clips_for(card, test, tested), progress=at("Testing"))
    found = attribute(
        model, recomputed, clips_for(card, test, (num_frames,)), num_frames, progress=at("Layer by layer")
    )
    return Experiment(curves, analysis.attribution(found))
