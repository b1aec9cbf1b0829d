"""Looking at models as tables: every function returns a tidy DataFrame and its docstring lists the columns.

Accuracies are in percent, with 95 % Wilson intervals; `order` is a layer's place in the network, from 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import pandas as pd

from ffn.budget import Outcome, Policy, frontier, outcome, recorded
from ffn.costs import cost
from ffn.data import Clips
from ffn.divergence import Divergence
from ffn.evaluation import Progress, Result, evaluate, wilson
from ffn.layers import nearest
from ffn.model import FrameFlexible
from ffn.statistics import branch_divergences, network_divergences, stage_of
from ffn.statistics import norm_parameters as parameters_of
from ffn.surgery import SHORTCUTS
from ffn.training import Epoch

DIVERGENCES = tuple(field.name for field in fields(Divergence))


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
    """Columns num_frames, branch, layer, order, mean_shift, log_variance_ratio, symmetric_kl, wasserstein.

    One row per norm and T: the batch statistics of the clips at T against the running statistics that the network
    uses there, or those of its branch's own T where it keeps none (`ffn.evaluate`). `rows` are those of
    `Result.divergence_rows`, or of a recorded CSV file, layers in network order.
    """
    table = pd.DataFrame(list(rows), columns=["num_frames", "branch", "layer", *DIVERGENCES])
    table.insert(3, "order", table.groupby("num_frames").cumcount())
    return table.sort_values(["num_frames", "order"], ignore_index=True)


def sweep(model: FrameFlexible, clips: Clips, *, progress: Progress | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of `accuracy` and `divergence` at the frame counts of `clips`, from the same forward passes."""
    results: Sequence[Result] = evaluate(model, clips, progress=progress)
    return accuracy(r.accuracy_row() for r in results), divergence(row for r in results for row in r.divergence_rows())


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


def budget(
    model: FrameFlexible,
    validation: Sequence[Result],
    test: Sequence[Result],
    *,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Columns policy, counts, gmacs, num_frames, correct, clips, top1, low, high on `test`, and validation_top1.

    One row per fixed frame count and per adaptive policy on the frontier of `validation`, cheapest first. `counts` are
    tried in turn, such as "4, 8, 16"; `gmacs` and `num_frames` are means per clip, of all passes made. Both results
    are those of `evaluate` at the same frame counts, `progress` is that of `ffn.budget.frontier`.
    """
    chosen_on, reported_on = recorded(model, validation), recorded(model, test)
    policies = [Policy((t,)) for t in chosen_on.counts]
    policies += [o.policy for o in frontier(chosen_on, progress=progress) if o.policy.thresholds]
    rows = [_outcome_row(outcome(policy, reported_on)) for policy in policies]
    validated = [outcome(policy, chosen_on) for policy in policies]
    table = pd.DataFrame(rows).assign(validation_top1=[100 * o.correct / o.clips for o in validated])
    return table.sort_values("gmacs", ignore_index=True)


def _outcome_row(found: Outcome) -> dict[str, Any]:
    low, high = wilson(found.correct, found.clips)
    return {
        "policy": "adaptive" if found.policy.thresholds else "fixed",
        "counts": ", ".join(map(str, found.policy.counts)),
        "gmacs": found.macs / 1e9,
        "num_frames": found.frames,
        "correct": found.correct,
        "clips": found.clips,
        "top1": 100 * found.correct / found.clips,
        "low": 100 * low,
        "high": 100 * high,
    }


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
