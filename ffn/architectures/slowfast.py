"""SlowFast: a slow pathway that sees a quarter of the frames, a fast and narrow one that sees all of them
(Feichtenhofer et al., ICCV 2019, arXiv 1812.03982)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ffn.layers import ResidualAdapter

ALPHA = 4  # fast frames per slow frame
BETA = 8  # slow channels per fast channel
FUSION = 2  # channels handed to the slow pathway per fast channel


def slow_indices(num_frames: int) -> list[int]:
    """The fast frames, a multiple of 4 of them, that the slow pathway sees: evenly from the first to the last."""
    count = num_frames // ALPHA
    return [i * (num_frames - 1) // max(1, count - 1) for i in range(count)]


def repeat_last(clips: Tensor) -> Tensor:
    """`clips` (B, T, C, H, W) with the last frame repeated until T is a multiple of 4."""
    missing = -clips.shape[1] % ALPHA
    return torch.cat([clips, clips[:, -1:].expand(-1, missing, -1, -1, -1)], dim=1) if missing else clips


def convolution(
    inputs: int, outputs: int, time: int, space: int, *, stride: int = 1, time_stride: int = 1
) -> nn.Conv3d:
    """A `time` x `space` x `space` convolution that pads as much as it looks around."""
    return nn.Conv3d(
        inputs,
        outputs,
        (time, space, space),
        stride=(time_stride, stride, stride),
        padding=(time // 2, space // 2, space // 2),
        bias=False,
    )


class Stem(nn.Module):
    """Convolution and pooling, a quarter of the width and height."""

    def __init__(self, width: int, time: int) -> None:
        super().__init__()
        self.conv = convolution(3, width, time, 7, stride=2)
        self.bn = nn.BatchNorm3d(width)
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool3d((1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))

    def forward(self, x: Tensor) -> Tensor:  # (B, 3, T, H, W)
        return self.pool(self.relu(self.bn(self.conv(x))))


class Bottleneck(nn.Module):
    """A residual block whose first convolution looks at `time` frames."""

    def __init__(self, inputs: int, outputs: int, time: int, stride: int, altered: Sequence[int], *, first: bool):
        super().__init__()
        inner = outputs // 4
        conv_a = convolution(inputs, inner, time, 1)
        self.conv_a = ResidualAdapter(conv_a, altered) if altered else conv_a
        self.norm_a = nn.BatchNorm3d(inner)
        self.conv_b = convolution(inner, inner, 1, 3, stride=stride)
        self.norm_b = nn.BatchNorm3d(inner)
        self.conv_c = convolution(inner, outputs, 1, 1)
        self.norm_c = nn.BatchNorm3d(outputs)
        self.relu = nn.ReLU(inplace=True)
        projection = (convolution(inputs, outputs, 1, 1, stride=stride), nn.BatchNorm3d(outputs))
        self.downsample = nn.Sequential(*(projection if first else ()))

    def forward(self, x: Tensor) -> Tensor:  # (B, C, T, H, W)
        y = self.relu(self.norm_a(self.conv_a(x)))
        y = self.relu(self.norm_b(self.conv_b(y)))
        y = self.norm_c(self.conv_c(y))
        return self.relu(y + self.downsample(x))


class Fusion(nn.Module):
    """A lateral connection: fast features, at the slow pathway's rate, behind the slow ones."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = convolution(width, FUSION * width, 7, 1, time_stride=ALPHA)
        self.bn = nn.BatchNorm3d(FUSION * width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, slow: Tensor, fast: Tensor) -> Tensor:  # (B, C, T / 4, H, W), (B, C', T, H, W)
        return torch.cat([slow, self.relu(self.bn(self.conv(fast)))], dim=1)


def pathway(
    width: int, lateral: int, times: Sequence[int], depths: Sequence[int], altered: Sequence[int]
) -> nn.ModuleList:
    """Stem and stages of one pathway; each stage but the first sees `lateral` times as many channels of the other.

    `times` are the frames that the stem and the blocks of each stage look at.
    """
    stages: list[nn.Module] = [Stem(width, times[0])]
    inputs = width + lateral
    for i, (depth, time) in enumerate(zip(depths, times[1:], strict=True)):
        outputs, stride = width * 4 * 2**i, 1 if i == 0 else 2
        first = Bottleneck(inputs, outputs, time, stride, altered, first=True)
        others = (Bottleneck(outputs, outputs, time, 1, altered, first=False) for _ in range(depth - 1))
        stages.append(nn.Sequential(first, *others))
        inputs = outputs + lateral * 4 * 2**i
    return nn.ModuleList(stages)


class SlowFast(nn.Module):
    """Both pathways, joined after the stem and after every stage but the last (SlowFast, section 3)."""

    def __init__(
        self, altered: Sequence[int], num_classes: int, depths: Sequence[int], width: int, drop_rate: float
    ) -> None:
        super().__init__()
        narrow = width // BETA
        self.slow = pathway(width, FUSION * narrow, (1, 1, 1, 3, 3), depths, altered)
        self.fast = pathway(narrow, 0, (5, 3, 3, 3, 3), depths, altered)
        widths = [narrow, *(narrow * 4 * 2**i for i in range(len(depths) - 1))]
        self.fusions = nn.ModuleList(Fusion(w) for w in widths)
        self.dropout = nn.Dropout(drop_rate)
        self.head = nn.Linear((width + narrow) * 4 * 2 ** (len(depths) - 1), num_classes)
        self._initialise()

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, Bottleneck):
                nn.init.zeros_(module.norm_c.weight)  # every block begins as its skip
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def group_matcher(self, coarse: bool = False) -> dict[str, str]:
        """The stages whose parts are the blocks, named as timm's networks name theirs."""
        return {"blocks": r"(?:slow|fast)\.[1-9]"}

    def forward(self, clips: Tensor) -> Tensor:  # (B, T, 3, H, W), T fast frames -> (B, K)
        clips = repeat_last(clips)
        fast = self.fast[0](clips.transpose(1, 2))
        slow = self.slow[0](clips[:, slow_indices(clips.shape[1])].transpose(1, 2))
        for i, fuse in enumerate(self.fusions, start=1):
            slow, fast = self.slow[i](fuse(slow, fast)), self.fast[i](fast)
        features = torch.cat([slow.mean((2, 3, 4)), fast.mean((2, 3, 4))], dim=1)
        return self.head(self.dropout(features))


def slowfast_resnet50(
    altered: Sequence[int],
    *,
    num_classes: int,
    pretrained: bool = False,
    depths: Sequence[int] = (3, 4, 6, 3),
    width: int = 64,
    drop_rate: float = 0.0,
) -> SlowFast:
    """SlowFast 4x16 on a ResNet-50, without non-local blocks. The number of frames of a clip is that of fast frames.

    A clip whose T is no multiple of 4 is padded by repeating its last frame. Every block's first convolution sees its
    input altered per branch of `altered`, in both pathways. `width` is the slow pathway's, a multiple of 8.
    """
    if pretrained:
        raise ValueError("timm has no weights of slowfast_resnet50; ffn.load_official opens the authors' files")
    if width % BETA:
        raise ValueError(f"the fast pathway is {BETA} times as narrow as the slow one, whose width cannot be {width}")
    return SlowFast(altered, num_classes, depths, width, drop_rate)
