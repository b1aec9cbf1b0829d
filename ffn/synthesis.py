"""Frames that are missing, made of their neighbours, so that a branch sees as many as it was trained with.

Shapes: B clips, T frames, C channels, H height, W width.
"""

import torch
from torch import Tensor, nn


def blend(clips: Tensor, num_frames: int) -> Tensor:
    """Clips (B, `num_frames`, C, H, W) from clips (B, T, C, H, W) of the same videos, blended linearly in time.

    Frame i of T is the middle of segment i of T (`ffn.segment_indices`). Each of the new frames belongs to the middle
    of one of `num_frames` segments, and is the blend of the two given frames around it by its distance from them;
    before the first and after the last it is that one.
    """
    given = clips.shape[1]
    place = (torch.arange(num_frames, device=clips.device) + 0.5) * given / num_frames - 0.5
    place = place.clamp(0, given - 1)
    before = place.long()
    weight = (place - before).to(clips.dtype).view(-1, 1, 1, 1)
    return torch.lerp(clips[:, before], clips[:, (before + 1).clamp(max=given - 1)], weight)


def repeat(clips: Tensor, num_frames: int) -> Tensor:
    """Clips (B, `num_frames`, C, H, W) from clips (B, T, C, H, W) of the same videos, frames shown again where missing.

    Each of the new frames is the given one into whose segment its middle falls, of the segments as in `blend`.
    """
    given = clips.shape[1]
    middles = 2 * torch.arange(num_frames, device=clips.device) + 1
    return clips[:, middles * given // (2 * num_frames)]


FILLINGS = {"synthesise": blend, "repeat": repeat}  # by policy


class Filled(nn.Module):
    """`net`, which is made for clips of `num_frames` frames, for clips of any number, filled up by a policy."""

    def __init__(self, net: nn.Module, num_frames: int, policy: str) -> None:
        super().__init__()
        self.net, self.num_frames, self.fill = net, num_frames, FILLINGS[policy]

    def forward(self, clips: Tensor) -> Tensor:  # (B, T, C, H, W) -> (B, K)
        return self.net(self.fill(clips, self.num_frames))
