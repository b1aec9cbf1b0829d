"""Views of several networks against one another."""

from collections.abc import Mapping, Sequence

import pandas as pd

from workbench import plots
from workbench.views.view import Origin, View


def compared(origin: Origin, others: Sequence[Origin], tables: Mapping[str, pd.DataFrame], num_frames: int) -> View:
    """Accuracy against frames of all networks; `tables` of `analysis.accuracy` by title."""
    named, networks = origin.together(others)
    table = pd.concat(tables, names=["network"]).reset_index(level="network").reset_index(drop=True)
    python = origin.python(
        f"{networks}\ncounts = {_counts(table)}\n"
        "tables = {\n"
        "    title: analysis.sweep(network, clips_for(network.card, data, counts))[0]\n"
        "    for title, network in networks.items()\n"
        "}\n"
        "table = pd.concat(tables, names=['network']).reset_index(level='network').reset_index(drop=True)\n"
        f"figure = plots.accuracy_curves(tables, {num_frames}, {origin.title!r})",
        others=named,
    )
    figure = plots.accuracy_curves(tables, num_frames, origin.title)
    return View("compared", "Accuracy against frames", figure, table, python)


def differences(origin: Origin, others: Sequence[Origin], table: pd.DataFrame) -> View:
    """Points of top-1 against the network in question; `table` of `analysis.differences`."""
    named, networks = origin.together(others)
    python = origin.python(
        f"{networks}\ncounts = {_counts(table)}\n"
        "found = {\n"
        "    title: ffn.Decisions.from_results(ffn.evaluate(network, clips_for(network.card, data, counts)))\n"
        "    for title, network in networks.items()\n"
        "}\n"
        f"table = analysis.differences(found, {origin.title!r})\n"
        "figure = plots.difference_curves(table)",
        others=named,
    )
    return View("differences", "Differences on the same videos", plots.difference_curves(table), table, python)


def storage(origin: Origin, others: Sequence[Origin], table: pd.DataFrame) -> View:
    """What has to be stored; `table` of `analysis.storage`."""
    named, networks = origin.together(others)
    python = origin.python(
        f"{networks}\ntable = analysis.storage(networks)\nfigure = plots.storage_bars(table)", others=named
    )
    return View("storage", "What has to be stored", plots.storage_bars(table), table, python)


def _counts(table: pd.DataFrame) -> list[int]:
    return sorted({int(t) for t in table.num_frames})
