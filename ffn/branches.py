"""What answers a frame count that was not trained: one more branch, or a trained one on clips that are filled up."""

from copy import deepcopy
from typing import Any

from torch import nn

from ffn.layers import ResidualAdapter, Switchable, check_frames, nearest
from ffn.model import FrameFlexible
from ffn.surgery import is_norm, replace
from ffn.synthesis import FILLINGS


def with_branch(model: FrameFlexible, num_frames: int, like: int | None = None) -> FrameFlexible:
    """A copy of `model` with one more branch, which answers clips of `num_frames` frames, and of counts nearest to it.

    Its norms and gains are copies of those of the branch `like`, by default the trained one that has answered until
    now, so that nothing changes yet but who answers. Everything else is shared by all branches as before. A norm
    without private copies, as all are in a network of one frame count, gets one for every branch; gains are added
    where there are some. Like any other model the result can be saved, extracted from and trained.

    Raises:
        ValueError: when there is such a branch already, none like `like`, or no norm to make private.
    """
    (num_frames,) = check_frames(num_frames)
    if num_frames in model.frames:
        raise ValueError(f"there is a branch {num_frames} already; the branches are {model.frames}")
    like = nearest(num_frames, model.trained) if like is None else model.route(num_frames, like)
    frames = tuple(sorted((*model.frames, num_frames)))

    def private(module: nn.Module) -> nn.Module:
        if not isinstance(module, Switchable):
            return Switchable(module, frames)
        module.add(num_frames, like)
        return module

    grown = deepcopy(model)
    if not replace(grown, lambda module: isinstance(module, Switchable) or is_norm(module), private):
        raise ValueError(
            "the network has no norms that a branch could have for itself; one that was extracted "
            "with folded norms has lost them: extract it without"
        )
    for module in grown.modules():
        if isinstance(module, ResidualAdapter):
            module.add(num_frames, like)
    added = sorted((*model.config.get("added", ()), num_frames))
    config = {**model.config, "frames": list(frames), "added": added}
    result = FrameFlexible(grown.network, frames, config=config)
    result.card = {**grown.card, "frames": list(frames)}
    return result.train(model.training)


def fill(model: FrameFlexible, num_frames: int, policy: str) -> FrameFlexible:
    """A copy of `model` that fills clips of `num_frames` frames up to the count of the branch that answers them.

    The missing frames are made by a `policy` of `ffn.synthesis.FILLINGS`: "synthesise" blends their neighbours,
    "repeat" shows the nearest again. The clip costs as much as one of the branch's own count. Where the nearest branch
    is not longer no frame is missing, and the copy answers as before.

    Raises:
        ValueError: for a number of frames below 1, or another policy.
    """
    (num_frames,) = check_frames(num_frames)
    if policy not in FILLINGS:
        raise ValueError(f"no policy {policy!r} fills clips up; there are {', '.join(FILLINGS)}")
    filling = deepcopy(model)
    if num_frames < nearest(num_frames, model.frames):
        filling.config = {**model.config, "filled": {**model.config.get("filled", {}), str(num_frames): policy}}
        record(filling, num_frames, policy=policy)
    return filling


def record(model: FrameFlexible, num_frames: int, **how: Any) -> None:
    """Adds to the card of `model` how it came to its answer at `num_frames` frames."""
    known = model.card.get("calibrated", {})
    model.card = {**model.card, "calibrated": {**known, str(num_frames): {**known.get(str(num_frames), {}), **how}}}
