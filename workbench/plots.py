"""Tables as figures: the columns are those of `workbench.analysis`, and `alt_text` says in words what is to be seen.

Colours stand for trained frame counts and are told apart by colour-blind readers (Okabe and Ito 2008).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

MEASURES = {
    "mean_shift": "mean shift (standard deviations)",
    "log_variance_ratio": "log variance ratio",
    "symmetric_kl": "symmetric KL (nats)",
    "wasserstein": "Wasserstein distance (standard deviations)",
}
PARAMETERS = {"mean": "running mean", "variance": "running variance", "weight": "weight", "bias": "bias"}
COLOURS = {1: "#8c8c8c", 2: "#5ec8e5", 4: "#d98c00", 8: "#009e73", 16: "#2f86cf", 32: "#8a5fbf"}
SEVERAL = ("#d55e00", "#cc79a7", "#a6761d")  # networks with several trained counts, in order of appearance
DASHES = ("solid", "dash", "dot", "dashdot", "longdash")
TICKS = [1, 2, 4, 8, 16, 32]
LEGEND_ABOVE = {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0}
LEGEND_BELOW = {"orientation": "h", "yanchor": "top", "y": -0.24, "x": 0}


def frame_colour(num_frames: int) -> str:
    """The colour of a trained frame count; of the nearest that has one, for the others."""
    return COLOURS[min(COLOURS, key=lambda known: abs(known / num_frames - 1))]


def alt_text(figure: go.Figure) -> str:
    """What a figure of this module shows, in a sentence or two, for those who cannot see it."""
    return figure.layout.meta["alt"]


def accuracy_curves(
    tables: Mapping[str, pd.DataFrame], num_frames: int | None = None, highlight: str | None = None
) -> go.Figure:
    """Top-1 against frames, one curve per network (tables of `analysis.accuracy`), `num_frames` marked.

    The network called `highlight` is drawn with its 95 % interval, the others step back.
    """
    traces = []
    for place, (name, colour) in enumerate(_network_colours(tables).items()):
        if name == highlight:
            traces.append(_interval(tables[name], colour))
        traces.append(_curve(name, tables[name], colour, place, faint=highlight not in (None, name)))
    if num_frames is not None:
        traces.append(_mark(num_frames, _value_at(tables.get(highlight or ""), num_frames)))
    layout = _layout(_accuracy_alt(tables, num_frames, highlight), height=470, hovermode="x unified")
    axes = {"xaxis": _frames_axis(tables.values()), "yaxis": {"title": {"text": "top-1 (%)"}, "range": [0, 100]}}
    # Unchecked, as below: these charts are drawn at every move of the slider, and the checks take most of the time.
    return go.Figure({"data": traces, "layout": layout | axes}, _validate=False)


def divergence_bars(table: pd.DataFrame, measure: str = "mean_shift", upper: float | None = None) -> go.Figure:
    """One measure of `analysis.divergence` at one frame count, layers in network order; `upper` ends the axis."""
    values, branches = table[measure].tolist(), table.branch.tolist()
    top = max(values, default=1.0)
    bars = {
        "type": "bar",
        "x": table.layer.tolist(),
        "y": values,
        "marker": {
            "color": [frame_colour(branch) for branch in branches],
            "opacity": [1.0 if value == top else 0.6 for value in values],
        },
        "text": [f"{value:.2f}" if value == top else "" for value in values],
        "textposition": "outside",
        "textfont": {"size": 13},
        "textangle": 0,
        "constraintext": "none",
        "cliponaxis": False,
        "hovertemplate": "%{x}<br>%{y:.3f}<extra></extra>",
    }
    layout = _layout(_bars_alt(table, measure), height=416, showlegend=False, bargap=0.25, xaxis={"tickangle": -45})
    yaxis = {"title": {"text": MEASURES[measure]}, "range": [0, 1.08 * (upper or top) or 1]}
    return go.Figure({"data": [bars], "layout": layout | {"yaxis": yaxis}}, _validate=False)


def divergence_heatmap(table: pd.DataFrame, measure: str = "mean_shift") -> go.Figure:
    """One measure of `analysis.divergence`, layers from top to bottom in network order, frame counts from left."""
    grid = table.pivot_table(index="order", columns="num_frames", values=measure)
    layers = table.drop_duplicates("order").set_index("order").layer.reindex(grid.index)
    figure = _figure(_heatmap_alt(table, measure), height=160 + 22 * len(grid))
    figure.add_heatmap(
        x=[str(t) for t in grid.columns],
        y=list(layers),
        z=grid.to_numpy(),
        colorscale="Cividis",
        colorbar={"title": {"text": MEASURES[measure], "side": "right"}},
        hovertemplate="%{y} at %{x} frames<br>%{z:.3f}<extra></extra>",
    )
    figure.update_xaxes(title="frames", type="category")
    return figure.update_yaxes(autorange="reversed")


def branch_divergence_lines(table: pd.DataFrame, measure: str = "mean_shift") -> go.Figure:
    """One measure of `analysis.branch_divergence` against the layers in network order, one line per branch."""
    figure = _figure(_branch_alt(table, measure), height=400, legend=LEGEND_ABOVE)
    for branch, rows in table.groupby("branch"):
        figure.add_scatter(
            x=rows.layer,
            y=rows[measure],
            name=f"branch {branch} from branch {rows.reference.iloc[0]}",
            mode="lines+markers",
            line_color=frame_colour(int(str(branch))),
            hovertemplate="%{x}<br>%{y:.3f}",
        )
    return figure.update_layout(
        yaxis={"title": MEASURES[measure], "rangemode": "tozero"}, xaxis={"tickangle": -45}, showlegend=True
    )


def norm_parameters(table: pd.DataFrame, parameters: Sequence[str] = tuple(PARAMETERS)) -> go.Figure:
    """Channel means of mu, sigma^2, gamma and beta against the layers, one line per network and branch.

    `table` is that of `analysis.norm_parameters`; `parameters` are its columns to draw: mean and variance are figure 3
    of the paper, weight and bias figure 10, all four figure 11.
    """
    titles = [PARAMETERS[name] for name in parameters]
    rows = -(-len(titles) // 2)
    figure = make_subplots(rows=rows, cols=min(2, len(titles)), subplot_titles=titles, vertical_spacing=0.14)
    networks = list(table.network.unique())
    for (name, branch), lines in table.groupby(["network", "branch"], sort=False):
        line = {"color": frame_colour(int(str(branch))), "dash": DASHES[networks.index(name) % len(DASHES)]}
        label = name if table[table.network == name].branch.nunique() == 1 else f"{name}, branch {branch}"
        for place, parameter in enumerate(parameters):
            trace = go.Scatter(x=lines.order, y=lines[parameter], name=label, legendgroup=label, line=line)
            trace.update(showlegend=place == 0, customdata=lines.layer, hovertemplate="%{customdata}<br>%{y:.3f}")
            figure.add_trace(trace, row=place // 2 + 1, col=place % 2 + 1)
    figure.update_xaxes(title="layer, in network order", row=rows)
    legend = LEGEND_BELOW | {"y": -0.28 / rows}
    return figure.update_layout(_layout(_parameters_alt(table, titles), height=40 + 260 * rows, legend=legend))


def norm_inputs(table: pd.DataFrame) -> go.Figure:
    """Mean and variance of what goes into every norm against frames, one line per layer (`analysis.norm_inputs`)."""
    titles = ["mean of the input", "variance of the input"]
    figure = make_subplots(rows=1, cols=2, subplot_titles=titles)
    colours = sample_colorscale(
        "Cividis", [order / max(1, table.order.max()) for order in sorted(table.order.unique())]
    )
    for colour, (layer, rows) in zip(colours, table.groupby("layer", sort=False), strict=True):
        for column, value in enumerate(("mean", "variance"), start=1):
            trace = go.Scatter(x=rows.num_frames, y=rows[value], name=str(layer), mode="lines", line_color=colour)
            trace.update(legendgroup=str(layer), showlegend=column == 1, hovertemplate=f"{layer}<br>%{{y:.3f}}")
            figure.add_trace(trace, row=1, col=column)
    figure.update_xaxes(_frames_axis([table]))
    return figure.update_layout(_layout(_inputs_alt(table), height=420, legend=LEGEND_BELOW))


def training_curves(table: pd.DataFrame) -> go.Figure:
    """Loss and top-1 of the training clips against epochs, one line per stream (table of `analysis.training`)."""
    figure = make_subplots(rows=1, cols=2, subplot_titles=["loss", "top-1 of training clips (%)"])
    for num_frames, rows in table.groupby("num_frames"):
        for column, value in enumerate(("loss", "top1"), start=1):
            trace = go.Scatter(x=rows.epoch, y=rows[value], mode="lines+markers", hovertemplate="%{y:.2f}")
            trace.update(name=f"{num_frames} frames", legendgroup=str(num_frames), showlegend=column == 1)
            trace.update(line_color=frame_colour(int(str(num_frames))))
            figure.add_trace(trace, row=1, col=column)
    figure.update_xaxes(title="epoch")
    return figure.update_layout(_layout(_training_alt(table), height=340, legend=LEGEND_BELOW))


def train_test_matrix(table: pd.DataFrame) -> go.Figure:
    """Top-1 by trained and tested frame count, as numbers on colours.

    `table` has the columns trained (any label), num_frames and top1, one row per cell.
    """
    grid = table.pivot_table(index="trained", columns="num_frames", values="top1", sort=False).sort_index(axis=1)
    figure = _figure(_matrix_alt(table), height=140 + 46 * len(grid))
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
    figure = _figure(_budget_alt(table), height=440)
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


# --- Parts of figures -----------------------------------------------------------------------------------------


def _layout(alt: str, **layout: Any) -> dict[str, Any]:
    margin = {"l": 8, "r": 8, "t": 28, "b": 8}
    return {"meta": {"alt": alt}, "margin": margin, "legend": LEGEND_BELOW, **layout}


def _figure(alt: str, **layout: Any) -> go.Figure:
    return go.Figure(layout=_layout(alt, **layout))


def _frames_axis(tables: Iterable[pd.DataFrame]) -> dict[str, Any]:
    # Always the same span, so that nothing jumps while results come in.
    longest = max([TICKS[-1], *(int(count) for table in tables for count in table.num_frames)])
    ticks = [*TICKS, *([longest] if longest > TICKS[-1] else [])]
    ends = [math.log10(0.92 * ticks[0]), math.log10(1.08 * ticks[-1])]
    labels = [str(t) for t in ticks]
    return {
        "title": {"text": "frames per clip", "standoff": 4},
        "type": "log",
        "range": ends,
        "tickvals": ticks,
        "ticktext": labels,
    }


def _network_colours(tables: Mapping[str, pd.DataFrame]) -> dict[str, str]:
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


def _mark(num_frames: int, value: float | None) -> dict[str, Any]:
    # A trace, since shapes and annotations disagree about the units of a logarithmic axis.
    heights = [0, 100] if value is None else [0, value, 100]
    return dict(
        type="scatter",
        x=[num_frames] * len(heights),
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


# --- What figures show, in words ------------------------------------------------------------------------------


def _accuracy_alt(tables: Mapping[str, pd.DataFrame], num_frames: int | None, highlight: str | None) -> str:
    ranges = [
        f"{name} from {table.top1.iloc[0]:.0f} % at {table.num_frames.iloc[0]} to {table.top1.iloc[-1]:.0f} % "
        f"at {table.num_frames.iloc[-1]} frames"
        for name, table in tables.items()
        if len(table)
    ]
    value = _value_at(tables.get(highlight or ""), num_frames or 0)
    marked = "" if value is None else f" Marked: {highlight} at {num_frames} frames, {value:.1f} %."
    return f"Top-1 accuracy against frames per clip. {'; '.join(ranges)}.{marked}"


def _bars_alt(table: pd.DataFrame, measure: str) -> str:
    if not len(table):
        return f"{MEASURES[measure]} per norm layer: nothing is known yet."
    return f"{MEASURES[measure]} of {len(table)} norm layers in network order. {_largest(table, measure)}"


def _heatmap_alt(table: pd.DataFrame, measure: str) -> str:
    return f"{MEASURES[measure]} by layer and frames. {_largest(table, measure)}"


def _branch_alt(table: pd.DataFrame, measure: str) -> str:
    branches = ", ".join(str(branch) for branch in table.branch.unique())
    return f"{MEASURES[measure]} of the norms of branches {branches} from the longest. {_largest(table, measure)}"


def _largest(table: pd.DataFrame, measure: str) -> str:
    worst = table.iloc[int(table[measure].argmax())]
    where = f" at {worst.num_frames} frames" if "num_frames" in table else ""
    return f"Largest: {worst[measure]:.2f} in {worst.layer}{where}; median {table[measure].median():.2f}."


def _parameters_alt(table: pd.DataFrame, titles: Sequence[str]) -> str:
    networks = ", ".join(table.network.unique())
    return f"Channel means of {', '.join(titles)} of {table.order.nunique()} norm layers: {networks}."


def _inputs_alt(table: pd.DataFrame) -> str:
    ranges = table.groupby("layer", sort=False).variance.agg(lambda values: values.max() / max(values.min(), 1e-12))
    return (
        f"Mean and variance of what goes into {len(ranges)} norm layers at {table.num_frames.nunique()} frame counts. "
        f"The variance changes most in {ranges.idxmax()}, by a factor of {ranges.max():.2f}."
    )


def _training_alt(table: pd.DataFrame) -> str:
    last = table[table.epoch == table.epoch.max()]
    ends = "; ".join(f"{row.num_frames} frames {row.loss:.2f} and {row.top1:.0f} %" for row in last.itertuples())
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
        for row in [rows.loc[rows.top1.idxmax()]]
    ]
    return f"Top-1 accuracy against GMACs per clip. {'; '.join(best)}."
