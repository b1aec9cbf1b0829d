"""Accuracy, training and budgets as figures."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from workbench.plots.parts import (
    COLOURS,
    DASHES,
    LEGEND_BELOW,
    SEVERAL,
    WAYS,
    epoch_axis,
    figure_layout,
    frame_colour,
    frames_axis,
    new_figure,
)
from workbench.words import in_frames


def accuracy_curves(
    tables: Mapping[str, pd.DataFrame], num_frames: int | None = None, highlight: str | None = None
) -> go.Figure:
    """Top-1 against frames, one curve per network (tables of `analysis.accuracy`), `num_frames` marked.

    The network called `highlight` is drawn with its 95 % interval, the others step back.
    """
    traces = []
    for place, (name, colour) in enumerate(network_colours(tables).items()):
        if name == highlight:
            traces.append(_interval(tables[name], colour))
        traces.append(_curve(name, tables[name], colour, place, faint=highlight not in (None, name)))
    if num_frames is not None:
        traces.append(mark(num_frames, _value_at(tables.get(highlight or ""), num_frames)))
    layout = figure_layout(_accuracy_alt(tables, num_frames, highlight), height=470, hovermode="x unified")
    axes = {"xaxis": frames_axis(tables.values()), "yaxis": {"title": {"text": "top-1 (%)"}, "range": [0, 100]}}
    # Unchecked, as below: these charts are drawn at every move of the slider, and the checks take most of the time.
    return go.Figure({"data": traces, "layout": layout | axes}, _validate=False)


def training_curves(table: pd.DataFrame) -> go.Figure:
    """Loss and top-1 of the training clips against epochs, one line per stream (table of `analysis.training`)."""
    figure = make_subplots(rows=1, cols=2, subplot_titles=["loss", "top-1 (%)"])
    for num_frames, rows in table.groupby("num_frames"):
        for column, value in enumerate(("loss", "top1"), start=1):
            trace = go.Scatter(x=rows.epoch, y=rows[value], mode="lines+markers", hovertemplate="%{y:.2f}")
            trace.update(name=in_frames(num_frames), legendgroup=str(num_frames), showlegend=column == 1)
            trace.update(line_color=frame_colour(int(str(num_frames))))
            figure.add_trace(trace, row=1, col=column)
    figure.update_xaxes(epoch_axis(table))
    return figure.update_layout(figure_layout(_training_alt(table), height=340, legend=LEGEND_BELOW))


def train_test_matrix(table: pd.DataFrame) -> go.Figure:
    """Top-1 by trained and tested frame count, as numbers on colours.

    `table` has the columns trained (any label), num_frames and top1, one row per cell.
    """
    grid = table.pivot_table(index="trained", columns="num_frames", values="top1", sort=False).sort_index(axis=1)
    figure = new_figure(_matrix_alt(table), height=140 + 46 * len(grid))
    figure.add_heatmap(
        x=[str(t) for t in grid.columns],
        y=[str(name) for name in grid.index],
        z=grid.to_numpy(),
        texttemplate="%{z:.1f}",
        colorscale="Cividis",
        colorbar={"title": {"text": "top-1 (%)", "side": "right"}},
        hovertemplate="trained: %{y}<br>tested at %{x} frames<br>%{z:.1f} %<extra></extra>",
    )
    figure.update_xaxes(title="frames tested", type="category")
    return figure.update_yaxes(title="frames trained", type="category", autorange="reversed")


def budget_curves(table: pd.DataFrame) -> go.Figure:
    """Top-1 against GMACs per clip (table of `analysis.budget`): fixed frame counts, and stopping early when sure."""
    figure = new_figure(_budget_alt(table), height=440)
    for policy, colour, dash in (("fixed", COLOURS[16], "dash"), ("adaptive", SEVERAL[0], "solid")):
        rows = table[table.policy == policy]
        figure.add_scatter(
            x=rows.gmacs,
            y=rows.top1,
            name=f"{policy} frame counts",
            mode="lines+markers",
            line={"color": colour, "dash": dash},
            customdata=rows[["counts", "num_frames"]],
            hovertemplate="%{customdata[0]} frames, %{customdata[1]:.1f} in the mean<br>%{x:.3g} GMACs, %{y:.1f} %",
        )
    return figure.update_layout(
        xaxis={"title": "GMACs per clip, all passes", "rangemode": "tozero"}, yaxis={"title": "top-1 (%)"}
    )


def policy_curves(table: pd.DataFrame) -> go.Figure:
    """Top-1 against frames that were not trained, a curve per way to answer (table of `analysis.policies`).

    Bars are standard deviations over seeds.
    """
    figure = new_figure(_policy_alt(table), height=470)
    for place, (way, rows) in enumerate(table.groupby("way", sort=False)):
        figure.add_scatter(
            x=rows.num_frames,
            y=rows.top1,
            name=str(way),
            mode="lines+markers",
            line={"color": (*WAYS, *SEVERAL)[place], "dash": DASHES[place % len(DASHES)]},
            error_y={"type": "data", "array": rows.sd.fillna(0), "thickness": 1.2},
            customdata=rows.seeds,
            hovertemplate="%{x} frames: %{y:.1f} %, seeds: %{customdata}",
        )
    counts = sorted(table.num_frames.unique())
    figure.update_xaxes(frames_axis([table]) | {"tickvals": counts, "ticktext": [str(t) for t in counts]})
    return figure.update_yaxes(title="top-1 (%), mean and standard deviation over seeds")


def network_colours(tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
    """The colour of every network, by the trained count that answers; of its own where there are several."""
    spare = iter(SEVERAL * len(tables))
    branches = {name: table.branch.unique() for name, table in tables.items()}
    return {name: frame_colour(int(b[0])) if len(b) == 1 else next(spare) for name, b in branches.items()}


def _curve(name: str, table: pd.DataFrame, colour: str, place: int, *, faint: bool) -> dict[str, Any]:
    return dict(
        type="scatter",
        x=table.num_frames,
        y=table.top1,
        name=name,
        mode="lines" if faint else "lines+markers",
        line={
            "color": colour,
            "width": 1.75 if faint else 3,
            "dash": DASHES[place % len(DASHES)] if faint else "solid",
        },
        hovertemplate="%{y:.1f} %",
    )


def _interval(table: pd.DataFrame, colour: str) -> dict[str, Any]:
    return dict(
        type="scatter",
        x=[*table.num_frames, *table.num_frames[::-1]],
        y=[*table.high, *table.low[::-1]],
        fill="toself",
        fillcolor=_transparent(colour, 0.15),
        line={"width": 0},
        mode="lines",
        hoverinfo="skip",
        showlegend=False,
    )


def _transparent(colour: str, opacity: float) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity})"


def mark(x: float, value: float | None) -> dict[str, Any]:
    """A line at `x`, with a ring at a `value`, in percent."""
    # A trace, since shapes and annotations disagree about the units of a logarithmic axis.
    heights = [0, 100] if value is None else [0, value, 100]
    return dict(
        type="scatter",
        x=[x] * len(heights),
        y=heights,
        mode="lines+markers",
        line={"color": "#808a96", "width": 1.5, "dash": "dash"},
        marker={"size": [0, 13, 0][: len(heights)], "color": "#808a96", "symbol": "circle-open", "line": {"width": 3}},
        hoverinfo="skip",
        showlegend=False,
    )


def _value_at(table: pd.DataFrame | None, num_frames: int) -> float | None:
    found = [] if table is None else list(table.top1[table.num_frames == num_frames])
    return found[0] if found else None


def _accuracy_alt(tables: Mapping[str, pd.DataFrame], num_frames: int | None, highlight: str | None) -> str:
    ranges = [
        f"{name} from {table.top1.iloc[0]:.0f} % at {table.num_frames.iloc[0]} to {table.top1.iloc[-1]:.0f} % "
        f"at {in_frames(table.num_frames.iloc[-1])}"
        for name, table in tables.items()
        if len(table)
    ]
    value = _value_at(tables.get(highlight or ""), num_frames or 0)
    marked = "" if value is None else f" Marked: {highlight} at {in_frames(num_frames)}, {value:.1f} %."
    return f"Top-1 accuracy against frames per clip. {'; '.join(ranges)}.{marked}"


def _policy_alt(table: pd.DataFrame) -> str:
    ways = [
        f"{way} {', '.join(f'{row.top1:.1f} at {row.num_frames}' for row in rows.itertuples())}"
        for way, rows in table.groupby("way", sort=False)
    ]
    return f"Top-1 in percent at frame counts that were not trained, mean over seeds: {'; '.join(ways)}."


def _training_alt(table: pd.DataFrame) -> str:
    last = table[table.epoch == table.epoch.max()]
    ends = "; ".join(f"{in_frames(row.num_frames)} {row.loss:.2f} and {row.top1:.0f} %" for row in last.itertuples())
    return f"Loss and top-1 of the training clips over {table.epoch.nunique()} epochs. At the end: {ends}."


def _matrix_alt(table: pd.DataFrame) -> str:
    low, high = (table.iloc[int(place)] for place in (table.top1.argmin(), table.top1.argmax()))
    return (
        "Top-1 by frames trained and tested. "
        f"Lowest {low.top1:.1f} % (trained {low.trained}, tested {low.num_frames}); "
        f"highest {high.top1:.1f} % (trained {high.trained}, tested {high.num_frames})."
    )


def _budget_alt(table: pd.DataFrame) -> str:
    best = [
        f"{policy} frame counts reach {row.top1:.1f} % at {row.gmacs:.3g} GMACs"
        for policy, rows in table.groupby("policy")
        for row in [rows.iloc[int(rows.top1.argmax())]]
    ]
    return f"Top-1 accuracy against GMACs per clip. {'; '.join(best)}."
