"""The background work of the pages on cost and comparison, by checkpoints, data and options."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from ffn.decisions import Decisions
from ffn.fingerprints import fingerprint
from ffn.model import FrameFlexible
from ffn.policies import any_frame
from ffn.progress import Report
from ffn.synthesis import FILLINGS
from workbench import analysis, budgets, session
from workbench.background import GRID, SLIDER, Job
from workbench.jobs import unlabelled
from workbench.session import Checkpoint, Selection

TIMED = (1, 2, 4, 8, 16, 32)  # frame counts at which networks are timed


def prices(chosen: Selection, networks: Mapping[str, Checkpoint], frames: Sequence[int] = GRID) -> Job:
    """The `analysis.prices` of networks by title."""

    def work(stage: Report) -> dict[str, pd.DataFrame]:
        models = _answering(chosen, networks)
        return analysis.prices(models, tuple(frames), progress=partial(stage, "Counting operations"))

    return session.job("prices", *_built(chosen, networks), *frames, work=work)


def latencies(chosen: Selection, networks: Mapping[str, Checkpoint]) -> Job:
    """The `analysis.latencies` of networks by title, at a few counts."""

    def work(stage: Report) -> pd.DataFrame:
        models = _answering(chosen, networks)
        return analysis.latencies(models, TIMED, progress=partial(stage, "Measuring latency"))

    return session.job("latencies", *_built(chosen, networks), work=work)


def adaptive(chosen: Selection, source: Path) -> Job:
    """The `budgets.adaptive` of the chosen checkpoint."""

    def work(stage: Report) -> pd.DataFrame:
        return budgets.adaptive(
            session.model(chosen.checkpoint), unlabelled(chosen, source, stage), source, stage=stage
        )

    data = session.data_digest(chosen.checkpoint, source)
    return session.job("adaptive", chosen.checkpoint.digest, data, work=work)


def differences(found: Mapping[str, Decisions], reference: str) -> Job:
    """The `analysis.differences` of the answers of networks by title."""

    def work(stage: Report) -> pd.DataFrame:
        return analysis.differences(found, reference)

    return session.glance("differences", fingerprint(found, reference), work=work)


def storage(networks: Mapping[str, Checkpoint]) -> Job:
    """The `analysis.storage` of networks by title."""

    def work(stage: Report) -> pd.DataFrame:
        return analysis.storage({title: session.model(network) for title, network in networks.items()})

    return session.job("storage", *_digests(networks), work=work)


def _answering(chosen: Selection, networks: Mapping[str, Checkpoint]) -> dict[str, FrameFlexible]:
    """The networks; the chosen one as it fills clips up, which costs more."""
    models = {title: session.model(network) for title, network in networks.items()}
    title = chosen.checkpoint.title
    if title in models and chosen.policy in FILLINGS:
        models[title] = any_frame(models[title], SLIDER, chosen.policy)
    return models


def _built(chosen: Selection, networks: Mapping[str, Checkpoint]) -> tuple[str, ...]:
    filled = (chosen.checkpoint.digest, chosen.policy) if chosen.policy in FILLINGS else ()
    return (*_digests(networks), *filled)


def _digests(networks: Mapping[str, Checkpoint]) -> tuple[str, ...]:
    """With their titles, by which results name them."""
    return tuple(f"{network.digest} {title}" for title, network in networks.items())
