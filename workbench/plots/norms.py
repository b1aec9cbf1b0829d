"""Norm layers as figures."""

from collections.abc import Sequence

import pandas as pd
import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from workbench.plots.parts import (
    COLOURS,
    DASHES,
    LEGEND_ABOVE,
    LEGEND_BELOW,
    MEASURES,
    PARAMETERS,
    SEVERAL,
    WAYS,
    colour_bar,
    error_bars,
    figure_layout,
    frame_colour,
    frames_axis,
    new_figure,
)
from workbench.words import in_frames

_PANELS = (  # what is compared: title, expected column and its name, seen column
    ("mean, in", "expected_mean", "running mean", "mean"),
    ("variance, in", "expected_variance", "running variance", "variance"),
    ("mean, out", "bias", "bias", "mean_out"),
    ("deviation, out", "weight", "|weight|", "deviation_out"),
)


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
    layout = figure_layout(
        _bars_alt(table, measure), height=416, showlegend=False, bargap=0.25, xaxis={"tickangle": -45}
    )
    yaxis = {"title": {"text": MEASURES[measure]}, "range": [0, 1.08 * (upper or top) or 1]}
    return go.Figure({"data": [bars], "layout": layout | {"yaxis": yaxis}}, _validate=False)


def divergence_heatmap(table: pd.DataFrame, measure: str = "mean_shift") -> go.Figure:
    """One measure of `analysis.divergence`, layers from top to bottom in network order, frame counts from left."""
    grid = table.pivot_table(index="order", columns="num_frames", values=measure)
    layers = table.drop_duplicates("order").set_index("order").layer.reindex(grid.index)
    figure = new_figure(_heatmap_alt(table, measure), height=190 + 22 * len(grid))
    figure.add_heatmap(
        x=[str(t) for t in grid.columns],
        y=list(layers),
        z=grid.to_numpy(),
        colorscale="Cividis",
        colorbar=colour_bar(MEASURES[measure]),
        hovertemplate="%{y} at %{x} frames<br>%{z:.3f}<extra></extra>",
    )
    figure.update_xaxes(title="frames", type="category")
    return figure.update_yaxes(autorange="reversed")


def branch_divergence_lines(table: pd.DataFrame, measure: str = "mean_shift") -> go.Figure:
    """One measure of `analysis.branch_divergence` against the layers in network order, one line per branch."""
    return _divergence_lines(table, measure, _branch_alt(table, measure))


def network_divergence_lines(table: pd.DataFrame, measure: str = "mean_shift") -> go.Figure:
    """One measure of `analysis.network_divergence` against the layers in network order, one line per branch."""
    return _divergence_lines(table, measure, _networks_alt(table, measure))


def _divergence_lines(table: pd.DataFrame, measure: str, alt: str) -> go.Figure:
    figure = new_figure(alt, height=400, legend=LEGEND_ABOVE)
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
    return figure.update_layout(figure_layout(_parameters_alt(table, titles), height=40 + 260 * rows, legend=legend))


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
    figure.update_xaxes(frames_axis([table]))
    return figure.update_layout(figure_layout(_inputs_alt(table), height=420, legend=LEGEND_BELOW))


