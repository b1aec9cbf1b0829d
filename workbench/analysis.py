"""Looking at models as tables: every function returns a tidy DataFrame and its docstring lists the columns.

Accuracies are in percent, with 95 % Wilson intervals; `order` is a layer's place in the network, from 0.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from ffn.cost import cost
from ffn.data import Clips
from ffn.evaluate import Result, evaluate, wilson
from ffn.model import FrameFlexible
from ffn.statistics import branch_divergences, norm_summaries
from ffn.train import Epoch

Progress = Callable[[int, int], object]
DIVERGENCES = ("mean_shift", "log_variance_ratio", "symmetric_kl")


def accuracy(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Columns num_frames, branch, correct, clips, top1, low, high; one row per frame count, in order.

    `rows` are those of `Result.accuracy_row`, or of a recorded CSV file.
    """
    table = pd.DataFrame(rows, columns=["num_frames", "branch", "correct", "clips"]).astype(int)
    bounds = [wilson(row.correct, row.clips) for row in table.itertuples()]
    table["top1"] = 100 * table.correct / table.clips.clip(lower=1)
    table["low"] = [100 * low for low, _ in bounds]
    table["high"] = [100 * high for _, high in bounds]
    return table.sort_values("num_frames", ignore_index=True)


def divergence(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Columns num_frames, branch, layer, order, mean_shift, log_variance_ratio, symmetric_kl; one row per norm and T.

    The batch statistics of the clips at T against the running statistics that the network uses there. `rows` are
    those of `Result.divergence_rows`, or of a recorded CSV file, layers in network order.
    """
    table = pd.DataFrame(rows, columns=["num_frames", "branch", "layer", *DIVERGENCES])
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
            "branch": model.route(t),
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
