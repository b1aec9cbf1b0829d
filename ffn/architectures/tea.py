"""TEA: temporal excitation and aggregation in a Res2Net (Li et al., CVPR 2020, arXiv 2004.01398).

By surgery on timm's `res2net50_26w_4s`: motion excitation behind the first convolution of every block, a temporal
convolution before each of its groups of channels.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import timm
import torch
import torch.nn.functional as F
from timm.models.res2net import Bottle2neck
from torch import Tensor, nn

from ffn.layers import Clipwise, FrameAverage, ResidualAdapter


class MotionExcitation(nn.Module):
    """Gates channels by the difference between the features of neighbouring frames (TEA, section 3.1)."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        reduced = max(1, channels // reduction)
        self.conv1 = nn.Conv2d(channels, reduced, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(reduced)
        self.conv2 = nn.Conv2d(reduced, reduced, 3, padding=1, groups=reduced, bias=False)
        self.conv3 = nn.Conv2d(reduced, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        for conv in (self.conv1, self.conv2, self.conv3):
            nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, clips: Tensor) -> Tensor:  # (B, T, C, H, W)
        images = self.bn1(self.conv1(clips.flatten(0, 1)))
        now = images.unflatten(0, clips.shape[:2])
        following = self.conv2(images).unflatten(0, clips.shape[:2])
        motion = (following[:, 1:] - now[:, :-1]).mean((-2, -1), keepdim=True)
        motion = F.pad(motion, (0, 0, 0, 0, 0, 0, 0, 1))  # the last frame has none
        gate = self.bn3(self.conv3(motion.flatten(0, 1))).sigmoid()
        return clips * (gate + 0.5).unflatten(0, clips.shape[:2])


class TemporalConvolution(nn.Conv1d):
    """A convolution along time, of every channel and pixel by itself (TEA, section 3.2); begins as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 3, padding=1, groups=channels, bias=False)
        with torch.no_grad():
            self.weight.zero_()[:, :, 1] = 1

    @torch.no_grad()
    def start_as_shift(self) -> "TemporalConvolution":
        """Half of the channels begin with the next frame, the other half with the one before."""
        half = self.in_channels // 2
        self.weight.zero_()
        self.weight[:half, :, 2] = self.weight[half:, :, 0] = 1
        return self

    def forward(self, clips: Tensor) -> Tensor:  # (B, T, C, H, W)
        rows = clips.flatten(3).transpose(1, 2)  # (B, C, T, H * W): an image whose height is time
        mixed = F.conv2d(rows, self.weight.unsqueeze(-1), padding=(1, 0), groups=self.groups)
        return mixed.transpose(1, 2).unflatten(3, clips.shape[3:])


def tea_resnet50(
    altered: Sequence[int], *, num_classes: int, pretrained: bool = False, **timm_kwargs: Any
) -> FrameAverage:
    """TEA on a Res2Net-50, logits averaged over the frames; `pretrained` takes timm's ImageNet weights.

    With `altered`, the input of every block's first convolution is altered per branch, as in the paper (figure 5). The
    authors' released TEA-FFN has no weight alteration: `create_model(..., alteration=False)`.
    """
    backbone = timm.create_model("res2net50_26w_4s", pretrained=pretrained, num_classes=num_classes, **timm_kwargs)
    for block in [module for module in backbone.modules() if isinstance(module, Bottle2neck)]:
        _excite(block, altered)
    return FrameAverage(backbone)


def _excite(block: Any, altered: Sequence[int]) -> None:
    """Puts TEA's two modules, and the weight alteration, into a Res2Net block.

    The block applies a ReLU behind its first norm; motion excitation belongs behind that. What it gives is not
    negative, so that it can bring its own ReLU, and the block's then changes nothing.
    """
    if altered:
        block.conv1 = ResidualAdapter(block.conv1, altered)
    motion = Clipwise(MotionExcitation(block.width * block.scale))
    block.bn1 = nn.Sequential(OrderedDict(bn=block.bn1, relu=nn.ReLU(inplace=True), motion=motion))
    for k, conv in enumerate(block.convs):
        block.convs[k] = nn.Sequential(OrderedDict(temporal=Clipwise(TemporalConvolution(block.width)), conv=conv))
    last = Clipwise(TemporalConvolution(block.width).start_as_shift())
    block.pool = nn.Sequential(OrderedDict(temporal=last, pool=block.pool or nn.Identity()))
