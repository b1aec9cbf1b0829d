"""How much of the accuracy that is lost at a frame count comes back with other norms.

Shapes: N videos.
"""

from dataclasses import dataclass

import numpy as np

from ffn.pairing import Estimate, bootstrap, estimate


@dataclass(frozen=True)
class Share:
    """A gap in accuracy and what closes it, with 95 % intervals: `gap` and `recovered` as fractions of the videos.

    explained: recovered / gap; above 1 where more comes back than was lost, below 0 where things get worse.
    """

    gap: Estimate
    recovered: Estimate
    explained: Estimate


def share_explained(
    as_trained: np.ndarray, changed: np.ndarray, reference: np.ndarray, *, draws: int = 10_000, seed: int = 0
) -> Share:
    """The share of a network's gap at T that a change to its norms explains, from answers to the same videos at T.

    The gap is the accuracy of the `reference` less that of the network `as_trained`. Its temporal frequency deviation
    (paper section 1) has for a reference a network trained at T; where there is none, the network itself at its own
    frame count may stand for it, which also counts what fewer frames do not show. `changed` are the answers of the
    same network with other norms, such as recalibrated ones. All three say which videos are right, (N,).

    Intervals are percentiles of a paired bootstrap over videos, drawn alike for all three. Without a gap there is
    nothing to explain: the share is NaN where the gap is 0 or negative, and a draw without a gap counts against both
    ends of its interval, which becomes unbounded where the gap could as well be chance.

    Raises:
        ValueError: when the answers are not of the same videos, or of none.
    """
    sizes = {len(answers) for answers in (as_trained, changed, reference)}
    if len(sizes) > 1:
        raise ValueError(f"the answers are of {sorted(sizes)} videos; all must be of the same ones")
    right = np.stack([as_trained, changed, reference], axis=1)
    before, after, best = bootstrap(right, draws=draws, seed=seed).T
    own, now, aim = right.mean(axis=0).tolist()
    return Share(
        gap=estimate(aim - own, best - before),
        recovered=estimate(now - own, after - before),
        explained=estimate(float(_ratio(now - own, aim - own)), _ratio(after - before, best - before)),
    )


def _ratio(part: np.ndarray | float, whole: np.ndarray | float) -> np.ndarray:
    """`part` / `whole`, NaN where the whole is not positive."""
    whole = np.asarray(whole, float)
    return np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 1e-12)
