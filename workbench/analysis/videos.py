"""Answers as tables, video by video: what changes with the number of frames."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ffn import decisions as of_videos
from ffn.data import Clips
from ffn.decisions import Decisions
from workbench.analysis.accuracies import with_intervals


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
    known = [(int(i), clips.path(int(i)), clips.labels[int(i)]) for i in indices]
    rows = [
        (i, (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix(), label, clips.classes[label])
        for i, path, label in known
    ]
    return pd.DataFrame(rows, columns=["index", "path", "label", "class"])


def flips(found: Decisions, before: int, after: int, clips: Clips) -> pd.DataFrame:
    """Columns index, path, label, class, flip, predicted_before, predicted_after, confidence_before, confidence_after.

    One row per video whose answer is "right to wrong" or "wrong to right" between two frame counts.
    """
    turned = of_videos.flips(found, before, after)
    when = {"_before": before, "_after": after}
    sides = [pd.DataFrame(_answers(found, clips, found.place(t))).add_suffix(end) for end, t in when.items()]
    answers = pd.concat(sides, axis=1)
    names = ["predicted_before", "predicted_after", "confidence_before", "confidence_after"]
    kinds = {"right to wrong": turned.lost, "wrong to right": turned.gained}
    videos = pd.concat([about_videos(clips, indices).assign(flip=kind) for kind, indices in kinds.items()])
    return videos.merge(answers[names].assign(index=found.indices), on="index")


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
