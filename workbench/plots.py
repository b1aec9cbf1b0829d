"""Tables as figures: the columns are those of `workbench.analysis`, and `alt_text` says in words what is to be seen.

Colours stand for trained frame counts and are told apart by colour-blind readers (Okabe and Ito 2008).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
import plotly.graph_objects as go
from plotly.colors import qualitative, sample_colorscale
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
WAYS = ("#8c8c8c", "#5ec8e5", "#d98c00", "#2f86cf", "#009e73")  # as trained, and what helps
RIGHT, WRONG = "#009e73", "#d55e00"
CHANGES = [[0.0, WRONG], [0.5, "#f2f2f2"], [1.0, "#2f86cf"]]  # fewer, none, more
CLASSES = (*qualitative.Safe, *qualitative.Dark24)  # of videos, in order of appearance
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


def attribution_bars(table: pd.DataFrame) -> go.Figure:
    """Accuracy recovered by one layer's norms alone, and by all ranked so far (table of `analysis.attribution`)."""
    figure = _figure(_attribution_alt(table), height=440, legend=LEGEND_ABOVE, xaxis={"tickangle": -45})
    figure.add_bar(
        x=table.layer,
        y=table.alone,
        name="this layer alone",
        marker_color=COLOURS[2],
        error_y=_errors(table, "alone"),
        hovertemplate="%{x}<br>%{y:.1f} points",
    )
    figure.add_scatter(
        x=table.layer,
        y=table.together,
        name="with all layers left of it",
        mode="lines+markers",
        line_color=SEVERAL[0],
        error_y=_errors(table, "together"),
        hovertemplate="%{x}<br>%{y:.1f} points",
    )
    return figure.update_yaxes(title="accuracy recovered (points)")


def gap_bars(table: pd.DataFrame) -> go.Figure:
    """Top-1 of every way to answer, grouped by frame count, with 95 % intervals (table of `analysis.gap`)."""
    figure = _figure(_gap_alt(table), height=420, legend=LEGEND_ABOVE, barmode="group")
    for place, (way, rows) in enumerate(table.groupby("way", sort=False)):
        figure.add_bar(
            x=[str(t) for t in rows.num_frames],
            y=rows.top1,
            name=str(way),
            marker_color=WAYS[place % len(WAYS)],
            error_y=_errors(rows, "top1"),
            hovertemplate="%{y:.1f} %",
        )
    figure.update_xaxes(title="frames per clip", type="category")
    return figure.update_yaxes(title="top-1 (%)", range=[0, 100])


def similarity_heatmap(table: pd.DataFrame, by: str = "num_frames") -> go.Figure:
    """CKA of rows of `analysis.similarity`, one per pair of frame counts of a layer, or with `by="layer"` of layers."""
    others = "other_frames" if by == "num_frames" else "other_layer"
    grid = table.pivot_table(index=by, columns=others, values="cka", sort=False)
    figure = _figure(_similarity_alt(table, by, others), height=140 + 40 * len(grid))
    figure.add_heatmap(
        x=[str(name) for name in grid.columns],
        y=[str(name) for name in grid.index],
        z=grid.to_numpy(),
        zmin=0,
        zmax=1,
        texttemplate="%{z:.2f}",
        colorscale="Cividis",
        colorbar={"title": {"text": "linear CKA (0 to 1)", "side": "right"}},
        hovertemplate="%{y} and %{x}<br>CKA %{z:.3f}<extra></extra>",
    )
    title = "frames per clip" if by == "num_frames" else "layer"
    figure.update_xaxes(title=title, type="category")
    return figure.update_yaxes(title=title, type="category", autorange="reversed")


def similarity_curves(table: pd.DataFrame, reference: int) -> go.Figure:
    """CKA of every layer with the same layer at `reference` frames, against frames (table of `analysis.similarity`)."""
    rows = table[(table.layer == table.other_layer) & (table.other_frames == reference)]
    figure = _figure(_similarity_curves_alt(rows, reference), height=420)
    for (layer, colour), (_, line) in zip(_layer_colours(rows).items(), rows.groupby("order"), strict=True):
        figure.add_scatter(
            x=line.num_frames,
            y=line.cka,
            name=layer,
            mode="lines+markers",
            line_color=colour,
            hovertemplate=f"{layer}<br>%{{y:.3f}}<extra></extra>",
        )
    figure.update_xaxes(_frames_axis([rows]))
    title = f"linear CKA with {reference} frames (0 to 1)"
    return figure.update_yaxes(title=title, range=[min(0, rows.cka.min()), 1.02])


