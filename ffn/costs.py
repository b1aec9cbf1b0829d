"""What a prediction costs: parameters, MACs, memory, exact for every frame count, and latency measured here."""

import time
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from ffn.layers import nearest
from ffn.model import FrameFlexible, fixed_size
from ffn.surgery import on_meta


@dataclass(frozen=True)
class Cost:
    """Of one clip. The paper's "GFLOPs" are GMACs; FLOPs are 2 x MACs, convolutions and matrix products alone."""

    params: int
    macs: int
    flops: int
    # Bytes: the peak of what is alive at once beside the parameters, the clip included. Costs of the same operations
    # are equal: a clip that is filled up is alive beside its filled twin for a moment.
    memory: int = field(default=0, compare=False)


def cost(model: FrameFlexible, num_frames: int, size: int | None = None) -> Cost:
    """Parameters of the model, and what one clip of `num_frames` frames of `size` x `size` pixels takes to predict.

    Counted on the meta device: exact, in milliseconds, and no data moves. `size` is by default that of the model's
    card, or 224. Memory is that of the float32 tensors of an eager forward pass without gradients; what kernels take
    for themselves, and fused attention saves, depends on the device and is not in it.
    """
    size = size or input_size(model)
    network = on_meta(model.at(nearest(num_frames, model.frames), num_frames)).eval()
    alive = _Alive(network)
    with FlopCounterMode(display=False) as counter, alive, torch.no_grad():
        network(torch.empty(1, num_frames, 3, size, size, device="meta"))
    flops = counter.get_total_flops()
    return Cost(params=parameters(model), macs=flops // 2, flops=flops, memory=alive.peak)


class _Alive(TorchDispatchMode):
    """Counts the bytes of tensors that are alive at once, those of `network` aside."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._known = weakref.WeakSet(tensor.untyped_storage() for tensor in network.state_dict().values())

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.untyped_storage() not in self._known:
                self._add(leaf.untyped_storage())
        return result

    def _add(self, storage: torch.UntypedStorage) -> None:
        self._known.add(storage)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._free, storage.nbytes())

    def _free(self, size: int) -> None:
        self.now -= size


class Saved:
    """Bytes that autograd holds for the backward pass, now and at most so far.

    A storage counts once however often it is saved, from when it is first saved until the graph lets it go.
    """

    def __init__(self, model: nn.Module) -> None:
        self.now = self.peak = 0
        self._own = {tensor.untyped_storage()._cdata for tensor in [*model.parameters(), *model.buffers()]}
        self._times: Counter[int] = Counter()

    def pack(self, tensor: Tensor) -> "_Held":
        held, storage = _Held(tensor), tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key not in self._own:
            self.now += 0 if self._times[key] else size
            self.peak = max(self.peak, self.now)
            self._times[key] += 1
            weakref.finalize(held, self._release, key, size)
        return held

    def _release(self, key: int, size: int) -> None:
        self._times[key] -= 1
        self.now -= 0 if self._times[key] else size


class _Held:
    """A tensor that autograd keeps; unlike a tensor it tells when it goes."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


@contextmanager
def saved_activations(model: nn.Module) -> Iterator[Saved]:
    """Counts what passes of `model` within save for their gradients, its own parameters and buffers aside."""
    saved = Saved(model)
    with saved_tensors_hooks(saved.pack, lambda held: held.tensor):
        yield saved


def parameters(model: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in model.parameters())


def input_size(model: FrameFlexible) -> int:
    """Side in pixels of the square that the model's card asks for; without one that of a fixed network, or 224."""
    return int(model.card.get("input_size") or fixed_size(model) or 224)


@dataclass(frozen=True)
class Size:
    """Of a file that `ffn.save` writes, its card aside."""

    params: int
    bytes: int  # of parameters and buffers


def stored(model: FrameFlexible, branch: int | None = None) -> Size:
    """What a file of the model holds, or the part of it that one `branch` has for itself."""
    kept = {id(tensor): (name, tensor) for name, tensor in reversed(model.state_dict(keep_vars=True).items())}
    own = [tensor for name, tensor in kept.values() if branch is None or f".by_frames.{branch}." in f".{name}."]
    return Size(
        params=sum(tensor.numel() for tensor in own if isinstance(tensor, nn.Parameter)),
        bytes=sum(tensor.nbytes for tensor in own),
    )


@dataclass(frozen=True)
class Latency:
    """Milliseconds of forward passes of one clip: half of the `passes` take at most p50, 95 % at most p95."""

    p50: float
    p95: float
    passes: int


@torch.inference_mode()
def latency(
    model: FrameFlexible, num_frames: int, size: int | None = None, *, repeats: int = 40, seconds: float = 1.0
) -> Latency:
    """How long a forward pass of one clip takes on the model's device, after a warm-up.

    At most `repeats` passes are timed, and no more once `seconds` are over and there are five.

    Raises:
        ValueError: when the model is in training mode, in which a pass would change its statistics.
    """
    if model.training:
        raise ValueError("the model is in training mode; call model.eval() first")
    size = size or input_size(model)
    device = next(model.parameters()).device
    network = model.at(model.route(num_frames), num_frames)
    clip = torch.zeros(1, num_frames, 3, size, size, device=device)

    def once() -> float:
        start = time.perf_counter()
        network(clip)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return (time.perf_counter() - start) * 1000

    once()
    times: list[float] = []
    while len(times) < repeats and (len(times) < 5 or sum(times) < 1000 * seconds):
        times.append(once())
    p50, p95 = np.quantile(times, (0.5, 0.95), method="higher").tolist()
    return Latency(p50, p95, len(times))
