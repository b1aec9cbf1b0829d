"""Background work that viewers share: whoever asks for the same gets the same."""

from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from ffn.data import clips_for
from ffn.evaluation import Result, evaluate
from ffn.files import cache_folder
from ffn.model import FrameFlexible
from ffn.policies import any_frame
from ffn.progress import Progress, Report
from workbench import experiments
from workbench.background import Job, Profile, Sweep
from workbench.records import results_folder
from workbench.session.checkpoints import Checkpoint, model
from workbench.session.videos import data_digest, unlabelled
from workbench.training import Trainings


def job(name: str, *key: Hashable, work: Callable[[Report], Any]) -> Job:
    """The one background work of this name and key, for all viewers."""
    return _job((name, *key), work)


@st.cache_resource(show_spinner=False, max_entries=16)
def _profile(digest: str, _checkpoint: Checkpoint) -> Profile:
    return Profile(model(_checkpoint))


def profile(checkpoint: Checkpoint) -> Profile:
    """The one `Profile` of a checkpoint."""
    return _profile(checkpoint.digest, checkpoint)


def sweep(checkpoint: Checkpoint, source: Path, policy: str = "nearest", *, embedded: bool = False) -> Sweep:
    """The one `Sweep` of a checkpoint, by a policy, on a folder or manifest; `embedded` says that it is ours."""
    source = source.expanduser()
    return _sweep(checkpoint.digest, data_digest(checkpoint, source), policy, embedded, checkpoint, source)


@st.cache_resource(show_spinner=False, max_entries=64)
def _sweep(digest: str, data: str, policy: str, embedded: bool, _checkpoint: Checkpoint, _source: Path) -> Sweep:
    evaluate_at = _evaluator(_checkpoint, _source, policy, embedded=embedded)
    return Sweep(evaluate_at, results_folder(digest, data, policy))


@st.cache_resource(show_spinner=False, max_entries=64)
def _verification(digest: str, data: str, num_frames: int, _checkpoint: Checkpoint, _source: Path) -> Sweep:
    return Sweep(_evaluator(_checkpoint, _source), grid=(num_frames,))


def verification(checkpoint: Checkpoint, source: Path, num_frames: int) -> Sweep:
    """A sweep of one frame count that remembers nothing, to compare with what is recorded."""
    return _verification(checkpoint.digest, data_digest(checkpoint, source), num_frames, checkpoint, source)


def _evaluator(
    checkpoint: Checkpoint, source: Path, policy: str = "nearest", *, embedded: bool = False
) -> Callable[[Sequence[int], Progress], Sequence[Result]]:
    network = model(checkpoint)

    def evaluate_at(frames: Sequence[int], progress: Progress) -> Sequence[Result]:
        answers = answering(network, source, policy, frames, embedded=embedded, progress=progress)
        counts = sorted({*frames, *experiments.references(answers, frames)})
        results = evaluate(answers, clips_for(checkpoint.card, source, counts), progress=progress)
        return [result for result in results if result.num_frames in frames]

    return evaluate_at


def answering(
    network: FrameFlexible,
    source: Path,
    policy: str,
    frames: Sequence[int],
    *,
    embedded: bool,
    progress: Progress | None = None,
) -> FrameFlexible:
    """The network that answers `frames` by a policy, which may recompute statistics of the videos at `source`."""
    calibration = None
    if policy == "recalibrate":
        calibration = clips_for(network.card, unlabelled(source, embedded, progress), frames)
    return any_frame(network, frames, policy, calibration, limit=experiments.CALIBRATION, progress=progress)


def glance(name: str, *key: Hashable, work: Callable[[Report], Any]) -> Job:
    """As `job`, for what is quick and of which there are many: begun at once, and often done when it is returned."""
    found = _glance((name, *key), work)
    found.start()
    if found.task:
        found.task.wait(0.2)
    return found


@st.cache_resource(show_spinner=False, max_entries=256)
def _glance(key: tuple[Hashable, ...], _work: Callable[[Report], Any]) -> Job:
    return Job(_work)


@st.cache_resource(show_spinner=False, max_entries=256)
def _job(key: tuple[Hashable, ...], _work: Callable[[Report], Any]) -> Job:
    return Job(_work)


@st.cache_resource(show_spinner=False)
def trainings() -> Trainings:
    """The trainings of all viewers."""
    return Trainings(cache_folder() / "runs")
