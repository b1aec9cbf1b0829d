"""The networks of the paper that timm lacks, by the name under which `ffn.create_model` builds them.

Each value is called as `build(altered, num_classes=..., pretrained=..., **kwargs)` and returns an ordinary network for
clips (B, T, 3, H, W) with logits (B, K), the weight alteration of the branches `altered` in it. Its norms are plain.
"""

from collections.abc import Callable

from torch import nn

from ffn.architectures.slowfast import slowfast_resnet50
from ffn.architectures.tea import tea_resnet50
from ffn.architectures.uniformer import uniformer_small

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "tea_resnet50": tea_resnet50,
    "slowfast_resnet50": slowfast_resnet50,
    "uniformer_small": uniformer_small,
}
