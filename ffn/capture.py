"""Training passes recorded as CUDA graphs: the kernels of a small network take less time than starting them one by one.

Shapes: B clips, T frames, K classes.
"""

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from ffn.model import FrameFlexible, specialise


class Captured:
    """`model(clips, branch)` in training mode, forward and backward recorded when a branch first sees a shape.

    What is replayed are the kernels of the first time, on the same parameters and running statistics. The logits (B, K)
    of a branch are overwritten by its next pass.

    Raises:
        ValueError: when the network does what a graph cannot hold.
    """

    def __init__(self, model: FrameFlexible) -> None:
        self.model = model
        self.recorded: dict[tuple[int, torch.Size], Callable[..., Tensor]] = {}

    def __call__(self, clips: Tensor, branch: int) -> Tensor:
        key = branch, clips.shape
        if key not in self.recorded:
            self.recorded[key] = self._record(clips, branch)
        return self.recorded[key](clips)

    def _record(self, clips: Tensor, branch: int) -> Callable[..., Tensor]:
        network = nn.Sequential(specialise(self.model.network, branch, clips.shape[1]))  # its forward is replaced
        before = [buffer.clone() for buffer in network.buffers()]
        warnings.filterwarnings("ignore", message="The AccumulateGrad node's stream")  # graphs have one of their own
        try:
            recorded = torch.cuda.make_graphed_callables(network, (torch.zeros_like(clips),), allow_unused_input=True)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            reason = str(error).splitlines()[0]
            raise ValueError(f"this network cannot be recorded ({reason}); train it without capture") from None
        for buffer, kept in zip(network.buffers(), before, strict=True):  # recording runs the network a few times
            buffer.copy_(kept)
        return recorded  # type: ignore[return-value]
