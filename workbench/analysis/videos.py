"""Answers as tables, video by video: what changes with the number of frames."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ffn import decisions as of_videos
from ffn.data import Clips
from ffn.decisions import Decisions
from workbench.analysis.accuracies import with_intervals

LOST, GAINED = "right to wrong", "wrong to right"
SELECTIONS = ("all videos", LOST, GAINED, "wrong now", "another answer")


def decisions(found: Decisions, clips: Clips) -> pd.DataFrame:
    """Columns index, path, label, class, num_frames, prediction, predicted, confidence, correct.

    One row per video and frame count; `path` is relative to the data, `confidence` in percent.
    """
    videos = about_videos(clips, found.indices)
    tables = [videos.assign(num_frames=t, **_answers(found, clips, place)) for place, t in enumerate(found.frames)]
    return pd.concat(tables, ignore_index=True)


def stability(found: Decisions, clips: Clips) -> pd.DataFrame:
    """Columns index, path, label, class, prediction, predicted, confidence, correct, stable_from, changes.

    One row per video: its answer at the largest frame count, the first frame count from which that answer stays, and
    how often the answer changes from one count to the next.
    """
    last = _answers(found, clips, -1)
    return about_videos(clips, found.indices).assign(**last, stable_from=found.stable_from(), changes=found.changes())


def _answers(found: Decisions, clips: Clips, place: int) -> dict[str, Any]:
    names = _names(clips.classes, found.num_classes)
    return {
        "prediction": found.predictions[place],
        "predicted": [names[k] for k in found.predictions[place]],
        "confidence": 100 * found.confidences[place],
        "correct": found.correct[place],
    }


def _names(classes: Sequence[str], outputs: int) -> list[str]:
    """A name for every output of a network: its number where the data have no class for it."""
    return [*classes, *map(str, range(len(classes), outputs))]


def about_videos(clips: Clips, indices: Iterable[int]) -> pd.DataFrame:
    """Columns index, path, label, class, by which a page finds a video again."""
    folder = clips.source if clips.source.is_dir() else clips.source.parent
    below = f"{folder.as_posix()}/"
    known = [(int(i), clips.path(int(i)).as_posix().removeprefix(below), clips.labels[int(i)]) for i in indices]
    rows = [(i, path, label, clips.classes[label]) for i, path, label in known]
    return pd.DataFrame(rows, columns=["index", "path", "label", "class"])


def between(found: Decisions, before: int, after: int, clips: Clips) -> pd.DataFrame:
    """Columns index, path, label, class, flip, stable_from and, each _before and _after, predicted, confidence.

    One row per video: its answers at two frame counts. `flip` is "right to wrong", "wrong to right", "right at both",
    "wrong at both"; `stable_from` as in `stability`.
    """
    when = {"_before": before, "_after": after}
    sides = [pd.DataFrame(_answers(found, clips, found.place(t))).add_suffix(end) for end, t in when.items()]
    videos = pd.concat([about_videos(clips, found.indices), *sides], axis=1)
    kinds = {(True, False): LOST, (False, True): GAINED, (True, True): "right at both", (False, False): "wrong at both"}
    flip = [kinds[pair] for pair in zip(videos.correct_before, videos.correct_after, strict=True)]
    names = ["predicted_before", "predicted_after", "confidence_before", "confidence_after"]
    about = videos[["index", "path", "label", "class"]].assign(flip=flip, stable_from=found.stable_from())
    return about.join(videos[names])


def select(
    table: pd.DataFrame,
    which: str = SELECTIONS[0],
    *,
    label: str | None = None,
    answer: str | None = None,
    confidence: tuple[float, float] = (0, 100),
    stable_from: tuple[int, int] | None = None,
) -> pd.DataFrame:
    """The rows of a table of `between` that are looked for, with its columns; now is after.

    Args:
        which: one of `SELECTIONS`.
        label, answer: names of the class and of what is answered now.
        confidence, stable_from: least and most, both included.
    """
    wanted = {
        "wrong now": table["class"] != table.predicted_after,
        "another answer": table.predicted_before != table.predicted_after,
    }
    keep = wanted.get(which, (table.flip == which) | (which == SELECTIONS[0]))
    keep &= table.confidence_after.between(*confidence)
    if label is not None:
        keep &= table["class"] == label
    if answer is not None:
        keep &= table.predicted_after == answer
    if stable_from is not None:
        keep &= table.stable_from.between(*stable_from)
    return table[keep]


def flips(found: Decisions, before: int, after: int, clips: Clips) -> pd.DataFrame:
    """Columns index, path, label, class, flip, predicted_before, predicted_after, confidence_before, confidence_after.

    One row per video whose answer is "right to wrong" or "wrong to right" between two frame counts.
    """
    table = between(found, before, after, clips).drop(columns="stable_from")
    return pd.concat([table[table.flip == kind] for kind in (LOST, GAINED)], ignore_index=True)


def ranking(found: Decisions, index: int, classes: Sequence[str]) -> pd.DataFrame:
    """Columns num_frames, rank, prediction, predicted, probability, correct: the best answers to one video.

    One row per frame count and rank, 1 for what is answered; `probability` in percent.

    Raises:
        ValueError: when there are no answers to the video at position `index` of the data.
    """
    place = int(np.searchsorted(found.indices, index))
    if place == len(found.indices) or found.indices[place] != index:
        raise ValueError(f"there are no answers to video {index}: it could not be read, or is not in the data")
    answers = found.classes[:, place].astype(int)  # (T, R)
    counts, ranks = np.indices(answers.shape)
    names = _names(classes, found.num_classes)
    return pd.DataFrame(
        {
            "num_frames": np.array(found.frames)[counts.ravel()],
            "rank": 1 + ranks.ravel(),
            "prediction": answers.ravel(),
            "predicted": [names[k] for k in answers.ravel()],
            "probability": 100 * found.probabilities[:, place].astype(float).ravel(),
            "correct": answers.ravel() == found.labels[place],
        }
    )


def flip_counts(found: Decisions, reference: int) -> pd.DataFrame:
    """Columns num_frames, reference, lost, gained: the answers that turn wrong and right against `reference` frames."""
    turned = [of_videos.flips(found, reference, t) for t in found.frames]
    return pd.DataFrame(
        {"num_frames": f.after, "reference": reference, "lost": len(f.lost), "gained": len(f.gained)} for f in turned
    )


def confusion(found: Decisions, num_frames: int, classes: Sequence[str]) -> pd.DataFrame:
    """Columns class, predicted, clips: how many videos of a class get an answer; one row per pair of classes."""
    return _pairs(of_videos.confusion(found, num_frames), classes, "clips")


def confusion_difference(found: Decisions, before: int, after: int, classes: Sequence[str]) -> pd.DataFrame:
    """Columns class, predicted, difference: how many videos more than at `before` frames get an answer at `after`."""
    return _pairs(of_videos.confusion_difference(found, before, after), classes, "difference")


def _pairs(counts: np.ndarray, classes: Sequence[str], name: str) -> pd.DataFrame:
    names = _names(classes, len(counts))
    pairs = [(label, answer) for label in names for answer in names]
    return pd.DataFrame(pairs, columns=["class", "predicted"]).assign(**{name: counts.ravel()})


def class_accuracy(found: Decisions, reference: int, classes: Sequence[str]) -> pd.DataFrame:
    """Columns label, class, num_frames, correct, clips, top1, low, high, deviation; one row per class and frame count.

    `deviation` is in points of top-1, negative where it is lower than at `reference` frames.
    """
    right, clips = of_videos.class_counts(found)
    rows = [
        {"label": k, "class": classes[k], "num_frames": t, "correct": right[place, k], "clips": clips[k]}
        for place, t in enumerate(found.frames)
        for k in np.flatnonzero(clips).tolist()
    ]
    at_reference = 100 * right[found.place(reference)] / np.maximum(1, clips)
    table = with_intervals(pd.DataFrame(rows))
    return table.assign(deviation=table.top1 - at_reference[table.label])


def calibration(found: Decisions) -> pd.DataFrame:
    """Columns num_frames, ece, confidence, top1, all but the first in percent; one row per frame count.

    `ece` is the expected calibration error in 15 bins; a `confidence` above `top1` is too much of it.
    """
    return pd.DataFrame(
        {
            "num_frames": t,
            "ece": 100 * of_videos.reliability(found, t).error,
            "confidence": 100 * found.confidences[place].mean(),
            "top1": 100 * found.correct[place].mean(),
        }
        for place, t in enumerate(found.frames)
    )


def reliability(found: Decisions, num_frames: int) -> pd.DataFrame:
    """Columns above, up_to, confidence, correct, clips, top1, low, high; one row per bin that holds answers.

    The answers at a frame count whose confidence, in percent, is `above` one bound and `up_to` the other.
    """
    bins = of_videos.reliability(found, num_frames)
    bounds = {"above": 100 * bins.edges[:-1], "up_to": 100 * bins.edges[1:], "confidence": 100 * bins.confidence}
    table = pd.DataFrame({**bounds, "correct": bins.correct, "clips": bins.clips})
    return with_intervals(table[table.clips > 0].reset_index(drop=True))


def paired(first: Decisions, second: Decisions) -> pd.DataFrame:
    """Columns num_frames, only_first, only_second, p_value of McNemar's exact test; one row per shared frame count.

    How many of the same videos only one of two networks gets right, and how likely a difference so large is by chance.
    """
    shared = [t for t in first.frames if t in second.frames]
    return pd.DataFrame({"num_frames": t} | vars(of_videos.compare(first, second, t)) for t in shared)
