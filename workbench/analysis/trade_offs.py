"""What predictions and files cost, as tables, and what accuracy there is for it."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from ffn.budget import front
from ffn.costs import Size, cost, input_size, latency, stored
from ffn.layers import nearest
from ffn.model import FrameFlexible, extract
from ffn.progress import Progress
from workbench.remembered import remembered
from workbench.words import in_frames

UNITS = {"gmacs": "GMACs", "memory": "MB", "p50": "ms"}


@remembered
def costs(
    model: FrameFlexible, frames: Sequence[int], size: int | None = None, *, progress: Progress | None = None
) -> pd.DataFrame:
    """Columns num_frames, branch, params, gmacs, gflops, memory of one clip; one row per frame count.

    1 GFLOP is 2 GMACs; the paper counts GMACs. `memory` is the peak of a forward pass in MB, by `ffn.cost`. `progress`
    is called with (counts done, counts in all); an exception that it raises cancels.
    """
    rows = []
    for done, t in enumerate(frames, start=1):
        found = cost(model, t, size)
        about = {"num_frames": t, "branch": nearest(t, model.frames), "params": found.params}
        rows.append(about | {"gmacs": found.macs / 1e9, "gflops": found.flops / 1e9, "memory": found.memory / 1e6})
        if progress:
            progress(done, len(frames))
    return pd.DataFrame(rows)


def prices(
    models: Mapping[str, FrameFlexible], frames: Sequence[int], *, progress: Progress | None = None
) -> dict[str, pd.DataFrame]:
    """The tables of `costs` by network; networks that are built alike are counted once.

    `progress` is called with (counted, to be counted); an exception that it raises cancels.
    """
    kinds = {name: _build(model) for name, model in models.items()}
    first = {kind: models[name] for name, kind in reversed(kinds.items())}
    found: dict[str, pd.DataFrame] = {}

    def shown(done: int, total: int) -> None:
        if progress:
            progress(len(found) * total + done, len(first) * total)

    for kind, model in first.items():
        found[kind] = costs(model, frames, progress=shown)
    return {name: found[kind] for name, kind in kinds.items()}


def _build(model: FrameFlexible) -> str:
    """What decides a network's costs; with one branch it does not matter which."""
    single = ["frames"] if len(model.frames) == 1 else []
    config = {key: value for key, value in model.config.items() if key not in single}
    return json.dumps([config, input_size(model)], sort_keys=True)


def latencies(
    models: Mapping[str, FrameFlexible], frames: Iterable[int], *, progress: Progress | None = None
) -> pd.DataFrame:
    """Columns network, num_frames, p50, p95, passes: milliseconds of one clip, measured here and now.

    `progress` is called with (measured, to be measured); an exception that it raises cancels.
    """
    pairs, rows = [(name, t) for t in frames for name in models], []
    for done, (name, t) in enumerate(pairs, start=1):
        rows.append({"network": name, "num_frames": t} | vars(latency(models[name], t)))
        if progress:
            progress(done, len(pairs))
    return pd.DataFrame(rows)


def trade_offs(
    accuracies: Mapping[str, pd.DataFrame], expenses: Mapping[str, pd.DataFrame], measure: str = "gmacs"
) -> pd.DataFrame:
    """Columns of `accuracy` and of `costs` by network, and front; one row per network and frame count in both.

    `expenses` are the tables of `prices`, or others by num_frames; `front` says whether nothing that costs
    no more by `measure`, one of their columns, is as accurate.
    """
    columns = {name: table.drop(columns="branch", errors="ignore") for name, table in expenses.items()}
    tables = {name: table.merge(columns[name], on="num_frames") for name, table in accuracies.items()}
    table = pd.concat(tables, names=["network"]).reset_index(level="network").reset_index(drop=True)
    places = list(front(table[measure].tolist(), table.top1.tolist()))
    return table.assign(front=table.index.isin(places))


def within_budget(table: pd.DataFrame, measure: str, budget: float) -> pd.DataFrame:
    """The row of `trade_offs` that is most accurate at a cost of at most `budget`, and a cheaper one nearly as good.

    That is the cheapest whose accuracy lies in the 95 % interval of the first, if there is any but the first. Empty
    where everything costs more.
    """
    affordable = table[table[measure] <= budget].sort_values(["top1", measure], ascending=[False, True])
    if affordable.empty:
        return affordable
    nearly = affordable[affordable.top1 >= affordable.low.iloc[0]].sort_values(measure, kind="stable")
    return pd.concat([affordable.iloc[:1], nearly.iloc[:1]]).drop_duplicates(["network", "num_frames"])


