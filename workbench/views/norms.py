"""Views of normalisation."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

from workbench import plots
from workbench.experiments import Experiment
from workbench.views.view import Origin, View
from workbench.words import in_frames


def divergence(origin: Origin, table: pd.DataFrame, num_frames: int, measure: str) -> View:
    """What the norms see at one frame count against what they normalise with; `table` of `analysis.divergence`."""
    rows, upper = table[table.num_frames == num_frames], table[measure].max()
    python = origin.python(
        f"accuracy, everything = analysis.sweep(model, clips)\n"
        f"table = everything[everything.num_frames == {num_frames}]\n"
        f"figure = plots.divergence_bars(table, {measure!r}, upper=everything[{measure!r}].max())",
        table.num_frames,
    )
    figure = plots.divergence_bars(rows, measure, upper=upper)
    return View("divergence", f"Norm statistics at {in_frames(num_frames)}", figure, rows, python)


def shifts(origin: Origin, table: pd.DataFrame, measure: str) -> View:
    """The same at every frame count, layer by layer."""
    python = origin.python(
        f"accuracy, table = analysis.sweep(model, clips)\nfigure = plots.divergence_heatmap(table, {measure!r})",
        table.num_frames,
    )
    return View("shifts", "How far the statistics move", plots.divergence_heatmap(table, measure), table, python)


def branches(origin: Origin, table: pd.DataFrame, measure: str) -> View:
    """How far the branches' statistics are apart; `table` of `analysis.branch_divergence`."""
    python = origin.python(
        f"table = analysis.branch_divergence(model)\nfigure = plots.branch_divergence_lines(table, {measure!r})"
    )
    return View("branches", "Between the branches", plots.branch_divergence_lines(table, measure), table, python)


def norms(origin: Origin, table: pd.DataFrame, beside: Origin | None = None) -> View:
    """What the norms hold, beside those of another network; `table` of `analysis.norm_parameters`."""
    others = {"other": beside} if beside else {}
    names = f"{{{origin.title!r}: model" + (f", {beside.title!r}: other}}" if beside else "}")
    python = origin.python(
        f"table = analysis.norm_parameters({names})\nfigure = plots.norm_parameters(table)", others=others
    )
    return View("norms", "What the norms hold", plots.norm_parameters(table), table, python)


def networks(origin: Origin, table: pd.DataFrame, measure: str, beside: Origin) -> View:
    """How far the statistics are from those of another network; `table` of `analysis.network_divergence`."""
    python = origin.python(
        "table = analysis.network_divergence(model, other)\n"
        f"figure = plots.network_divergence_lines(table, {measure!r})",
        others={"other": beside},
    )
    return View("networks", "Between the networks", plots.network_divergence_lines(table, measure), table, python)


def channels(origin: Origin, table: pd.DataFrame, layer: str, num_frames: int, policy: str = "nearest") -> View:
    """What the channels of one norm see against what they expect; `table` of `experiments.channels`."""
    by = {"nearest": "", "recalibrate": f", {policy!r}, unlabelled"}.get(policy, f", {policy!r}")
    python = origin.python(
        f"everything = experiments.channels(model, data, {num_frames}{by})\n"
        f"table = everything[everything.layer == {layer!r}]\n"
        "figure = plots.channel_shifts(table)"
    )
    rows = table[table.layer == layer]
    return View("channels", f"{layer} at {in_frames(num_frames)}", plots.channel_shifts(rows), rows, python)


def transplant(
    origin: Origin,
    table: pd.DataFrame,
    num_frames: int,
    source: Origin,
    source_branch: int,
    layers: str | None,
    what: Sequence[str],
) -> View:
    """Accuracy with norms of another branch or network; `table` of `experiments.transplantation`."""
    python = origin.python(
        f"table = experiments.transplantation(model, source, data, {num_frames}, {source_branch}, {layers!r}, {what!r})"
        "\nfigure = plots.gap_bars(table)",
        others={"source": source},
    )
    return View("transplant", "Norms transplanted", plots.gap_bars(table), table, python)


def experiment(
    origin: Origin, found: Experiment, num_frames: int, private: Origin | None = None, separate: Origin | None = None
) -> Sequence[View]:
    """Accuracy with statistics of each frame count, and what every layer's statistics give at `num_frames`.

    Where the gap to a network of that count alone is known, also how much of it each way to answer closes. `private`
    and `separate` are the networks that `experiments.recalibration` was given.
    """
    others = {name: at for name, at in {"private": private, "separate": separate}.items() if at}
    counts = sorted({int(t) for t in found.curves.num_frames})
    given = "".join(f", {name}={name}" for name in others) + f", counts={counts}"

    def view(key: str, title: str, figure: Any, table: pd.DataFrame, lines: str) -> View:
        running = f"found = experiments.recalibration(model, unlabelled, data, {num_frames}{given})\n"
        return View(key, title, figure, table, origin.python(running + lines, others=others))

    ways = {str(name): rows for name, rows in found.curves.groupby("network", sort=False)}
    curves = view(
        "curves",
        "With statistics of each frame count",
        plots.accuracy_curves(ways, num_frames, "recalibrated"),
        found.curves,
        "table = found.curves\nways = dict(list(table.groupby('network', sort=False)))\n"
        f"figure = plots.accuracy_curves(ways, {num_frames}, 'recalibrated')",
    )
    layers = view(
        "layers",
        f"Layer by layer at {in_frames(num_frames)}",
        plots.attribution_bars(found.attribution),
        found.attribution,
        "table = found.attribution\nfigure = plots.attribution_bars(table)",
    )
    if found.gap is None:
        return curves, layers
    drawn, python = plots.gap_bars(found.gap), "table = found.gap\nfigure = plots.gap_bars(table)"
    return (
        curves,
        layers,
        view("gap", f"What closes the gap at {in_frames(num_frames)}", drawn, found.gap, python),
    )