def probe_curves(table: pd.DataFrame, native: int) -> go.Figure:
    """Top-1 of linear probes against frames, one colour per layer (table of `analysis.probes`).

    Solid: fitted at the count that it is tested at; dashed: fitted at the `native` count.
    """
    figure = _figure(_probes_alt(table, native), height=460)
    for layer, colour in _layer_colours(table).items():
        rows = table[table.layer == layer]
        ways = {"fitted there": rows.trained_at == rows.num_frames, f"fitted at {native}": rows.trained_at == native}
        for (way, kept), dash in zip(ways.items(), DASHES, strict=False):
            line = rows[kept]
            figure.add_scatter(
                x=line.num_frames,
                y=line.top1,
                name=f"{layer}, {way}",
                legendgroup=layer,
                mode="lines+markers",
                line={"color": colour, "dash": dash},
                hovertemplate=f"{layer}, {way}<br>%{{y:.1f}} %<extra></extra>",
            )
    figure.update_xaxes(_frames_axis([table]))
    return figure.update_yaxes(title="top-1 of the probe (%)", range=[0, 100])


def embedding(table: pd.DataFrame) -> go.Figure:
    """Videos in the plane of `analysis.components` or `analysis.maps`, a chart per frame count on the same axes."""
    counts = sorted(table.num_frames.unique())
    colours = dict(zip(table["class"].unique(), CLASSES * len(table), strict=False))
    titles = [f"{count} frame{'s' if count != 1 else ''}" for count in counts]
    figure = make_subplots(1, len(counts), shared_xaxes="all", shared_yaxes="all", subplot_titles=titles)
    for column, count in enumerate(counts, start=1):
        for name, rows in table[table.num_frames == count].groupby("class", sort=False):
            trace = go.Scatter(x=rows.x, y=rows.y, mode="markers", name=str(name), legendgroup=str(name))
            trace.update(marker={"color": colours[name], "size": 5, "opacity": 0.75}, showlegend=column == 1)
            trace.update(customdata=rows[["path"]], hovertemplate=f"{name}<br>%{{customdata[0]}}<extra></extra>")
            figure.add_trace(trace, row=1, col=column)
    named = _plane_axes(table)
    figure.update_xaxes(title=named["x"], showticklabels=False)
    figure.update_yaxes(title=named["y"], showticklabels=False, col=1)
    return figure.update_layout(_layout(_embedding_alt(table), height=440))


def stability_bars(table: pd.DataFrame) -> go.Figure:
    """How many videos have their last answer from which frame count on (table of `analysis.stability`)."""
    counts = table.groupby(["stable_from", "correct"]).size().unstack(fill_value=0)
    figure = _figure(_stability_alt(table), height=380, barmode="stack", legend=LEGEND_ABOVE)
    for correct, colour in ((True, RIGHT), (False, WRONG)):
        videos = 100 * counts.get(correct, 0 * counts.sum(axis=1)) / len(table)
        figure.add_bar(
            x=[str(t) for t in counts.index],
            y=videos,
            name=f"{'right' if correct else 'wrong'} in the end",
            marker_color=colour,
            hovertemplate="%{y:.1f} % of the videos",
        )
    figure.update_xaxes(title="frames per clip from which the answer stays", type="category")
    return figure.update_yaxes(title="videos (%)")


def flip_bars(table: pd.DataFrame) -> go.Figure:
    """Answers gained (up) and lost (down) at every frame count (table of `analysis.flip_counts`)."""
    figure = _figure(_flips_alt(table), height=380, barmode="relative", legend=LEGEND_ABOVE)
    for name, videos, colour in (("wrong to right", table.gained, RIGHT), ("right to wrong", -table.lost, WRONG)):
        figure.add_bar(
            x=[str(t) for t in table.num_frames],
            y=videos,
            name=name,
            marker_color=colour,
            customdata=videos.abs(),
            hovertemplate="%{customdata} videos",
        )
    figure.update_xaxes(title="frames per clip", type="category")
    return figure.update_yaxes(title=f"videos that flip against {table.reference.iloc[0]} frames")


def confusion_heatmap(table: pd.DataFrame) -> go.Figure:
    """Answers by class (table of `analysis.confusion`), or what changes (of `analysis.confusion_difference`)."""
    value = "difference" if "difference" in table else "clips"
    grid = table.pivot_table(index="class", columns="predicted", values=value, sort=False)
    end = max(1, int(table[value].abs().max()))
    span = {"zmin": -end, "zmax": end, "colorscale": CHANGES} if value == "difference" else {"colorscale": "Cividis"}
    figure = _figure(_confusion_alt(table, value), height=180 + 22 * len(grid))
    figure.add_heatmap(
        x=list(grid.columns),
        y=list(grid.index),
        z=grid.to_numpy(),
        **span,
        colorbar={"title": {"text": "videos" if value == "clips" else "videos more", "side": "right"}},
        hovertemplate="class %{y}<br>answer %{x}<br>%{z} videos<extra></extra>",
    )
    figure.update_xaxes(title="answer", type="category", tickangle=-45)
    return figure.update_yaxes(title="class", type="category", autorange="reversed")


