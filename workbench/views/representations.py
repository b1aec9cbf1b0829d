"""Views of representations: where videos lie, what is alike, what can be read from the features.

All are of `extraction.features`.
"""

import pandas as pd

from workbench import plots
from workbench.extraction import VIDEOS
from workbench.views.view import Origin, View
from workbench.words import in_frames

FEATURES = f"features = ffn.extract_features(model, clips, videos={VIDEOS})\n"


def embedding(origin: Origin, table: pd.DataFrame, layer: str, num_frames: int, reference: int | None = None) -> View:
    """Where the videos lie at every count; `table` of `analysis.components`, of `analysis.maps` with a `reference`."""
    python = _python(
        origin,
        f"table = {_placed(layer, reference)}\nfigure = plots.embedding_over_frames(table, {num_frames})",
        table.num_frames,
    )
    figure = plots.embedding_over_frames(table, num_frames)
    return View("embedding", f"Where the videos lie: {layer}", figure, table, python)


def side_by_side(
    origin: Origin, table: pd.DataFrame, layer: str, num_frames: int, native: int, reference: int | None = None
) -> View:
    """The same at two counts beside each other."""
    python = _python(
        origin,
        f"everything = {_placed(layer, reference)}\n"
        f"table = everything[everything.num_frames.isin({[num_frames, native]})]\n"
        "figure = plots.embedding(table)",
        table.num_frames,
    )
    rows = table[table.num_frames.isin([num_frames, native])]
    return View("side_by_side", f"At {in_frames(num_frames)}, and at {native}", plots.embedding(rows), rows, python)


def similarity_frames(origin: Origin, table: pd.DataFrame, layer: str) -> View:
    """How alike one layer's features are at every pair of frame counts; `table` of `analysis.similarity`."""
    python = _python(
        origin,
        "everything = analysis.similarity(features)\n"
        f"table = everything[(everything.layer == {layer!r}) & (everything.other_layer == {layer!r})]\n"
        "figure = plots.similarity_heatmap(table)",
        table.num_frames,
    )
    rows = table[(table.layer == layer) & (table.other_layer == layer)]
    return View("similarity_frames", f"{layer} between frame counts", plots.similarity_heatmap(rows), rows, python)


def similarity_curves(origin: Origin, table: pd.DataFrame, native: int) -> View:
    """How alike every layer is to itself at the `native` count."""
    python = _python(
        origin,
        f"table = analysis.similarity(features)\nfigure = plots.similarity_curves(table, {native})",
        table.num_frames,
    )
    figure = plots.similarity_curves(table, native)
    return View("similarity_curves", f"Every layer, against itself at {in_frames(native)}", figure, table, python)


def similarity_layers(origin: Origin, table: pd.DataFrame, num_frames: int, native: int) -> View:
    """How alike the layers at one count are to those at another."""
    titles = [f"layer at {in_frames(num_frames)}", f"layer at {in_frames(native)}"]
    python = _python(
        origin,
        "everything = analysis.similarity(features)\n"
        f"table = everything[(everything.num_frames == {num_frames}) & (everything.other_frames == {native})]\n"
        f"figure = plots.similarity_heatmap(table, 'layer', {titles!r})",
        table.num_frames,
    )
    rows = table[(table.num_frames == num_frames) & (table.other_frames == native)]
    figure = plots.similarity_heatmap(rows, "layer", titles)
    return View("similarity_layers", "Between layers", figure, rows, python)


def similarity_networks(origin: Origin, table: pd.DataFrame, num_frames: int, other: Origin) -> View:
    """How alike the layers of two networks are at one count; `table` of `analysis.similarity` of both."""
    titles = [origin.title, other.title]
    python = origin.python(
        FEATURES + f"others = ffn.extract_features(other, clips_for(other.card, data, clips.frames), videos={VIDEOS})\n"
        f"everything = analysis.similarity(features, others)\n"
        f"table = everything[(everything.num_frames == {num_frames}) & (everything.other_frames == {num_frames})]\n"
        f"figure = plots.similarity_heatmap(table, 'layer', {titles!r})",
        table.num_frames,
        {"other": other},
    )
    rows = table[(table.num_frames == num_frames) & (table.other_frames == num_frames)]
    figure = plots.similarity_heatmap(rows, "layer", titles)
    return View("similarity_networks", f"Two networks at {in_frames(num_frames)}", figure, rows, python)


def probes(origin: Origin, table: pd.DataFrame, native: int) -> View:
    """What a linear classifier reads from every layer; `table` of `analysis.probes`."""
    python = _python(
        origin,
        f"table = analysis.probes(probe(*features.halves(), {native}))\nfigure = plots.probe_curves(table, {native})",
        table.num_frames,
    )
    return View("probes", "What a linear probe reads", plots.probe_curves(table, native), table, python)


def _placed(layer: str, reference: int | None) -> str:
    """The Python that puts the videos on a plane."""
    more = f", {reference}" if reference else ""
    return f"analysis.{'maps' if reference else 'components'}(features, {layer!r}{more}, clips)"


def _python(origin: Origin, lines: str, frames: pd.Series) -> str:
    return origin.python(FEATURES + lines, frames)
