"""The causal temporal shift: frames see earlier frames alone, so that each is computed once, when it comes.

The uni-directional shift of TSM's online models (arXiv 1811.08383), for networks that were trained with the shift in
both directions. That makes another function of them: no frame sees the next one.

Shapes as in `ffn.layers`: B clips, T frames, C channels, H height, W width.
"""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from ffn.layers import Clipwise, FrameAverage, Routed, TemporalShift
from ffn.model import FrameFlexible
from ffn.surgery import swapped

FOLDS = 8  # as in `ffn.layers.shift`


class Causally(nn.Module, ABC):
    """The `net` of a `shift`, the second eighth of the channels taken from the frame before, the others untouched.

    The first eighth, which the shift in both directions takes from the next frame, thus shows the frame itself.
    """

    def __init__(self, shift: TemporalShift) -> None:
        super().__init__()
        self.net, self.dim, self.prefix, self.after = shift.net, shift.dim, shift.prefix, shift.after

    @abstractmethod
    def before(self, passed: Tensor) -> Tensor:
        """For every frame what the frame before it has passed on, zeros for the first; of the shape of `passed`."""

    def forward(self, x: Tensor) -> Tensor:  # (B * T, C, H, W) or (B * T, ..., C)
        return self._received(self.net(x)) if self.after else self.net(self._received(x))

    def _received(self, x: Tensor) -> Tensor:
        received = x.clone()
        self._passed(received).copy_(self.before(self._passed(x)))
        return received

    def _passed(self, x: Tensor) -> Tensor:
        fold = x.shape[self.dim] // FOLDS
        return x[:, self.prefix :].narrow(self.dim, fold, fold) if self.prefix else x.narrow(self.dim, fold, fold)


class AllAtOnce(Causally):
    """For the images of whole clips of `num_frames` frames."""

    def __init__(self, shift: TemporalShift, num_frames: int) -> None:
        super().__init__(shift)
        self.num_frames = num_frames

    def before(self, passed: Tensor) -> Tensor:
        clips = passed.unflatten(0, (-1, self.num_frames))
        return torch.cat((torch.zeros_like(clips[:, :1]), clips[:, :-1]), dim=1).flatten(0, 1)


class OneByOne(Causally):
    """For the frames of one stream as they come; remembers what the last of them passed on."""

    last: Tensor | None = None

    def before(self, passed: Tensor) -> Tensor:
        before = torch.zeros_like(passed) if self.last is None else self.last
        self.last = passed.clone()
        return before


class CausalShift(TemporalShift):
    """A temporal shift that only looks back."""

    def at(self, branch: int, num_frames: int) -> nn.Module:
        return AllAtOnce(self, num_frames)


def causal(model: FrameFlexible) -> FrameFlexible:
    """A view of `model` whose temporal shift only looks back, so that the logits of a frame depend on no later one.

    Of C channels that are shifted, [C // 8, 2 * C // 8) show the frame before, zeros at the first frame. Channels
    [0, C // 8), which would show the next frame, stay as they are. Clips are not filled up (`ffn.branches.fill`), since
    what is filled in shows later frames. Parameters are shared, `model` is left alone, and a file that is written of
    the view holds `model` without its fillings.

    Raises:
        ValueError: when frames meet in `model` elsewhere than in the temporal shift and in the mean of the logits.
    """
    _check(model)
    config = {key: value for key, value in model.config.items() if key != "filled"}
    view = FrameFlexible(swapped(model.network, _looking_back), model.frames, config=config)
    view.card, view.training = model.card, model.training
    return view


def one_by_one(model: FrameFlexible, branch: int) -> nn.Module:
    """The image classifier that `causal(model)` is in `branch`, for images (1, 3, H, W) in the order of a stream.

    It remembers what it has seen, in constant memory: every stream needs one of its own.

    Raises:
        ValueError: as `causal` does.
    """
    _check(model)

    def specialised(module: nn.Module) -> nn.Module | None:
        if isinstance(module, TemporalShift):
            return OneByOne(module)
        return module.at(branch, 1) if isinstance(module, Routed) else None

    network: Any = swapped(model.network, specialised)
    return network.backbone


def _looking_back(module: nn.Module) -> nn.Module | None:
    if type(module) is not TemporalShift:
        return None
    return CausalShift(module.net, dim=module.dim, prefix=module.prefix, after=module.after)


def _check(model: FrameFlexible) -> None:
    plain = model.at(model.frames[-1], model.frames[-1])
    if not isinstance(plain, FrameAverage) or any(isinstance(module, Clipwise) for module in model.modules()):
        raise ValueError(
            f"the frames of {model.config['architecture']} meet in layers that look ahead, so it cannot be causal; "
            "networks on timm's image classifiers can"
        )
