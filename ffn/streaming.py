"""Classifying a video while it comes in: at any moment, in constant memory.

Shapes: T frames, K classes, h x w pixels of a preprocessed frame.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import MutableSequence, Sequence

import numpy as np
import torch
from torch import Tensor

from ffn.checkpoint import preprocessing
from ffn.model import FrameFlexible
from ffn.online import one_by_one
from ffn.sampling import segment_indices


class Stream:
    """A network at work on the frames of one video, which come one by one: `push(frame)`, then `predict()`.

    The prediction is `model(clip)` of the frames whose numbers, from 0, are `indices`. Of the k frames that are kept
    these are the `segment_indices(k, T)`, with T = k up to the longest trained count L, and T = L beyond. Kept are

    - by default an even sample of all n that came: the middle frame of every s in a row. s is 1 at first, and three
      times as much whenever more than `capacity` would be kept: those that stay are middle frames again. Up to
      n = `capacity` the clip is thus the one of T frames that `Clips` takes from a video of n; with the default
      capacity also at n = 9 L, 27 L and so on. In between, a frame is less than s frames away from its place.
    - with a `window`, the last `window` frames.
    - if `causal`, none: every frame runs once, by itself, through the causal model (`ffn.causal`) in `branch`,
      and costs the MACs of one frame. The prediction is the mean of its logits over all frames, which is that of the
      causal model for a clip of all of them; with a `window`, over the last `window`. What neighbours pass on depends
      on how far apart they are: push frames at the rate that the branch was trained at.

    Args:
        model: in eval mode; its card says how frames are preprocessed.
        window: how many frames the prediction looks back; by default all.
        capacity: how many frames are kept at most; by default 3 L, so that no fewer than L are left of as many.
        branch: of a causal stream; by default the longest.

    Raises:
        ValueError: for options that do not go together or are not positive, an untrained branch, or a network whose
            frames meet elsewhere than in the temporal shift, which cannot be causal.
    """

    def __init__(
        self,
        model: FrameFlexible,
        *,
        window: int | None = None,
        capacity: int | None = None,
        causal: bool = False,
        branch: int | None = None,
    ) -> None:
        if capacity is not None and (causal or window is not None):
            raise ValueError("capacity bounds an even sample of all frames; leave it out with a window or causal")
        if branch is not None and not causal:
            raise ValueError("the nearest branch answers; one can be chosen for a causal stream only")
        for name, number in (("window", window), ("capacity", capacity)):
            if number is not None and number < 1:
                raise ValueError(f"the {name} is a number of frames, at least 1; got {number}")
        self.model = model
        self.pushed = 0
        self._preprocessing = preprocessing(model.card)
        self._size: tuple[int, ...] | None = None
        self._memory = _memory(model, window, capacity, model.frames[-1] if branch is None else branch, causal=causal)

    @torch.inference_mode()
    def push(self, frame: np.ndarray | Tensor) -> None:
        """Takes the next frame: uint8 (H, W, 3), RGB as decoded; or floats (3, h, w), as the network sees them.

        Raises:
            ValueError: for anything else, a size that differs from that of the frames before, or a model in training
                mode.
        """
        if self.model.training:
            raise ValueError("the model is in training mode; call model.eval() first")
        image = self._image(frame if isinstance(frame, Tensor) else torch.from_numpy(np.array(frame)))
        if self._size not in (None, tuple(image.shape)):
            raise ValueError(f"the frames before were {self._size}, this one is {tuple(image.shape)}")
        self._size = tuple(image.shape)
        self._memory.add(image.to(next(self.model.parameters()).device), self.pushed)
        self.pushed += 1

    def predict(self) -> Tensor:
        """Logits (K,) on the CPU; computed again only after a frame that changes them.

        Raises:
            ValueError: before the first frame.
        """
        if not self.pushed:
            raise ValueError("there is nothing to predict from yet: push a frame first")
        return self._memory.logits()

    @property
    def indices(self) -> Sequence[int]:
        """The numbers, in the order of coming and from 0, of the frames that the prediction is made from."""
        return self._memory.indices()

    def _image(self, frame: Tensor) -> Tensor:
        """One frame (3, h, w) as the network sees it."""
        if frame.ndim == 3 and frame.dtype == torch.uint8 and frame.shape[2] == 3:
            how = self._preprocessing
            return how.normalise(how.cut(how.shrink(frame.cpu().numpy()[None])))[0]
        if frame.ndim == 3 and frame.is_floating_point() and frame.shape[0] == 3:
            return frame
        raise ValueError(
            "expected a frame as uint8 (height, width, 3) or as floats (3, height, width), "
            f"got {frame.dtype} {tuple(frame.shape)}"
        )


class _Memory(ABC):
    """What a stream remembers of its frames."""

    @abstractmethod
    def add(self, image: Tensor, number: int) -> None: ...

    @abstractmethod
    def indices(self) -> Sequence[int]: ...

    @abstractmethod
    def logits(self) -> Tensor: ...


class _Frames(_Memory):
    """Some of the frames, for the model to look at together."""

    kept: MutableSequence[tuple[int, Tensor]]

    def __init__(self, model: FrameFlexible) -> None:
        self.model = model
        self._logits: Tensor | None = None

    def keep(self, image: Tensor, number: int) -> None:
        self.kept.append((number, image))
        self._logits = None

    def clip(self) -> list[tuple[int, Tensor]]:
        places = segment_indices(len(self.kept), min(len(self.kept), self.model.frames[-1])) if self.kept else ()
        return [self.kept[place] for place in places]

    def indices(self) -> Sequence[int]:
        return [number for number, _ in self.clip()]

    @torch.inference_mode()
    def logits(self) -> Tensor:
        if self._logits is None:
            clip = torch.stack([image for _, image in self.clip()])
            self._logits = self.model(clip.unsqueeze(0))[0].float().cpu()
        return self._logits


class _Last(_Frames):
    """The last `window` frames."""

    def __init__(self, model: FrameFlexible, window: int) -> None:
        super().__init__(model)
        self.kept = deque(maxlen=window)

    def add(self, image: Tensor, number: int) -> None:
        self.keep(image, number)


class _Spread(_Frames):
    """The middle frame of every `stride` frames, which triples when there are more than `capacity` of them.

    By three, since the middle of three segments in a row is the middle of their middle one; no middle of two is left.
    """

    def __init__(self, model: FrameFlexible, capacity: int) -> None:
        super().__init__(model)
        self.kept = []
        self.capacity, self.stride = capacity, 1

    def add(self, image: Tensor, number: int) -> None:
        if number % self.stride != self.stride // 2:
            return
        self.keep(image, number)
        if len(self.kept) > self.capacity:
            self.kept = self.kept[1::3]
            self.stride *= 3


class _Logits(_Memory):
    """The logits of single frames: their sum, and with a `window` those that will leave it."""

    def __init__(self, model: FrameFlexible, branch: int, window: int | None) -> None:
        self.network = one_by_one(model, model.route(branch, branch))
        self.window = window
        self.rows: deque[Tensor] = deque()
        self.total, self.count, self.pushed = torch.zeros((), dtype=torch.float64), 0, 0

    def add(self, image: Tensor, number: int) -> None:
        row = self.network(image.unsqueeze(0))[0].cpu().double()
        self.total = self.total + row
        self.count, self.pushed = self.count + 1, number + 1
        if self.window is None:
            return
        self.rows.append(row)
        if self.count > self.window:
            self.total -= self.rows.popleft()
            self.count -= 1

    def indices(self) -> Sequence[int]:
        return range(self.pushed - self.count, self.pushed)

    def logits(self) -> Tensor:
        return (self.total / self.count).float()


def _memory(model: FrameFlexible, window: int | None, capacity: int | None, branch: int, *, causal: bool) -> _Memory:
    if causal:
        return _Logits(model, branch, window)
    return _Spread(model, capacity or 3 * model.frames[-1]) if window is None else _Last(model, window)
