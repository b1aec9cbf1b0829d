"""Views of what predictions cost."""

from collections.abc import Sequence

import pandas as pd

from workbench import plots
from workbench.views.view import Origin, View


def trade_off(
    origin: Origin, others: Sequence[Origin], table: pd.DataFrame, measure: str, num_frames: int, budget: float
) -> View:
    """Accuracy against a cost, of the network in question and others; `table` of `analysis.trade_offs`."""
    named, networks = origin.together(others)
    counts = sorted({int(t) for t in table.num_frames})
    python = origin.python(
        f"{networks}\ncounts = {counts}\n"
        "accuracies = {\n"
        "    title: analysis.sweep(network, clips_for(network.card, data, counts))[0]\n"
        "    for title, network in networks.items()\n"
        "}\n"
        "prices = analysis.prices(networks, counts)\n"
        f"{_latencies(measure)}"
        f"table = analysis.trade_offs(accuracies, prices, {measure!r})\n"
        f"figure = plots.trade_off(table, {measure!r}, {origin.title!r}, {num_frames}, {budget!r})",
        others=named,
    )
    figure = plots.trade_off(table, measure, origin.title, num_frames, budget)
    return View("trade_off", "Accuracy against cost", figure, table, python)


def _latencies(measure: str) -> str:
    return (
        "latencies = dict(list(analysis.latencies(networks, counts).groupby('network')))\n"
        "prices = {title: table.merge(latencies[title].drop(columns='network')) for title, table in prices.items()}\n"
        if measure == "p50"
        else ""
    )


def adaptive(origin: Origin, table: pd.DataFrame) -> View:
    """What stopping early gives; `table` of `budgets.adaptive`."""
    python = origin.python(
        f"validation = {origin.videos('val')}\n"
        "table = budgets.adaptive(model, validation, data)\n"
        "figure = plots.budget_curves(table)"
    )
    return View("adaptive", "Stopping when sure", plots.budget_curves(table), table, python)
