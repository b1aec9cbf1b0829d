"""Accuracy, budgets and training as tables."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from ffn.budget import Outcome, Policy, frontier, outcome, recorded
from ffn.data import Clips
from ffn.evaluation import Result, evaluate, wilson
from ffn.model import FrameFlexible
from ffn.pairing import compare_networks
from ffn.progress import Progress
from ffn.training import Epoch
from workbench.analysis.norms import divergence
from workbench.remembered import remembered


def accuracy(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Columns num_frames, branch, correct, clips, top1, low, high; one row per frame count, in order.

    `rows` are those of `Result.accuracy_row`, or of a recorded CSV file.
    """
    table = pd.DataFrame(list(rows), columns=["num_frames", "branch", "correct", "clips"]).astype(int)
    return with_intervals(table).sort_values("num_frames", ignore_index=True)


def with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """Columns top1, low, high added to correct and clips."""
    bounds = [wilson(*counts) for counts in zip(table.correct.tolist(), table.clips.tolist(), strict=True)]
    top1 = 100 * table.correct / table.clips.clip(lower=1)
    return table.assign(top1=top1, low=[100 * low for low, _ in bounds], high=[100 * high for _, high in bounds])


@remembered
def sweep(model: FrameFlexible, clips: Clips, *, progress: Progress | None = None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The tables of `accuracy` and `divergence` at the frame counts of `clips`, from the same forward passes."""
    results: Sequence[Result] = evaluate(model, clips, progress=progress)
    return accuracy(r.accuracy_row() for r in results), divergence(row for r in results for row in r.divergence_rows())


@remembered
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


def policies(rows: Iterable[Mapping[str, Any]], split: str = "test") -> pd.DataFrame:
    """Columns way, num_frames, top1, sd, seeds of what `ffn reproduce any-frame` recorded on a split.

    One row per way to answer and frame count: the mean over seeds in percent, and their standard deviation, NaN for
    one.
    """
    numbers = {"num_frames": int, "correct": int, "clips": int}
    table = pd.DataFrame([row for row in rows if row["split"] == split]).astype(numbers)
    by_way = table.assign(top1=100 * table.correct / table.clips).groupby(["way", "num_frames"], sort=False).top1
    return by_way.agg(top1="mean", sd="std", seeds="count").reset_index()


@remembered
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
    table = with_intervals(pd.DataFrame(rows)).assign(validation_top1=[100 * o.correct / o.clips for o in validated])
    return table.sort_values("gmacs", ignore_index=True)


def _outcome_row(found: Outcome) -> dict[str, Any]:
    return {
        "policy": "adaptive" if found.policy.thresholds else "fixed",
        "counts": ", ".join(map(str, found.policy.counts)),
        "gmacs": found.macs / 1e9,
        "num_frames": found.frames,
        "correct": found.correct,
        "clips": found.clips,
    }


def training(epochs: Iterable[Epoch]) -> pd.DataFrame:
    """Columns epoch, num_frames, loss, top1 of the training clips, one row per epoch and stream."""
    return pd.DataFrame(
        {"epoch": e.epoch, "num_frames": t, "loss": e.losses[t], "top1": 100 * e.accuracies[t]}
        for e in epochs
        for t in e.losses
    )
