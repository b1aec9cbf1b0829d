"""The background work of the normalisation and representations pages, by checkpoint, data and options."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from ffn.progress import Report
from workbench import experiments, session
from workbench.background import Job
from workbench.session import Checkpoint, Selection


def experiment(
    chosen: Selection, source: Path, private: Checkpoint | None = None, separate: Checkpoint | None = None
) -> Job:
    """The `experiments.recalibration` of the selection."""

    def work(stage: Report) -> experiments.Experiment:
        networks = [session.model(other) if other else None for other in (private, separate)]
        return experiments.recalibration(
            session.model(chosen.checkpoint),
            _unlabelled(chosen, source, stage),
            source,
            chosen.num_frames,
            *networks,
            stage=stage,
        )

    others = [other.digest if other else None for other in (private, separate)]
    return session.job("experiment", *_key(chosen, source), *others, work=work)


def channels(chosen: Selection, source: Path) -> Job:
    """The `experiments.channels` of the selection."""
    policy = chosen.answered_by or "nearest"

    def work(stage: Report) -> pd.DataFrame:
        calibration = _unlabelled(chosen, source, stage) if policy == "recalibrate" else None
        network = session.model(chosen.checkpoint)
        return experiments.channels(network, source, chosen.num_frames, policy, calibration, stage=stage)

    return session.job("channels", *_key(chosen, source), policy, work=work)


def transplantation(
    chosen: Selection, source: Path, donor: Checkpoint, branch: int, layers: str | None, what: Sequence[str]
) -> Job:
    """The `experiments.transplantation` of the selection, with norms of the `branch` of another network, or its own."""

    def work(stage: Report) -> pd.DataFrame:
        networks = session.model(chosen.checkpoint), session.model(donor)
        return experiments.transplantation(*networks, source, chosen.num_frames, branch, layers, what, stage=stage)

    about = donor.digest, branch, layers, tuple(what)
    return session.job("transplant", *_key(chosen, source), *about, work=work)


def _key(chosen: Selection, source: Path) -> tuple[str, str, int]:
    return chosen.checkpoint.digest, session.data_digest(chosen.checkpoint, source), chosen.num_frames


def _unlabelled(chosen: Selection, source: Path, stage: Report) -> Path:
    return session.unlabelled(source, chosen.data is None, partial(stage, "Rendering videos"))
