"""The causal experiments of the normalisation page: is it the norms that cost the accuracy?"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from ffn.attribution import attribute
from ffn.data import Clips, clips_for
from ffn.model import FrameFlexible
from ffn.normalisation_gap import ways
from ffn.pairing import compare_networks
from ffn.policies import any_frame
from ffn.progress import Progress, Report
from ffn.recalibration import recalibrate
from ffn.statistics import batch_norms, norm_layers
from ffn.transplantation import PARTS, transplant
from workbench import analysis, passes
from workbench.remembered import remembered

COUNTS = (2, 4, 8, 16)  # tested beside the chosen count and those of the network
CALIBRATION = 512  # clips at most from which statistics are recomputed


@dataclass(frozen=True)
class Experiment:
    """The tables of `analysis.curves`, and at the chosen frame count of `analysis.attribution` and `analysis.gap`.

    `gap` is None where no network trained at that count alone is given.
    """

    curves: pd.DataFrame
    attribution: pd.DataFrame
    gap: pd.DataFrame | None


def counts_for(frames: Sequence[int], num_frames: int, counts: Sequence[int] = COUNTS) -> tuple[int, ...]:
    """`counts`, those of a network and the chosen one, in order."""
    return tuple(sorted({*counts, *frames, num_frames}))


def recalibration(
    model: FrameFlexible,
    calibration: str | Path,
    test: str | Path,
    num_frames: int,
    private: FrameFlexible | None = None,
    separate: FrameFlexible | None = None,
    *,
    counts: Sequence[int] = COUNTS,
    stage: Report | None = None,
) -> Experiment:
    """Accuracy with statistics recomputed at every count, and by which layers' statistics it comes at `num_frames`.

    Args:
        calibration, test: folders, manifests or lists; of the former no label is used.
        private: a network of several branches to test beside `model`, which is the interpolated one too where `model`
            has one branch.
        separate: a network trained at `num_frames` alone, which sets the gap that is to be explained.
        counts: tested beside `num_frames` and those of the network.

    Raises:
        ValueError: when no norm of the network keeps statistics.
    """
    card, frames = model.card, counts_for(model.frames, num_frames, counts)
    return _recalibration(
        model,
        private,
        separate,
        clips_for(card, calibration, frames),
        clips_for(card, test, frames),
        clips_for(card, test, (num_frames,)),
        stage=stage,
    )


@remembered
def _recalibration(
    model: FrameFlexible,
    private: FrameFlexible | None,
    separate: FrameFlexible | None,
    unlabelled: Clips,
    test: Clips,
    alone: Clips,
    *,
    stage: Report | None,
) -> Experiment:
    """`test` at every count, `alone` at the one that is looked at closely."""
    recomputed = recalibrate(
        model, unlabelled, test.frames, limit=CALIBRATION, progress=_at(stage, "Recomputing statistics")
    )
    answering = {"as trained": model, "recalibrated": recomputed} | ({"private": private} if private else {})
    branched = model if len(model.frames) > 1 else private
    interpolated = {"interpolated": any_frame(branched, test.frames, "interpolate")} if branched else {}
    curves = analysis.curves(answering | interpolated, test, progress=_at(stage, "Testing"))
    found = attribute(model, recomputed, alone, alone.frames[0], progress=_at(stage, "Layer by layer"))
    gap = _gap(answering, separate, alone, _at(stage, "Against a network of this count")) if separate else None
    return Experiment(curves, analysis.attribution(found), gap)


def _gap(
    answering: dict[str, FrameFlexible], separate: FrameFlexible, clips: Clips, progress: Progress | None
) -> pd.DataFrame:
    (num_frames,) = clips.frames
    found = compare_networks(answering | {"separate": separate}, clips, progress=progress).right
    about = {"trained": "-".join(map(str, answering["as trained"].frames)), "num_frames": num_frames}
    return analysis.gap(about | row for row in ways({name: right[num_frames] for name, right in found.items()}))


def _at(stage: Report | None, name: str) -> Progress | None:
    return partial(stage, name) if stage else None


def channels(
    model: FrameFlexible,
    data: str | Path,
    num_frames: int,
    policy: str = "nearest",
    calibration: str | Path | None = None,
    *,
    stage: Report | None = None,
) -> pd.DataFrame:
    """The table of `analysis.channel_shifts` of the network that answers `num_frames` by a policy of `ffn.any_frame`.

    `data` and `calibration`, which to recalibrate takes, are folders, manifests or lists.
    """
    card = model.card
    unlabelled = clips_for(card, calibration, (num_frames,)) if calibration else None
    answering = any_frame(
        model, (num_frames,), policy, unlabelled, limit=CALIBRATION, progress=_at(stage, "Recomputing statistics")
    )
    clips = clips_for(card, data, sorted({num_frames, *references(answering, (num_frames,))}))
    results = passes.evaluate(answering, clips, progress=_at(stage, "Looking into the norms"))
    return analysis.channel_shifts(answering, results, num_frames)


def references(network: FrameFlexible, frames: Sequence[int]) -> set[int]:
    """The counts at which norms that keep no statistics, such as LayerNorm, are compared with those at `frames`."""
    plain = network.at(network.frames[0], network.frames[0])
    return {network.route(t) for t in frames} if len(batch_norms(plain)) < len(norm_layers(plain)) else set()


def transplantation(
    model: FrameFlexible,
    source: FrameFlexible,
    data: str | Path,
    num_frames: int,
    source_branch: int,
    layers: str | None = None,
    what: Sequence[str] = tuple(PARTS),
    *,
    stage: Report | None = None,
) -> pd.DataFrame:
    """The table of `analysis.gains` of `model` at `num_frames` as trained and with norms of `source`.

    `layers`, `what` and `source_branch` are those of `ffn.transplant`; `data` is a folder, manifest or list.

    Raises:
        ValueError: by `ffn.transplant`.
    """
    branch = model.route(num_frames)
    view = transplant(model, source, layers, what=what, branch=branch, source_branch=source_branch)
    return _gains({"as trained": model, "transplanted": view}, clips_for(model.card, data, (num_frames,)), stage=stage)


@remembered
def _gains(models: dict[str, FrameFlexible], clips: Clips, *, stage: Report | None) -> pd.DataFrame:
    return analysis.gains(compare_networks(models, clips, progress=_at(stage, "Testing")), clips.frames[0])
