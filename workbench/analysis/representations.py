"""Features as tables: how alike they are between frame counts, on a plane, and what can be read from them."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from ffn.data import Clips
from ffn.embeddings import principal_components, tsne
from ffn.features import Features, in_common
from ffn.probing import Probe
from ffn.progress import Progress
from ffn.similarity import cka_matrix
from workbench.analysis.accuracies import with_intervals
from workbench.analysis.videos import about_videos
from workbench.remembered import remembered


@remembered
def similarity(first: Features, second: Features | None = None) -> pd.DataFrame:
    """Columns layer, order, num_frames, other_layer, other_order, other_frames, cka of one network, or of two.

    One row per pair of layers and frame counts, the others being those of `second`; linear CKA on the videos that
    both have, 1 for the same representation in any axes, near 0 for unrelated ones.
    """
    one, other = (first, first) if second is None else in_common(first, second)
    rows, columns = (
        [(layer, order, t) for order, layer in enumerate(f.layers) for t in f.frames] for f in (one, other)
    )
    left, right = ([f.at(t, layer) for layer, _, t in keys] for f, keys in ((one, rows), (other, columns)))
    values = cka_matrix(left, None if second is None else right)
    names = ["layer", "order", "num_frames", "other_layer", "other_order", "other_frames"]
    pairs = [(*row, *column) for row in rows for column in columns]
    return pd.DataFrame(pairs, columns=names).assign(cka=values.ravel())


@remembered
def components(features: Features, layer: str, clips: Clips) -> pd.DataFrame:
    """Columns index, path, label, class, num_frames, x, y, x_share, y_share: one row per video and frame count.

    x and y are the principal components of all frame counts together, on shared axes; `x_share` and `y_share` say how
    much of the variance they hold, in percent.
    """
    found = principal_components(features.over_frames(layer))
    x_share, y_share = 100 * found.explained
    return _on_plane(found.points, features, clips).assign(x_share=x_share, y_share=y_share)


@remembered
def maps(
    features: Features,
    layer: str,
    reference: int,
    clips: Clips,
    *,
    seed: int = 0,
    progress: Progress | None = None,
) -> pd.DataFrame:
    """Columns index, path, label, class, num_frames, x, y, disparity: one row per video and frame count.

    x and y are a t-SNE per frame count, laid onto the one at `reference` frames; `disparity` is what that leaves, 0,
    the same map, to 1. `progress` is that of `ffn.embeddings.tsne`.
    """
    found = tsne(features.over_frames(layer), reference, seed=seed, progress=progress)
    table = _on_plane(found.points, features, clips)
    return table.assign(disparity=table.num_frames.map(found.disparities))


def _on_plane(points: Mapping[int, np.ndarray], features: Features, clips: Clips) -> pd.DataFrame:
    videos = about_videos(clips, features.indices)
    tables = [videos.assign(num_frames=t, x=places[:, 0], y=places[:, 1]) for t, places in points.items()]
    return pd.concat(tables, ignore_index=True)


def probes(found: Iterable[Probe]) -> pd.DataFrame:
    """Columns layer, order, trained_at, num_frames, correct, clips, top1, low, high; one row per probe and count.

    `trained_at` is the frame count that the linear probe of the layer was fitted at, `num_frames` where it was tested.
    """
    table = pd.DataFrame([vars(probe) for probe in found])
    table.insert(1, "order", table.layer.map({layer: i for i, layer in enumerate(table.layer.unique())}))
    return with_intervals(table)
