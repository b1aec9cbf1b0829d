"""The background work of the normalisation and representations pages, by checkpoint, data and options."""

from collections.abc import Hashable, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from ffn.data import clips_for
from ffn.features import Features
from ffn.progress import Report
from workbench import analysis, experiments, extraction, passes, session
from workbench.background import Job
from workbench.session import Checkpoint, Selection

EXTRACTING = "Extracting features"


def experiment(
    chosen: Selection,
    source: Path,
    private: Checkpoint | None = None,
    separate: Checkpoint | None = None,
    counts: Sequence[int] = experiments.COUNTS,
) -> Job:
    """The `experiments.recalibration` of the selection."""
    network = session.model(chosen.checkpoint)
    beside = [session.model(other) if other else None for other in (private, separate)]

    def work(stage: Report) -> experiments.Experiment:
        calibration = unlabelled(chosen, source, stage)
        return experiments.recalibration(
            network, calibration, source, chosen.num_frames, *beside, counts=counts, stage=stage
        )

    others = [other.digest if other else None for other in (private, separate)]
    return session.job("experiment", *_key(chosen, source), *others, tuple(counts), work=work)


def channels(chosen: Selection, source: Path) -> Job:
    """The `experiments.channels` of the selection."""
    policy = chosen.answered_by or "nearest"
    network = session.model(chosen.checkpoint)

    def work(stage: Report) -> pd.DataFrame:
        calibration = unlabelled(chosen, source, stage) if policy == "recalibrate" else None
        return experiments.channels(network, source, chosen.num_frames, policy, calibration, stage=stage)

    return session.job("channels", *_key(chosen, source), policy, work=work)


def transplantation(
    chosen: Selection, source: Path, donor: Checkpoint, branch: int, layers: str | None, what: Sequence[str]
) -> Job:
    """The `experiments.transplantation` of the selection, with norms of the `branch` of another network, or its own."""
    networks = session.model(chosen.checkpoint), session.model(donor)

    def work(stage: Report) -> pd.DataFrame:
        return experiments.transplantation(*networks, source, chosen.num_frames, branch, layers, what, stage=stage)

    about = donor.digest, branch, layers, tuple(what)
    return session.job("transplant", *_key(chosen, source), *about, work=work)


def _key(chosen: Selection, source: Path) -> tuple[str, str, int]:
    return chosen.checkpoint.digest, session.data_digest(chosen.checkpoint, source), chosen.num_frames


def unlabelled(chosen: Selection, source: Path, stage: Report) -> Path:
    return session.unlabelled(source, chosen.data is None, partial(stage, "Rendering videos"))


def features(chosen: Selection, source: Path) -> Job:
    """The `extraction.features` of the selection, at the usual counts and the chosen one."""
    frames = experiments.counts_for(chosen.checkpoint.card["frames"], chosen.num_frames)
    network = session.model(chosen.checkpoint)

    def work(stage: Report) -> Features:
        return extraction.features(network, source, frames, progress=partial(stage, EXTRACTING))

    return session.job("features", *_of_features(chosen, source, frames), work=work)


def embedding(chosen: Selection, source: Path, found: Features, layer: str, reference: int | None) -> Job:
    """The `analysis.components` of features, or with a `reference` the `analysis.maps`."""

    def work(stage: Report) -> pd.DataFrame:
        clips = clips_for(chosen.checkpoint.card, source, found.frames)
        if reference is None:
            return analysis.components(found, layer, clips)
        return analysis.maps(found, layer, reference, clips, progress=partial(stage, "Drawing maps"))

    about = _of_features(chosen, source, found.frames)
    return session.job("embedding", *about, layer, reference, work=work)


def similarity(chosen: Selection, source: Path, found: Features, other: Checkpoint | None = None) -> Job:
    """The `analysis.similarity` of features, to those of another network if there is one."""
    beside = session.model(other) if other else None

    def work(stage: Report) -> pd.DataFrame:
        if beside is None:
            return analysis.similarity(found)
        second = extraction.features(beside, source, found.frames, progress=partial(stage, EXTRACTING))
        return analysis.similarity(found, second)

    about = _of_features(chosen, source, found.frames)
    return session.job("similarity", *about, other and other.digest, work=work)


def probes(chosen: Selection, source: Path, found: Features, native: int) -> Job:
    """The `analysis.probes` of features, fitted on one half of the videos and tested on the other."""

    def work(stage: Report) -> pd.DataFrame:
        return analysis.probes(passes.probe(*found.halves(), native, progress=partial(stage, "Fitting probes")))

    return session.job("probes", *_of_features(chosen, source, found.frames), native, work=work)


def _of_features(chosen: Selection, source: Path, frames: tuple[int, ...]) -> tuple[Hashable, ...]:
    return chosen.checkpoint.digest, session.data_digest(chosen.checkpoint, source), frames
