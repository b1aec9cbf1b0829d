"""One video, and one training, as tables: what a network says frame by frame, and what it learns epoch by epoch."""

from collections.abc import Sequence
from math import inf
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ffn.budget import AdaptiveClassifier, Policy
from ffn.card import class_names
from ffn.checkpoint import preprocessing
from ffn.costs import cost
from ffn.files import read_csv
from ffn.footage import Footage
from ffn.model import FrameFlexible
from ffn.progress import Progress
from ffn.sampling import segment_indices, stream_indices
from ffn.streaming import Stream
from workbench.words import counted, in_frames

CLASSES = 5  # of the likeliest that are listed; more where more are ever answered
ARRIVALS = 64  # frames of a longer video that are streamed, evenly spread


def footage(model: FrameFlexible, video: str | Path | Footage) -> Footage:
    """The video as the network wants its frames."""
    return video if isinstance(video, Footage) else Footage(video, preprocessing(model.card))


@torch.inference_mode()
def answers(
    model: FrameFlexible, video: str | Path | Footage, frames: Sequence[int], *, progress: Progress | None = None
) -> pd.DataFrame:
    """Columns num_frames, class, probability (percent), answer (whether it is the likeliest).

    One row per frame count and class, of the likeliest classes only. `progress` is called with (counts done, in all).
    """
    seen, device, rows = footage(model, video), next(model.parameters()).device, []
    for done, t in enumerate(frames, start=1):
        rows.append(model(seen.clip(t).to(device))[0].float().softmax(-1).cpu().numpy())
        if progress:
            progress(done, len(frames))
    return likeliest(np.stack(rows), class_names(model.card), "num_frames", frames)


def verdict(table: pd.DataFrame, num_frames: int, label: str = "") -> str:
    """What the network answers at a frame count, and whether that stays, in a sentence; `table` of `answers`."""
    said = table[table.answer].set_index("num_frames")
    now, last = said.loc[num_frames], said["class"].iloc[-1]
    right = "" if not label else ", which is right" if now["class"] == label else f", but it shows {label}"
    text = f"At {in_frames(num_frames)} this network sees {now['class']} ({now.probability:.0f} %){right}. "
    other = said.index[said["class"] != last]
    if other.empty:
        return f"{text}So it does at every count from {said.index[0]} to {said.index[-1]}."
    return f"{text}From {said.index[said.index > other[-1]][0]} frames on its answer stays {last}."


def arrivals(model: FrameFlexible, video: str | Path | Footage, *, progress: Progress | None = None) -> pd.DataFrame:
    """Columns frame (the last that came, from 1), class, probability (percent), answer; the likeliest classes only.

    What `ffn.Stream` predicts after each frame, or after each of 64 evenly spread ones of a longer video.
    `progress` is called with (frames done, in all).
    """
    seen, stream, rows = footage(model, video), Stream(model), []
    numbers = segment_indices(seen.length, min(seen.length, ARRIVALS)).tolist()
    for done, image in enumerate(seen.stack(numbers), start=1):
        stream.push(image)
        rows.append(stream.predict().softmax(-1).numpy())
        if progress:
            progress(done, len(numbers))
    return likeliest(np.stack(rows), class_names(model.card), "frame", [number + 1 for number in numbers])


def passes(model: FrameFlexible, video: str | Path | Footage, frames: Sequence[int]) -> pd.DataFrame:
    """Columns num_frames, answer, confidence (percent), gmacs, decoded; one row per pass of an adaptive budget.

    What `ffn.AdaptiveClassifier` answers if it stops after that pass: compute and different frames of all up to it.
    """
    seen, names = footage(model, video), class_names(model.card)
    found = AdaptiveClassifier(model, Policy(tuple(frames), (inf,) * (len(frames) - 1)))(seen)
    decoded = [stream_indices(seen.length, frames[:made])[0].size for made in range(1, len(frames) + 1)]
    return pd.DataFrame(
        {
            "num_frames": frames,
            "answer": [names[k] for k in found.running.argmax(-1)],
            "confidence": 100 * found.running.max(-1),
            "gmacs": np.cumsum([cost(model, t).macs for t in frames]) / 1e9,
            "decoded": decoded,
        }
    )


def likeliest(probabilities: np.ndarray, names: Sequence[str], moment: str, moments: Sequence[int]) -> pd.DataFrame:
    """Columns `moment`, class, probability (percent), answer, of probabilities (N, K) at several moments.

    The classes that are ever likeliest, and of the others the likeliest in the mean up to five.
    """
    best = probabilities.argmax(-1)
    by_mean = np.argsort(-probabilities.mean(0), kind="stable")
    winners = [k for k in by_mean if k in set(best)]
    listed = [*winners, *(k for k in by_mean if k not in winners)][: max(CLASSES, len(winners))]
    return pd.DataFrame(
        {moment: t, "class": names[k], "probability": 100 * float(row[k]), "answer": bool(k == top)}
        for t, row, top in zip(moments, probabilities, best, strict=True)
        for k in listed
    )


def deviation(table: pd.DataFrame, trained: Sequence[int]) -> str:
    """What the last epoch gives at trained and other counts, in a sentence; `table` is that of `epochs`."""
    rows = table[table.validation.notna() & (table.epoch == table.epoch.max())].set_index("num_frames")
    if rows.empty:
        return ""
    best = rows.loc[[t for t in trained if t in rows.index]].validation
    worst = rows.validation.idxmin()
    return (
        f"After epoch {rows.epoch.iloc[0]} the network is right on {best.max():.0f} % of the validation videos at "
        f"{in_frames(best.idxmax())}, and on {rows.validation[worst]:.0f} % at {worst}: "
        f"a deviation of {counted(best.max() - rows.validation[worst], 'point')}."
    )


def epochs(rows_csv: str | Path) -> pd.DataFrame:
    """Columns epoch, num_frames, loss, top1, validation of a run (`rows.csv` of `ffn.runs.run`), accuracies in percent.

    One row per epoch and frame count: loss and top-1 of training where it was trained at, validation where validated.
    """
    rows = [
        {
            "epoch": int(row["epoch"]),
            "num_frames": t,
            "loss": _number(row.get(f"loss_{t}")),
            "top1": _number(row.get(f"train_{t}")),
            "validation": _number(row.get(f"val_{t}")),
        }
        for row in read_csv(Path(rows_csv))
        for t in sorted({int(name.split("_")[1]) for name in row if name.startswith(("loss_", "val_"))})
    ]
    return pd.DataFrame(rows)


def _number(text: str | None) -> float:
    return float(text) if text else np.nan
