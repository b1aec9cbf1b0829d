"""The paper's tables, made again, as figures."""

import pandas as pd
import plotly.graph_objects as go

from workbench.plots.parts import LEGEND_ABOVE, frame_colour, new_figure
from workbench.words import in_frames


def method_dots(table: pd.DataFrame) -> go.Figure:
    """Top-1 of every method, a dot per tested frame count (table of `analysis.reproduced`).

    Networks of one frame count are shown at that count alone, as one line, "separate networks".
    """
    table = one_line_of_singles(table)
    methods = list(dict.fromkeys(table.method))
    figure = new_figure(_dots_alt(table), height=130 + 40 * len(methods), legend=LEGEND_ABOVE)
    for num_frames, rows in table.groupby("num_frames"):
        figure.add_scatter(
            x=rows.top1,
            y=rows.method,
            mode="markers",
            name=in_frames(num_frames),
            marker={"size": 12, "color": frame_colour(int(str(num_frames)))},
            error_x={"type": "data", "array": rows.sd.fillna(0), "thickness": 1.2},
            hovertemplate="%{y}: %{x:.1f} %",
        )
    figure.update_yaxes(categoryorder="array", categoryarray=methods[::-1], automargin=True)
    return figure.update_xaxes(title="top-1 (%), mean and standard deviation over seeds")


def one_line_of_singles(table: pd.DataFrame) -> pd.DataFrame:
    """The same with networks of one count at their own, as the method "separate networks"."""
    own = (table.method != "single") | (table.frames == table.num_frames.astype(str))
    return table[own].assign(method=table.method[own].replace("single", "separate networks"))


def _dots_alt(table: pd.DataFrame) -> str:
    lines = [
        f"{method} {', '.join(f'{row.top1:.1f} at {row.num_frames}' for row in rows.itertuples())}"
        for method, rows in table.groupby("method", sort=False)
    ]
    return f"Top-1 in percent by method and frames: {'; '.join(lines)}."