def class_deviation_bars(table: pd.DataFrame, num_frames: int) -> go.Figure:
    """Points of top-1 that each class gains or loses at a frame count (table of `analysis.class_accuracy`)."""
    rows = table[table.num_frames == num_frames].sort_values("deviation")
    figure = _figure(_class_deviation_alt(rows, num_frames), height=400)
    figure.add_bar(
        x=rows["class"],
        y=rows.deviation,
        marker_color=[WRONG if points < 0 else RIGHT for points in rows.deviation],
        customdata=rows[["top1", "clips"]],
        hovertemplate="%{x}<br>%{y:+.1f} points, to %{customdata[0]:.1f} % of %{customdata[1]} videos<extra></extra>",
    )
    figure.update_xaxes(type="category", tickangle=-45)
    return figure.update_yaxes(title=f"top-1 at {num_frames} frames against the reference (points)")


def reliability_diagram(table: pd.DataFrame) -> go.Figure:
    """Accuracy against confidence in bins, with 95 % intervals (table of `analysis.reliability`)."""
    figure = _figure(_reliability_alt(table), height=420, showlegend=False)
    ideal = {"x": [0, 100], "y": [0, 100], "mode": "lines", "line": {"color": "#808a96", "dash": "dash"}}
    figure.add_scatter(**ideal, hoverinfo="skip")
    figure.add_bar(
        x=(table.above + table.up_to) / 2,
        y=table.top1,
        width=table.up_to - table.above,
        marker={"color": COLOURS[16], "opacity": 0.75},
        error_y=_errors(table.rename(columns={"low": "top1_low", "high": "top1_high"}), "top1"),
        customdata=table[["clips", "confidence"]],
        hovertemplate="%{customdata[0]} videos, confidence %{customdata[1]:.1f} %<br>right: %{y:.1f} %<extra></extra>",
    )
    figure.update_xaxes(title="confidence (%)", range=[0, 100])
    return figure.update_yaxes(title="top-1 (%)", range=[0, 100])


def calibration_curves(tables: Mapping[str, pd.DataFrame]) -> go.Figure:
    """Expected calibration error against frames, one curve per network (tables of `analysis.calibration`)."""
    figure = _figure(_calibration_alt(tables), height=400, hovermode="x unified")
    colours = ("#2f86cf", *SEVERAL) * len(tables)
    for place, ((name, table), colour) in enumerate(zip(tables.items(), colours, strict=False)):
        figure.add_scatter(
            x=table.num_frames,
            y=table.ece,
            name=name,
            mode="lines+markers",
            line={"color": colour, "dash": DASHES[place % len(DASHES)]},
            hovertemplate="%{y:.1f} %",
        )
    figure.update_xaxes(_frames_axis(tables.values()))
    return figure.update_yaxes(title="expected calibration error (%)", rangemode="tozero")


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


def _errors(table: pd.DataFrame, name: str) -> dict[str, Any]:
    above, below = table[f"{name}_high"] - table[name], table[name] - table[f"{name}_low"]
    return {"type": "data", "symmetric": False, "array": above, "arrayminus": below, "thickness": 1.2}


def _layer_colours(table: pd.DataFrame) -> dict[str, str]:
    """Layers in network order, from dark to light."""
    layers = table.drop_duplicates("order").sort_values("order")
    shades = [0.9 * order / max(1, table.order.max()) for order in layers.order]
    return dict(zip(layers.layer, sample_colorscale("Viridis", shades), strict=True))


def _plane_axes(table: pd.DataFrame) -> dict[str, str]:
    if "disparity" in table:
        return {"x": "t-SNE, aligned", "y": "t-SNE, aligned"}
    first = table.iloc[0]
    return {
        "x": f"component 1 ({first.x_share:.0f} % of the variance)",
        "y": f"component 2 ({first.y_share:.0f} % of the variance)",
    }


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
    if table[measure].isna().all():
        return "It was not recorded."
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


def _attribution_alt(table: pd.DataFrame) -> str:
    best, last = table.iloc[0], table.iloc[-1]
    return (
        f"Accuracy recovered by the norms of {len(table)} layers. {best.layer} alone recovers most, {best.alone:.1f} "
        f"points ({best.alone_low:.1f} to {best.alone_high:.1f}); all together recover {last.together:.1f}."
    )


