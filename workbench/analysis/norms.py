"""Norm layers as tables: what they hold, what goes into them, and what exchanging them gives.

`order` is a layer's place in the network, from 0.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import pandas as pd

from ffn.attribution import Attribution
from ffn.divergence import Divergence
from ffn.evaluation import Result, wilson
from ffn.layers import nearest
from ffn.model import FrameFlexible
from ffn.pairing import Comparison, Estimate, gain
from ffn.statistics import branch_divergences, network_divergences, stage_of
from ffn.statistics import norm_parameters as parameters_of
from ffn.surgery import SHORTCUTS
from workbench.remembered import remembered

DIVERGENCES = tuple(field.name for field in fields(Divergence))


def divergence(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Columns num_frames, branch, layer, order, mean_shift, log_variance_ratio, symmetric_kl, wasserstein.

    One row per norm and T: the batch statistics of the clips at T against the running statistics that the network
    uses there, or those of its branch's own T where it keeps none (`ffn.evaluate`). `rows` are those of
    `Result.divergence_rows`, or of a recorded CSV file, layers in network order.
    """
    table = pd.DataFrame(list(rows), columns=["num_frames", "branch", "layer", *DIVERGENCES])
    table = table.astype({"num_frames": int, "branch": int, **dict.fromkeys(DIVERGENCES, float)})
    table.insert(3, "order", table.groupby("num_frames").cumcount())
    return table.sort_values(["num_frames", "order"], ignore_index=True)


def branch_divergence(model: FrameFlexible) -> pd.DataFrame:
    """Columns branch, reference, layer, order and the measures of `divergence`; needs no data.

    The running statistics of every shorter branch against those of the longest; empty with a single branch.
    """
    pairs = [(branch, max(model.frames)) for branch in model.frames[:-1]]
    return _divergences({pair: branch_divergences(model, *pair) for pair in pairs})


def _divergences(found: Mapping[tuple[int, int], Mapping[str, Divergence]]) -> pd.DataFrame:
    rows = [
        {"branch": branch, "reference": reference, "layer": layer, "order": order} | asdict(measures)
        for (branch, reference), layers in found.items()
        for order, (layer, measures) in enumerate(layers.items())
    ]
    return pd.DataFrame(rows, columns=["branch", "reference", "layer", "order", *DIVERGENCES])


def network_divergence(model: FrameFlexible, other: FrameFlexible) -> pd.DataFrame:
    """Columns branch, reference, layer, order and the measures of `divergence`; needs no data.

    The running statistics of every branch of `model` against those of the nearest branch of `other`. Channels are
    compared by number, which says something only of networks that come from the same weights.
    """
    pairs = [(branch, nearest(branch, other.frames)) for branch in model.frames]
    return _divergences({pair: network_divergences(model, other, *pair) for pair in pairs})


def norm_channels(
    models: Mapping[str, FrameFlexible],
    *,
    branches: Iterable[int] | None = None,
    stage: str | None = None,
    shortcuts: bool = True,
) -> pd.DataFrame:
    """Columns network, branch, stage, layer, order, channel, mean, variance, weight, bias: mu, sigma^2, gamma, beta.

    One row per channel of every norm; mean and variance are NaN where a norm keeps no running statistics.

    Args:
        branches: those to show; all by default.
        stage: the only one to show, such as `layer4`.
        shortcuts: show the norms of shortcuts too.
    """
    wanted = None if branches is None else set(branches)
    tables = [
        _channels({"network": name, "branch": branch}, layer, order, vars(parameters))
        for name, model in models.items()
        for branch in model.frames
        if wanted is None or branch in wanted
        for order, (layer, parameters) in enumerate(parameters_of(model, branch).items())
        if stage in (None, stage_of(layer)) and (shortcuts or not SHORTCUTS.search(layer))
    ]
    if not tables:
        raise ValueError(f"no norm is in branches {branches or 'of any count'} and stage {stage or 'of any name'}")
    return pd.concat(tables, ignore_index=True)


def norm_parameters(models: Mapping[str, FrameFlexible], **which: Any) -> pd.DataFrame:
    """Columns network, branch, stage, layer, order, mean, variance, weight, bias: means over the channels of a norm.

    One row per norm, branch and network, of `norm_channels`, whose choices this takes too. Figures 3 and 10 of the
    paper are two networks trained apart, `stage="layer4", shortcuts=False`; figure 11 is a network trained apart and
    an FFN in the same branch, `branches=(16,)`.
    """
    return _over_channels(norm_channels(models, **which))


def input_channels(results: Iterable[Result]) -> pd.DataFrame:
    """Columns num_frames, branch, stage, layer, order, channel, mean, variance of what goes into every norm.

    One row per channel and frame count, of the clips that `results` are of.
    """
    return pd.concat(
        [
            _channels({"num_frames": result.num_frames, "branch": result.branch}, layer, order, vars(moments))
            for result in results
            for order, (layer, moments) in enumerate(result.inputs.items())
        ],
        ignore_index=True,
    )


