"""Which norms cost the accuracy at a frame count: each exchanged alone, then one after the other.

Shapes: N videos.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from ffn.data import Clips
from ffn.model import FrameFlexible
from ffn.pairing import Estimate, compare_networks, gain
from ffn.progress import Progress
from ffn.statistics import norm_layers
from ffn.transplantation import gives, select, transplant


@dataclass(frozen=True)
class Attribution:
    """Which videos are right at `num_frames` with norms of another network, each (N,) of the same videos.

    as_trained: with none; alone: with those of one layer, by layer in network order; cumulative: with those of this
    layer and all before it, by layer in the order of what they recovered alone, ties in network order.
    """

    num_frames: int
    as_trained: np.ndarray
    alone: dict[str, np.ndarray]
    cumulative: dict[str, np.ndarray]

    @property
    def ranked(self) -> tuple[str, ...]:
        """The layers, those that recover most first."""
        return tuple(self.cumulative)

    def recovered(self, *, draws: int = 10_000, seed: int = 0) -> dict[str, tuple[Estimate, Estimate]]:
        """Accuracy gained by each layer alone and by all up to it, in rank order, as fractions with 95 % intervals."""
        return {
            layer: (
                gain(self.as_trained, self.alone[layer], draws=draws, seed=seed),
                gain(self.as_trained, self.cumulative[layer], draws=draws, seed=seed),
            )
            for layer in self.ranked
        }


def attribute(
    target: FrameFlexible,
    source: FrameFlexible,
    clips: Clips,
    num_frames: int,
    layers: str | Sequence[str] | None = None,
    *,
    what: Sequence[str] = ("statistics",),
    batch_size: int = 32,
    workers: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """What norms of `source` recover in `target` at `num_frames`, layer by layer (`ffn.transplant`).

    In both networks it is the branch that answers `num_frames`. Two passes over `clips`, in each of which every video
    is decoded once and all variants see a batch before the next is read: first every layer alone, then the layers in
    the order of what they recovered. `progress` is called with (videos done, twice the videos); an exception that it
    raises cancels.

    Args:
        layers: the norms to exchange, as for `ffn.transplant`; all that have something to give by default.
        what: "statistics" or "affine" or both.

    Raises:
        ValueError: as `ffn.transplant` does, and when `clips` are not sampled at `num_frames` alone.
    """
    if clips.frames != (num_frames,):
        raise ValueError(f"the clips have {clips.frames} frames; sample them at {num_frames} alone")
    branch, source_branch = target.route(num_frames), source.route(num_frames)

    def variant(chosen: Sequence[str]) -> FrameFlexible:
        return transplant(target, source, chosen, what=what, branch=branch, source_branch=source_branch)

    def right(variants: Mapping[str, FrameFlexible], before: int) -> dict[str, np.ndarray]:
        def shown(done: int, total: int) -> None:
            if progress:
                progress(before + done, 2 * total)

        found = compare_networks(variants, clips, batch_size=batch_size, workers=workers, progress=shown)
        return {name: answers[num_frames] for name, answers in found.right.items()}

    own = norm_layers(target.at(branch, branch))
    chosen = select(own, layers)
    variant(chosen)  # refuses what cannot be exchanged before any video is read
    names = [name for name in chosen if gives(own[name], what)]
    first = right({"": target} | {name: variant([name]) for name in names}, 0)
    as_trained = first.pop("")
    ranked = sorted(names, key=lambda name: -int(first[name].sum()))
    groups = accumulate(([name] for name in ranked), lambda before, new: before + new)
    cumulative = right({group[-1]: variant(group) for group in groups}, len(clips))
    return Attribution(num_frames, as_trained, first, cumulative)
