"""Looking at models as tables: every function returns a tidy DataFrame and its docstring lists the columns.

Accuracies are in percent, with 95 % Wilson intervals; `order` is a layer's place in the network, from 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
import pandas as pd

from ffn import decisions as of_videos
from ffn.attribution import Attribution
from ffn.budget import Outcome, Policy, frontier, outcome, recorded
from ffn.costs import cost
from ffn.data import Clips
from ffn.decisions import Decisions
from ffn.divergence import Divergence
from ffn.embeddings import principal_components, tsne
from ffn.evaluation import Progress, Result, evaluate, wilson
from ffn.features import Features, in_common
from ffn.layers import nearest
from ffn.model import FrameFlexible
from ffn.pairing import Estimate, compare_networks
from ffn.probing import Probe
from ffn.similarity import cka_matrix
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
    return _with_intervals(table).sort_values("num_frames", ignore_index=True)


def _with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Columns top1, low, high added to correct and clips."""
    bounds = [wilson(*counts) for counts in zip(table.correct.tolist(), table.clips.tolist(), strict=True)]
    top1 = 100 * table.correct / table.clips.clip(lower=1)
    return table.assign(top1=top1, low=[100 * low for low, _ in bounds], high=[100 * high for _, high in bounds])


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


def curves(models: Mapping[str, FrameFlexible], clips: Clips, *, progress: Progress | None = None) -> pd.DataFrame:
    """Columns network, num_frames, branch, correct, clips, top1, low, high: the accuracy of several networks.

    One row per network and frame count of `clips`; every video is decoded once for all. Networks may be one and the
    same as trained, recalibrated, interpolated and with private norms.
    """
    found = compare_networks(models, clips, progress=progress)
    tables = {
        name: accuracy(
            {"num_frames": t, "branch": found.branches[name][t], "correct": answers.sum(), "clips": len(answers)}
            for t, answers in right.items()
        )
        for name, right in found.right.items()
    }
    return pd.concat(tables, names=["network"]).reset_index(level="network").reset_index(drop=True)


def recovery(table: pd.DataFrame, num_frames: int) -> str:
    """What recomputed statistics give at a frame count, in a sentence; `table` is that of `curves`."""
    rows = table[table.num_frames == num_frames].set_index("network")
    before, after = (rows.loc[name] for name in ("as trained", "recalibrated"))
    change = after.top1 - before.top1
    verb = "gives back" if change >= 0 else "takes"
    return (
        f"At {_frames(num_frames)} recomputing the statistics {verb} {abs(change):.1f} points: "
        f"{before.top1:.1f} % as trained, {after.top1:.1f} % recalibrated ({after.low:.1f} to {after.high:.1f})."
    )


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


def _points(name: str, found: Estimate) -> dict[str, float]:
    return {name: 100 * found.value, f"{name}_low": 100 * found.low, f"{name}_high": 100 * found.high}


