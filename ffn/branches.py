"""What answers a frame count that was not trained: one more branch, or a trained one on clips that are filled up."""

from copy import deepcopy
from typing import Any

from torch import nn

from ffn.layers import ResidualAdapter, Switchable, check_frames, nearest
from ffn.model import FrameFlexible
from ffn.surgery import is_norm, replace


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


def synthesise(model: FrameFlexible, num_frames: int) -> FrameFlexible:
    """A copy of `model` that fills clips of `num_frames` frames up to the count of the branch that answers them.

    The missing frames are blended from their neighbours (`ffn.synthesis.blend`), and the clip costs as much as one of
    the branch's own count. Where the nearest branch is not longer no frame is missing, and the copy answers as before.

    Raises:
        ValueError: for a number of frames below 1.
    """
    (num_frames,) = check_frames(num_frames)
    filling = deepcopy(model)
    if num_frames < nearest(num_frames, model.frames):
        filling.config = {**model.config, "filled": sorted({*model.config.get("filled", ()), num_frames})}
        record(filling, num_frames, policy="synthesise")
    return filling


def record(model: FrameFlexible, num_frames: int, **how: Any) -> None:
    """Adds to the card of `model` how it came to its answer at `num_frames` frames."""
    known = model.card.get("calibrated", {})
    model.card = {**model.card, "calibrated": {**known, str(num_frames): {**known.get(str(num_frames), {}), **how}}}