def channel_shifts(table: pd.DataFrame) -> go.Figure:
    """One norm's channels as points, what they see against what they expect (rows of `analysis.channel_shifts`).

    Where the two agree a point lies on the diagonal. Norms that do not normalise by channel have no panels for what
    comes out.
    """
    seen = table.assign(weight=table.weight.abs())
    panels = _PANELS if table.mean_out.notna().any() else _PANELS[:2]
    rows = len(panels) // 2
    titles = [title for title, *_ in panels]
    figure = make_subplots(rows=rows, cols=2, subplot_titles=titles, vertical_spacing=0.2, horizontal_spacing=0.1)
    for place, (_, expected, name, found) in enumerate(panels):
        at = {"row": place // 2 + 1, "col": place % 2 + 1}
        for trace in _against(seen, expected, found):
            figure.add_trace(trace, **at)
        figure.update_traces(showlegend=place == 0, **at)
        figure.update_xaxes(title=name, **at)
    figure.update_yaxes(title=f"at {in_frames(table.num_frames.iloc[0])}", col=1)
    legend = LEGEND_BELOW | {"y": -0.3 / rows}
    return figure.update_layout(figure_layout(_channels_alt(table), height=60 + 290 * rows, legend=legend))


def _against(seen: pd.DataFrame, expected: str, found: str) -> tuple[go.Scatter, go.Scatter]:
    """The diagonal, and the channels."""
    ends = [seen[[expected, found]].min().min(), seen[[expected, found]].max().max()]
    diagonal = go.Scatter(x=ends, y=ends, mode="lines", name="as expected", hoverinfo="skip")
    diagonal.update(line={"color": COLOURS[1], "dash": "dot", "width": 1.5})
    points = go.Scatter(x=seen[expected], y=seen[found], mode="markers", customdata=seen.channel, name="a channel")
    points.update(marker={"color": SEVERAL[0], "size": 6, "opacity": 0.7})
    points.update(hovertemplate="channel %{customdata}<br>expected %{x:.3f}, seen %{y:.3f}<extra></extra>")
    return diagonal, points


def attribution_bars(table: pd.DataFrame) -> go.Figure:
    """Accuracy recovered by one layer's norms alone, and by all ranked so far (table of `analysis.attribution`)."""
    figure = new_figure(_attribution_alt(table), height=440, legend=LEGEND_ABOVE, xaxis={"tickangle": -45})
    figure.add_bar(
        x=table.layer,
        y=table.alone,
        name="this layer alone",
        marker_color=COLOURS[2],
        error_y=error_bars(table, "alone"),
        hovertemplate="%{x}<br>%{y:.1f} points",
    )
    figure.add_scatter(
        x=table.layer,
        y=table.together,
        name="with all layers left of it",
        mode="lines+markers",
        line_color=SEVERAL[0],
        error_y=error_bars(table, "together"),
        hovertemplate="%{x}<br>%{y:.1f} points",
    )
    return figure.update_yaxes(title="accuracy recovered (points)")


def gap_bars(table: pd.DataFrame) -> go.Figure:
    """Top-1 of every way to answer, grouped by frame count, with 95 % intervals (table of `analysis.gap`)."""
    figure = new_figure(_gap_alt(table), height=420, legend=LEGEND_ABOVE, barmode="group")
    for place, (way, rows) in enumerate(table.groupby("way", sort=False)):
        figure.add_bar(
            x=[str(t) for t in rows.num_frames],
            y=rows.top1,
            name=str(way),
            marker_color=WAYS[place % len(WAYS)],
            error_y=error_bars(rows, "top1"),
            hovertemplate="%{y:.1f} %",
        )
    figure.update_xaxes(title="frames per clip", type="category")
    return figure.update_yaxes(title="top-1 (%)", range=[0, 100])


def _bars_alt(table: pd.DataFrame, measure: str) -> str:
    if not len(table):
        return f"{MEASURES[measure]} per norm layer: nothing is known yet."
    return f"{MEASURES[measure]} of {len(table)} norm layers in network order. {_largest(table, measure)}"


def _heatmap_alt(table: pd.DataFrame, measure: str) -> str:
    return f"{MEASURES[measure]} by layer and frames. {_largest(table, measure)}"


def _branch_alt(table: pd.DataFrame, measure: str) -> str:
    branches = ", ".join(str(branch) for branch in table.branch.unique())
    return f"{MEASURES[measure]} of the norms of branches {branches} from the longest. {_largest(table, measure)}"


def _networks_alt(table: pd.DataFrame, measure: str) -> str:
    pairs = table.drop_duplicates(["branch", "reference"])
    said = ", ".join(f"branch {row.branch} from branch {row.reference}" for row in pairs.itertuples())
    return f"{MEASURES[measure]} of the norms of two networks: {said}. {_largest(table, measure)}"


def _channels_alt(table: pd.DataFrame) -> str:
    shifts = (table["mean"] - table.expected_mean).abs() / table.expected_variance**0.5
    return (
        f"What {len(table)} channels of {table.layer.iloc[0]} see at {in_frames(table.num_frames.iloc[0])} against "
        f"what they expect. Channel {table.channel.iloc[int(shifts.argmax())]} is furthest off, its mean by "
        f"{shifts.max():.2f} standard deviations; the median is {shifts.median():.2f}."
    )


def _largest(table: pd.DataFrame, measure: str) -> str:
    if table[measure].isna().all():
        return "It was not recorded."
    worst = table.iloc[int(table[measure].argmax())]
    where = f" at {in_frames(worst.num_frames)}" if "num_frames" in table else ""
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


def _attribution_alt(table: pd.DataFrame) -> str:
    best, last = table.iloc[0], table.iloc[-1]
    return (
        f"Accuracy recovered by the norms of {len(table)} layers. {best.layer} alone recovers most, {best.alone:.1f} "
        f"points ({best.alone_low:.1f} to {best.alone_high:.1f}); all together recover {last.together:.1f}."
    )


def _gap_alt(table: pd.DataFrame) -> str:
    counts = [
        f"at {in_frames(count)} " + ", ".join(f"{row.way} {row.top1:.1f} %" for row in rows.itertuples())
        for count, rows in table.groupby("num_frames")
    ]
    return f"Top-1 by frames per clip and by what answers: {'; '.join(counts)}."
