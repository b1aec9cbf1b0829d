"""Any-frame inference: how a network answers frame counts that it was not trained at."""

from collections.abc import Sequence
from functools import partial, reduce

from ffn.branches import fill, record
from ffn.data import Clips
from ffn.interpolation import interpolate
from ffn.model import FrameFlexible
from ffn.progress import Progress
from ffn.recalibration import recalibrate
from ffn.synthesis import FILLINGS

POLICIES = ("nearest", "interpolate", "recalibrate", *FILLINGS)


def any_frame(
    model: FrameFlexible,
    frames: Sequence[int],
    policy: str = "nearest",
    clips: Clips | None = None,
    *,
    batch_size: int = 32,
    limit: int | None = None,
    workers: int = 0,
    progress: Progress | None = None,
) -> FrameFlexible:
    """The model that answers each of `frames` by a policy; `model` itself where nothing is to be done.

    nearest: the branch trained nearest (paper section 5.3), as without any policy.
    interpolate: a branch between the two trained neighbours (`ffn.interpolation.interpolate`).
    recalibrate: that branch with the norm statistics of `clips` at this very count (`ffn.recalibrate`).
    synthesise: the nearest branch, on clips filled up to its count with blended frames (`ffn.branches.fill`).
    repeat: the same, on clips filled up by showing frames again.

    Counts with a branch, trained or added, keep it, so that policies can be mixed count by count. The result can be
    saved like any other model. The last five arguments are for recalibration alone.

    Raises:
        ValueError: for another policy, recalibration without clips, or what the policy's function refuses.
    """
    if policy not in POLICIES:
        raise ValueError(f"there is no policy {policy!r}; there are {', '.join(POLICIES)}")
    new = sorted(set(frames) - set(model.frames))
    if policy == "nearest" or not new:
        return model
    if policy in FILLINGS:
        return reduce(partial(fill, policy=policy), new, model)
    if policy == "interpolate":
        return reduce(interpolate, new, model)
    if clips is None:
        raise ValueError("to recalibrate takes clips to compute the statistics from, such as some of the training data")
    start = reduce(interpolate, new, model) if model.config.get("sharing", True) else model
    found = recalibrate(start, clips, new, batch_size=batch_size, limit=limit, workers=workers, progress=progress)
    for t in new:
        record(found, t, policy=policy)
    return found
