"""Looking at models as tables: every function returns a tidy DataFrame and its docstring lists the columns.

Accuracies are in percent, with 95 % Wilson intervals; `order` is a layer's place in the network, from 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from ffn.costs import cost
from ffn.data import Clips
from ffn.evaluation import Progress, Result, evaluate, wilson
from ffn.layers import nearest
from ffn.model import FrameFlexible
from ffn.statistics import branch_divergences, norm_summaries
from ffn.training import Epoch

DIVERGENCES = ("mean_shift", "log_variance_ratio", "symmetric_kl")


def accuracy(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Columns num_frames, branch, correct, clips, top1, low, high; one row per frame count, in order.

    `rows` are those of `Result.accuracy_row`, or of a recorded CSV file.
    """
    table = pd.DataFrame(list(rows), columns=["num_frames", "branch", "correct", "clips"]).astype(int)
    bounds = [wilson(*counts) for counts in zip(table.correct.tolist(), table.clips.tolist(), strict=True)]
    table["top1"] = 100 * table.correct / table.clips.clip(lower=1)
    table["low"] = [100 * low for low, _ in bounds]
    table["high"] = [100 * high for _, high in bounds]
    return table.sort_values("num_frames", ignore_index=True)


def divergence(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Columns num_frames, branch, layer, order, mean_shift, log_variance_ratio, symmetric_kl; one row per norm and T.

    The batch statistics of the clips at T against the running statistics that the network uses there. `rows` are
    those of `Result.divergence_rows`, or of a recorded CSV file, layers in network order.
    """
    table = pd.DataFrame(list(rows), columns=["num_frames", "branch", "layer", *DIVERGENCES])
    table.insert(3, "order", table.groupby("num_frames").cumcount())
    return table.sort_values(["num_frames", "order"], ignore_index=True)


def sweep(model: FrameFlexible, clips: Clips, *, progress: Progress | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of `accuracy` and `divergence` at the frame counts of `clips`, from the same forward passes."""
    results: Sequence[Result] = evaluate(model, clips, progress=progress)
    return accuracy(r.accuracy_row() for r in results), divergence(row for r in results for row in r.divergence_rows())


def branch_divergence(model: FrameFlexible) -> pd.DataFrame:
    """Columns branch, reference, layer, order, mean_shift, log_variance_ratio, symmetric_kl; needs no data.

    The running statistics of every shorter branch against those of the longest; empty with a single branch.
    """
    reference = max(model.frames)
    rows = [
        {"branch": branch, "reference": reference, "layer": layer, "order": order}
        | {name: getattr(found, name) for name in DIVERGENCES}
        for branch in model.frames[:-1]
        for order, (layer, found) in enumerate(branch_divergences(model, branch, reference).items())
    ]
    return pd.DataFrame(rows, columns=["branch", "reference", "layer", "order", *DIVERGENCES])


def norm_parameters(models: Mapping[str, FrameFlexible]) -> pd.DataFrame:
    """Columns network, branch, layer, order, mean, variance, weight, bias: channel means of mu, sigma^2, gamma, beta.

    One row per batch norm, branch and network (paper figures 3, 10 and 11).
    """
    rows = [
        {"network": name, "branch": branch, "layer": layer, "order": order} | summary
        for name, model in models.items()
        for branch in model.frames
        for order, (layer, summary) in enumerate(norm_summaries(model, branch).items())
    ]
    return pd.DataFrame(rows)


def costs(model: FrameFlexible, frames: Iterable[int], size: int | None = None) -> pd.DataFrame:
    """Columns num_frames, branch, params, gmacs, gflops of one clip (1 GFLOP is 2 GMACs; the paper counts GMACs)."""
    found = {t: cost(model, t, size) for t in frames}
    return pd.DataFrame(
        {
            "num_frames": t,
            "branch": nearest(t, model.frames),
            "params": c.params,
            "gmacs": c.macs / 1e9,
            "gflops": c.flops / 1e9,
        }
        for t, c in found.items()
    )


def training(epochs: Iterable[Epoch]) -> pd.DataFrame:
    """Columns epoch, num_frames, loss, top1 of the training clips, one row per epoch and stream."""
    return pd.DataFrame(
        {"epoch": e.epoch, "num_frames": t, "loss": e.losses[t], "top1": 100 * e.accuracies[t]}
        for e in epochs
        for t in e.losses
    )


def diagnosis(
    frames: Sequence[int],
    num_frames: int,
    accuracies: pd.DataFrame,
    divergences: pd.DataFrame,
    others: Mapping[str, pd.DataFrame],
) -> str:
    """In words, what is wrong with a network trained at `frames` at `num_frames`, and what helps.

    `accuracies` and `divergences` are its tables of `accuracy` and `divergence`, `others` the accuracies of other
    networks on the same data, by name.
    """
    top1 = _at(accuracies, num_frames)
    if top1 is None:
        return f"At {_frames(num_frames)} the accuracy is not known yet."
    trained = {t: found for t in frames if (found := _at(accuracies, t)) is not None}
    reached = {name: found for name, table in others.items() if (found := _at(table, num_frames)) is not None}
    wrong = (
        f"At {_frames(num_frames)} this network {_change(num_frames, top1, trained)}{_worst(divergences, num_frames)}."
    )
    return f"{wrong} {_help(tuple(frames), num_frames, top1, reached)}"


def _change(num_frames: int, top1: float, trained: Mapping[int, float]) -> str:
    if not trained:
        return f"reaches {top1:.0f} %"
    best = max(trained, key=lambda t: trained[t])
    points = round(trained[best] - top1)
    if num_frames == best:
        return f"is at its best trained count, {top1:.0f} %"
    if points == 0:
        return f"does as well as at its best trained count ({best})"
    verb = "loses" if points > 0 else "gains"
    return f"{verb} {abs(points)} point{'s' if abs(points) != 1 else ''} against its best trained count ({best})"


def _worst(divergences: pd.DataFrame, num_frames: int) -> str:
    rows = divergences[divergences.num_frames == num_frames]
    if rows.empty:
        return ""
    worst = rows.iloc[int(rows.mean_shift.argmax())]
    return f"; {worst.layer} is {worst.mean_shift:.1f} sigma off"


def _help(frames: tuple[int, ...], num_frames: int, top1: float, reached: Mapping[str, float]) -> str:
    best = max(reached, key=lambda name: reached[name], default="")
    better = f"{best} reaches {reached[best]:.0f} % here" if best and reached[best] >= top1 + 1 else ""
    branch = nearest(num_frames, frames)
    if num_frames in frames or len(frames) > 1:
        kind = "It was trained" if len(frames) == 1 else f"Its branch {branch}, trained"
        where = "at this very count" if num_frames in frames else "at the nearest count"
        answers = "" if len(frames) == 1 else ", answers"
        rest = f"; {better}" if better else "; no other network here does better" if best else ""
        return f"{kind} {where}{answers}{rest}."
    if best and not better:
        return "No other network here does better at this count."
    advice = "A network trained at this frame count, or one FFN with a private branch, helps"
    return f"{advice}: {better}." if better else f"{advice}."


def _frames(count: int) -> str:
    return f"{count} frame{'s' if count != 1 else ''}"


def _at(accuracies: pd.DataFrame, num_frames: int) -> float | None:
    found = accuracies.top1[accuracies.num_frames == num_frames]
    return None if found.empty else float(found.iloc[0])


def comparison(recorded: Any, computed: Any, num_frames: int) -> tuple[bool, str]:
    """Whether results agree at a frame count, and in words how far; both have the tables accuracy and divergence."""
    was, now = (found.accuracy.set_index("num_frames").loc[num_frames] for found in (recorded, computed))
    before, after = (
        found.divergence[found.divergence.num_frames == num_frames].set_index("layer")[list(DIVERGENCES)]
        for found in (recorded, computed)
    )
    gap = float((before - after).abs().max().max())
    if (was.correct, was.clips) != (now.correct, now.clips):
        return False, (
            f"Recorded: {was.correct:.0f} of {was.clips:.0f} clips right; computed here: {now.correct:.0f} of "
            f"{now.clips:.0f}. The norm statistics differ by {gap:.2g} at most."
        )
    same = f"{now.correct:.0f} of {now.clips:.0f} clips right, as recorded"
    return gap < 1e-3, f"{'Identical' if gap == 0 else 'Verified'}: {same}; norm statistics within {gap:.1g}."