def channel_shifts(model: FrameFlexible, results: Iterable[Result], num_frames: int) -> pd.DataFrame:
    """What every channel of every norm sees and expects at `num_frames`, and what comes out of it.

    Columns num_frames, stage, layer, order, channel, mean, variance, expected_mean, expected_variance, weight, bias,
    mean_out, deviation_out. The expected are the running statistics of the branch that answers, or, where a norm
    keeps none, what goes into it at that branch's own count. Where the clips are as expected, the mean `bias` and the
    standard deviation |`weight`| come out, else `mean_out` and `deviation_out` (paper eq. 1, epsilon aside), which
    are NaN for norms that do not normalise by channel.

    Args:
        results: those of `ffn.evaluate` at `num_frames`, and for norms without statistics at the branch's count too.
    """
    found = {result.num_frames: result for result in results}
    branch = model.route(num_frames)
    table = _by_channel(norm_channels({"": model}, branches=[branch]))
    table = table.rename(columns={"mean": "expected_mean", "variance": "expected_variance"})
    seen = _by_channel(input_channels([found[num_frames]]))[["mean", "variance"]]
    table = table.join(seen, how="inner")
    scale = table.weight / np.sqrt(table.expected_variance)
    table["mean_out"] = table.bias + scale * (table["mean"] - table.expected_mean)
    table["deviation_out"] = scale.abs() * np.sqrt(table.variance)
    if branch in found:
        own = _by_channel(input_channels([found[branch]]))[["mean", "variance"]].add_prefix("expected_")
        table = table.fillna(own)
    parts = ["mean", "variance", "expected_mean", "expected_variance", "weight", "bias", "mean_out", "deviation_out"]
    return table.reset_index().assign(num_frames=num_frames)[
        ["num_frames", "stage", "layer", "order", "channel", *parts]
    ]


def _by_channel(table: pd.DataFrame) -> pd.DataFrame:
    return table.set_index(["stage", "layer", "channel"])


def norm_inputs(results: Iterable[Result]) -> pd.DataFrame:
    """Columns num_frames, branch, stage, layer, order, mean, variance: means over channels of `input_channels`."""
    return _over_channels(input_channels(results))


def _channels(key: Mapping[str, Any], layer: str, order: int, numbers: Mapping[str, Any]) -> pd.DataFrame:
    table = pd.DataFrame({**numbers})
    about = {**key, "stage": stage_of(layer), "layer": layer, "order": order, "channel": table.index}
    return pd.concat([pd.DataFrame(about, index=table.index), table], axis=1)


def _over_channels(table: pd.DataFrame) -> pd.DataFrame:
    where = list(table.columns[: table.columns.get_loc("channel")])
    return table.drop(columns="channel").groupby(where, sort=False).mean().reset_index()


@remembered
def attribution(found: Attribution) -> pd.DataFrame:
    """Columns rank, stage, layer, order, alone, alone_low, alone_high, together, together_low, together_high.

    Points of accuracy that the norms of another network recover, with 95 % bootstrap intervals: those of one layer
    alone, and those of this layer and all ranked before it. One row per layer, those that recover most first.
    """
    order = list(found.alone)
    return pd.DataFrame(
        {"rank": rank, "stage": stage_of(layer), "layer": layer, "order": order.index(layer)}
        | _points("alone", alone)
        | _points("together", together)
        for rank, (layer, (alone, together)) in enumerate(found.recovered().items(), start=1)
    )


def gains(found: Comparison, num_frames: int, baseline: str = "as trained") -> pd.DataFrame:
    """Columns way, num_frames, correct, clips, top1, top1_low, top1_high, gained, gained_low, gained_high.

    One row per network of a comparison at one frame count; `gained` are points over the `baseline`, with a paired
    bootstrap interval, those of top1 being Wilson intervals.
    """
    before = found.right[baseline][num_frames]
    return pd.DataFrame(
        {"way": way, "num_frames": num_frames, "correct": int(after.sum()), "clips": len(after)}
        | _points("top1", Estimate(float(after.mean()), *wilson(int(after.sum()), len(after))))
        | _points("gained", gain(before, after))
        for way, after in ((way, answers[num_frames]) for way, answers in found.right.items())
    )


def _points(name: str, found: Estimate) -> dict[str, float]:
    return {name: 100 * found.value, f"{name}_low": 100 * found.low, f"{name}_high": 100 * found.high}


def gap(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The columns of `ffn.normalisation_gap.gap_rows`, or of its recorded CSV file, as numbers."""
    table = pd.DataFrame(list(rows))
    words = ["trained", "way"]
    return table.astype({name: str if name in words else float for name in table}).astype(
        {"num_frames": int, "correct": int, "clips": int}
    )