def affordable(found: pd.DataFrame, measure: str, budget: float) -> str:
    """What a budget buys, in a sentence; `found` is the table of `within_budget`."""
    limit = f"At most {budget:.3g} {UNITS[measure]} per clip"
    if found.empty:
        return f"{limit}: every network costs more, even at its fewest frames. Raise the budget."
    best, *nearly = (
        f"{row.network} at {in_frames(row.num_frames)}, {row.top1:.1f} % "
        f"({row.low:.1f} to {row.high:.1f}) for {getattr(row, measure):.3g} {UNITS[measure]}"
        for row in found.itertuples()
    )
    return f"{limit}: {best}." + "".join(f" Within its interval, and cheaper: {other}." for other in nearly)


def storage(models: Mapping[str, FrameFlexible]) -> pd.DataFrame:
    """Columns network, form, part, num_frames, params, megabytes; one row per part of what has to be stored.

    `form` "one network": what all branches share, of 0 frames, and what each has for itself. Networks of several
    branches are also listed in the form "one per frame count": every branch as a network of its own (`ffn.extract`),
    as large as one that was trained at that count alone. Megabytes are 10^6 bytes of parameters and buffers.
    """
    return pd.DataFrame(row for name, model in models.items() for row in _parts(name, model))


def _parts(name: str, model: FrameFlexible) -> Iterator[dict[str, Any]]:
    def row(form: str, part: str, num_frames: int, size: Size) -> dict[str, Any]:
        about = {"network": name, "form": form, "part": part, "num_frames": num_frames}
        return about | {"params": size.params, "megabytes": size.bytes / 1e6}

    whole, private = stored(model), {t: stored(model, t) for t in model.frames}
    if len(model.frames) == 1:
        yield row("one network", f"network for {model.frames[0]} frames", model.frames[0], whole)
        return
    params, size = (sum(getattr(part, name) for part in private.values()) for name in ("params", "bytes"))
    yield row("one network", "shared", 0, Size(whole.params - params, whole.bytes - size))
    for t in model.frames:
        yield row("one network", f"for {in_frames(t)} alone", t, private[t])
    for t in model.frames:
        yield row("one per frame count", f"network for {in_frames(t)}", t, stored(extract(model, t)))


def stored_in_words(table: pd.DataFrame, network: str) -> str:
    """What one network of several branches saves, in a sentence; `table` is that of `storage`."""
    rows = table[table.network == network]
    one, several = (rows[rows.form == form] for form in ("one network", "one per frame count"))
    if several.empty:
        return f"{network}: {one.params.sum() / 1e6:.2f} M parameters, {one.megabytes.sum():.1f} MB, one frame count."
    private = one.params[one.num_frames > 0].max() / one.params.sum()
    return (
        f"{network}: {one.params.sum() / 1e6:.2f} M parameters in {one.megabytes.sum():.1f} MB, of which a frame count "
        f"has {100 * private:.2g} % for itself. {len(several)} networks instead: {several.params.sum() / 1e6:.2f} M in "
        f"{several.megabytes.sum():.1f} MB, {several.megabytes.sum() / one.megabytes.sum():.2g} times as much."
    )


def saving(table: pd.DataFrame) -> str:
    """What stopping early saves, in a sentence; `table` is that of `budget`."""
    fixed, adaptive = (table[table.policy == policy] for policy in ("fixed", "adaptive"))
    best = fixed.iloc[int(fixed.validation_top1.argmax())]
    as_good = adaptive[adaptive.validation_top1 >= best.validation_top1]
    if as_good.empty:
        return f"No way of stopping early is as accurate on the validation videos as always {best.counts} frames."
    chosen = as_good.iloc[int(as_good.gmacs.argmin())]
    return (
        f"{chosen.counts} frames in turn, until sure, are as accurate on the validation videos as always {best.counts} "
        f"and take {100 * chosen.gmacs / best.gmacs:.0f} % of the compute; on the test videos "
        f"{chosen.top1:.1f} % are right, with always {best.counts} frames {best.top1:.1f} %."
    )