def gap(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """The columns of `ffn.normalisation_gap.gap_rows`, or of its recorded CSV file, as numbers."""
    table = pd.DataFrame(list(rows))
    words = ["trained", "way"]
    return table.astype({name: str if name in words else float for name in table}).astype(
        {"num_frames": int, "correct": int, "clips": int}
    )


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


def similarity(first: Features, second: Features | None = None) -> pd.DataFrame:
    """Columns layer, order, num_frames, other_layer, other_order, other_frames, cka of one network, or of two.

    One row per pair of layers and frame counts, the others being those of `second`; linear CKA on the videos that
    both have, 1 for the same representation in any axes, near 0 for unrelated ones.
    """
    one, other = (first, first) if second is None else in_common(first, second)
    rows, columns = (
        [(layer, order, t) for order, layer in enumerate(f.layers) for t in f.frames] for f in (one, other)
    )
    left, right = ([f.at(t, layer) for layer, _, t in keys] for f, keys in ((one, rows), (other, columns)))
    values = cka_matrix(left, None if second is None else right)
    names = ["layer", "order", "num_frames", "other_layer", "other_order", "other_frames"]
    pairs = [(*row, *column) for row in rows for column in columns]
    return pd.DataFrame(pairs, columns=names).assign(cka=values.ravel())


def components(features: Features, layer: str, clips: Clips) -> pd.DataFrame:
    """Columns index, path, label, class, num_frames, x, y, x_share, y_share: one row per video and frame count.

    x and y are the principal components of all frame counts together, on shared axes; `x_share` and `y_share` say how
    much of the variance they hold, in percent.
    """
    found = principal_components(features.over_frames(layer))
    x_share, y_share = 100 * found.explained
    return _on_plane(found.points, features, clips).assign(x_share=x_share, y_share=y_share)


def maps(features: Features, layer: str, reference: int, clips: Clips, *, seed: int = 0) -> pd.DataFrame:
    """Columns index, path, label, class, num_frames, x, y, disparity: one row per video and frame count.

    x and y are a t-SNE per frame count, laid onto the one at `reference` frames; `disparity` is what that leaves, 0,
    the same map, to 1.
    """
    found = tsne(features.over_frames(layer), reference, seed=seed)
    table = _on_plane(found.points, features, clips)
    return table.assign(disparity=table.num_frames.map(found.disparities))


def _on_plane(points: Mapping[int, np.ndarray], features: Features, clips: Clips) -> pd.DataFrame:
    videos = _videos(clips, features.indices)
    tables = [videos.assign(num_frames=t, x=places[:, 0], y=places[:, 1]) for t, places in points.items()]
    return pd.concat(tables, ignore_index=True)


def probes(found: Iterable[Probe]) -> pd.DataFrame:
    """Columns layer, order, trained_at, num_frames, correct, clips, top1, low, high; one row per probe and count.

    `trained_at` is the frame count that the linear probe of the layer was fitted at, `num_frames` where it was tested.
    """
    table = pd.DataFrame([vars(probe) for probe in found])
    table.insert(1, "order", table.layer.map({layer: i for i, layer in enumerate(table.layer.unique())}))
    return _with_intervals(table)


def decisions(found: Decisions, clips: Clips) -> pd.DataFrame:
    """Columns index, path, label, class, num_frames, prediction, predicted, confidence, correct.

    One row per video and frame count; `path` is relative to the data, `confidence` in percent.
    """
    videos = _videos(clips, found.indices)
    tables = [videos.assign(num_frames=t, **_answers(found, clips, place)) for place, t in enumerate(found.frames)]
    return pd.concat(tables, ignore_index=True)


def stability(found: Decisions, clips: Clips) -> pd.DataFrame:
    """Columns index, path, label, class, prediction, predicted, confidence, correct, stable_from, changes.

    One row per video: its answer at the largest frame count, the first frame count from which that answer stays, and
    how often the answer changes from one count to the next.
    """
    last = _answers(found, clips, -1)
    return _videos(clips, found.indices).assign(**last, stable_from=found.stable_from(), changes=found.changes())


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


def _videos(clips: Clips, indices: Iterable[int]) -> pd.DataFrame:
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
    videos = pd.concat([_videos(clips, indices).assign(flip=kind) for kind, indices in kinds.items()])
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
    table = _with_intervals(pd.DataFrame(rows))
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
    return _with_intervals(table[table.clips > 0].reset_index(drop=True))


def paired(first: Decisions, second: Decisions) -> pd.DataFrame:
    """Columns num_frames, only_first, only_second, p_value of McNemar's exact test; one row per shared frame count.

    How many of the same videos only one of two networks gets right, and how likely a difference so large is by chance.
    """
    shared = [t for t in first.frames if t in second.frames]
    return pd.DataFrame({"num_frames": t} | vars(of_videos.compare(first, second, t)) for t in shared)


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
    policy: str = "nearest",
) -> str:
    """In words, what is wrong with a network trained at `frames` at `num_frames`, and what helps.

    `accuracies` and `divergences` are its tables of `accuracy` and `divergence`, `others` the accuracies of other
    networks on the same data, by name, `policy` what answers counts that were not trained.
    """
    top1 = _at(accuracies, num_frames)
    if top1 is None:
        return f"At {_frames(num_frames)} the accuracy is not known yet."
    trained = {t: found for t in frames if (found := _at(accuracies, t)) is not None}
    reached = {name: found for name, table in others.items() if (found := _at(table, num_frames)) is not None}
    wrong = (
        f"At {_frames(num_frames)} this network {_change(num_frames, top1, trained)}{_worst(divergences, num_frames)}."
    )
    return f"{wrong} {_help(tuple(frames), num_frames, top1, reached, policy)}"


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


def _help(frames: tuple[int, ...], num_frames: int, top1: float, reached: Mapping[str, float], policy: str) -> str:
    best = max(reached, key=lambda name: reached[name], default="")
    better = f"{best} reaches {reached[best]:.0f} % here" if best and reached[best] >= top1 + 1 else ""
    branch = nearest(num_frames, frames)
    if num_frames in frames or len(frames) > 1:
        kind = "It was trained" if len(frames) == 1 else f"Its branch {branch}, trained"
        where = "at this very count" if num_frames in frames else "at the nearest count"
        by = "" if policy == "nearest" or num_frames in frames else f" by {policy}"
        answers = "" if len(frames) == 1 else f", answers{by}"
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
