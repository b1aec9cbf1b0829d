"""Accuracy against what it costs, and what is stored, as figures."""

from math import ceil, floor, log10
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from workbench.plots.accuracies import mark, network_colours
from workbench.plots.parts import frame_colour, new_figure
from workbench.words import in_frames

EXPENSES = {"gmacs": "GMACs per clip", "memory": "peak memory per clip (MB)", "p50": "median latency per clip (ms)"}
SHARED = "#aab2bd"
MARK = "#808a96"


def trade_off(
    table: pd.DataFrame,
    measure: str = "gmacs",
    highlight: str | None = None,
    num_frames: int | None = None,
    budget: float | None = None,
) -> go.Figure:
    """Top-1 against a cost, one line per network (table of `analysis.trade_offs`), the Pareto front ringed.

    The network called `highlight` is drawn thicker, and a line marks it at `num_frames`. What costs more than a
    `budget` is shaded.
    """
    figure = new_figure(_trade_off_alt(table, measure, budget), height=480)
    tables = {str(name): rows.sort_values(measure) for name, rows in table.groupby("network", sort=False)}
    for name, colour in network_colours(tables).items():
        figure.add_trace(_line(name, tables[name], measure, colour, faint=highlight not in (None, name)))
    best = table[table.front].sort_values(measure)
    figure.add_scatter(
        x=best[measure],
        y=best.top1,
        text=best.num_frames,
        name="Pareto front, with its frames",
        mode="markers+text",
        textposition="top center",
        marker={"size": 13, "symbol": "circle-open", "color": MARK, "line": {"width": 2}},
        hoverinfo="skip",
    )
    chosen = table[(table.network == highlight) & (table.num_frames == num_frames)]
    for cost, top1 in zip(chosen[measure], chosen.top1, strict=True):
        figure.add_trace(mark(cost, top1))
    if budget:
        figure.add_vrect(budget, 2 * max(budget, table[measure].max()), fillcolor=MARK, opacity=0.15, line_width=0)
    figure.update_xaxes(title=EXPENSES[measure], type="log", **_ticks(table[measure]))
    return figure.update_yaxes(title="top-1 (%)", range=[0, 100])


def _line(name: str, rows: pd.DataFrame, measure: str, colour: str, *, faint: bool) -> go.Scatter:
    return go.Scatter(
        x=rows[measure],
        y=rows.top1,
        name=name,
        mode="lines+markers",
        line={"color": colour, "width": 1.25 if faint else 3},
        marker={"size": 4 if faint else 7},
        customdata=rows[["num_frames", "low", "high"]],
        hovertemplate="%{customdata[0]} frames: %{y:.1f} % (%{customdata[1]:.1f} to %{customdata[2]:.1f})",
    )


def _ticks(costs: pd.Series) -> dict[str, Any]:
    """A logarithmic axis that says 1, 2, 5, 10."""
    low, high = 0.85 * costs.min(), 1.15 * costs.max()
    values = [digit * 10.0**power for power in range(floor(log10(low)), ceil(log10(high))) for digit in (1, 2, 5)]
    return {"range": [log10(low), log10(high)], "tickvals": values, "ticktext": [f"{value:g}" for value in values]}


def storage_bars(table: pd.DataFrame) -> go.Figure:
    """Megabytes of what is stored, part by part (table of `analysis.storage`), one bar per network and form."""
    bars = table.assign(bar=table.network + "<br>" + table.form)
    order = bars.bar.unique().tolist()
    figure = new_figure(_storage_alt(table), height=150 + 52 * len(order), barmode="stack")
    for part, rows in bars.sort_values("num_frames", kind="stable").groupby("part", sort=False):
        num_frames = int(rows.num_frames.iloc[0])
        figure.add_bar(
            y=rows.bar,
            x=rows.megabytes,
            name=str(part),
            orientation="h",
            marker_color=frame_colour(num_frames) if num_frames else SHARED,
            customdata=rows.params / 1e6,
            hovertemplate="%{x:.3g} MB, %{customdata:.3g} M parameters",
        )
    figure.update_layout(legend={"traceorder": "normal", "y": -1.4 / len(order)})  # below the title of a low chart
    figure.update_xaxes(title="stored (MB)")
    return figure.update_yaxes(categoryorder="array", categoryarray=order, autorange="reversed", automargin=True)


def _trade_off_alt(table: pd.DataFrame, measure: str, budget: float | None) -> str:
    best = table[table.front].sort_values(measure)
    ends = [
        f"{row.network} at {in_frames(row.num_frames)}, {row.top1:.1f} % for {getattr(row, measure):.3g}"
        for row in [*best.head(1).itertuples(), *best.tail(1).itertuples()]
    ]
    line = "" if budget is None else f" A line marks {budget:.3g}."
    return f"Top-1 accuracy against {EXPENSES[measure]}. The Pareto front goes from {' to '.join(ends)}.{line}"


def _storage_alt(table: pd.DataFrame) -> str:
    totals = table.groupby(["network", "form"], sort=False, as_index=False).megabytes.sum()
    said = [f"{row.network}, {row.form}: {row.megabytes:.3g}" for row in totals.itertuples()]
    return f"Megabytes stored. {'; '.join(said)}."