def _gap_alt(table: pd.DataFrame) -> str:
    counts = [
        f"at {count} frames " + ", ".join(f"{row.way} {row.top1:.1f} %" for row in rows.itertuples())
        for count, rows in table.groupby("num_frames")
    ]
    return f"Top-1 by frames per clip and by what answers: {'; '.join(counts)}."


def _similarity_alt(table: pd.DataFrame, by: str, others: str) -> str:
    least = table.iloc[int(table.cka.argmin())]
    what = "frame counts" if by == "num_frames" else "layers"
    return (
        f"Linear CKA between {table[by].nunique()} and {table[others].nunique()} {what}. "
        f"Least alike: {least[by]} and {least[others]}, {least.cka:.2f}; median {table.cka.median():.2f}."
    )


def _similarity_curves_alt(rows: pd.DataFrame, reference: int) -> str:
    least = rows.iloc[int(rows.cka.argmin())]
    return (
        f"Linear CKA of {rows.layer.nunique()} layers with themselves at {reference} frames. "
        f"Least alike: {least.layer} at {least.num_frames} frames, {least.cka:.2f}."
    )


def _probes_alt(table: pd.DataFrame, native: int) -> str:
    shortest = table[table.num_frames == table.num_frames.min()]
    last = shortest[shortest.order == shortest.order.max()].set_index("trained_at").top1
    count = int(table.num_frames.min())
    return (
        f"Top-1 of linear probes of {table.layer.nunique()} layers against frames per clip. At {count} frames, in "
        f"{shortest.layer.iloc[-1]}: {last[count]:.1f} % fitted there, {last[native]:.1f} % fitted at {native}."
    )


def _embedding_alt(table: pd.DataFrame) -> str:
    what = "t-SNE maps, aligned," if "disparity" in table else "Two principal components"
    counts = ", ".join(map(str, sorted(table.num_frames.unique())))
    return (
        f"{what} of {table['index'].nunique()} videos of {table['class'].nunique()} classes at {counts} frames, "
        "on the same axes."
    )


def _stability_alt(table: pd.DataFrame) -> str:
    first, last = table.stable_from.min(), table.stable_from.max()
    early, late = (100 * (table.stable_from == t).mean() for t in (first, last))
    return (
        f"From which frame count the answer to {len(table)} videos stays: {early:.0f} % from {first}, "
        f"{late:.0f} % only at {last}; {100 * table.correct.mean():.0f} % are right in the end."
    )


def _flips_alt(table: pd.DataFrame) -> str:
    worst = table.iloc[int(table.lost.argmax())]
    return (
        f"Answers that flip against {worst.reference} frames. Most turn wrong at {worst.num_frames} frames: "
        f"{worst.lost} videos, while {worst.gained} turn right."
    )


def _confusion_alt(table: pd.DataFrame, value: str) -> str:
    off = table[table["class"] != table.predicted]
    most = off.iloc[int(off[value].argmax())]
    if value == "clips":
        right = table[table["class"] == table.predicted].clips.sum()
        return (
            f"{right} of {table.clips.sum()} videos are answered rightly. "
            f"Most often confused: {most['class']} answered {most.predicted}, {most.clips} videos."
        )
    grown = f"{most['class']} answered {most.predicted}, {most.difference:+d} videos"
    return f"Changes of answers by class. What grows most: {grown}."


def _class_deviation_alt(rows: pd.DataFrame, num_frames: int) -> str:
    low, high = rows.iloc[0], rows.iloc[-1]
    return (
        f"Change of top-1 at {num_frames} frames by class, from {low.deviation:+.1f} points ({low['class']}) "
        f"to {high.deviation:+.1f} ({high['class']})."
    )


def _reliability_alt(table: pd.DataFrame) -> str:
    clips = table.clips.sum()
    confidence = (table.confidence * table.clips).sum() / clips
    return (
        f"Accuracy against confidence of {clips} answers: confidence {confidence:.1f} % in the mean, "
        f"{100 * table.correct.sum() / clips:.1f} % right."
    )


def _calibration_alt(tables: Mapping[str, pd.DataFrame]) -> str:
    worst = {name: table.iloc[int(table.ece.argmax())] for name, table in tables.items()}
    ranges = [
        f"{name} from {tables[name].ece.min():.1f} % to {row.ece:.1f} %, at {row.num_frames:.0f} frames"
        for name, row in worst.items()
    ]
    return f"Expected calibration error against frames per clip. {'; '.join(ranges)}."


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
        for row in [rows.iloc[int(rows.top1.argmax())]]
    ]
    return f"Top-1 accuracy against GMACs per clip. {'; '.join(best)}."
