"""What a prediction costs: parameters, MACs and FLOPs, exact for every frame count, and latency measured here."""

import time
from dataclasses import dataclass
from statistics import median

import torch
from torch import nn
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


def cost(model: FrameFlexible, num_frames: int, size: int | None = None) -> Cost:
    """Parameters of the model, and MACs and FLOPs of one clip of `num_frames` frames of `size` x `size` pixels.

    Counted on the meta device: exact, in milliseconds, and no data moves. `size` is by default that of the model's
    card, or 224.
    """
    size = size or input_size(model)
    network = on_meta(model.at(nearest(num_frames, model.frames), num_frames)).eval()
    clip = torch.empty(1, num_frames, 3, size, size, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(clip)
    flops = counter.get_total_flops()
    return Cost(params=parameters(model), macs=flops // 2, flops=flops)


def parameters(model: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(parameter.numel() for parameter in model.parameters())


def input_size(model: FrameFlexible) -> int:
    """Side in pixels of the square that the model's card asks for; without one that of a fixed network, or 224."""
    return int(model.card.get("input_size") or fixed_size(model) or 224)


@torch.inference_mode()
def latency(model: FrameFlexible, num_frames: int, size: int | None = None, *, repeats: int = 5) -> float:
    """Median milliseconds of a forward pass of one clip on the model's device, after a warm-up.

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
    return median(once() for _ in range(repeats))
