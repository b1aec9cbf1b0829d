"""The networks of the paper that timm lacks, by the name under which `ffn.create_model` builds them."""

from collections.abc import Callable

from torch import nn

ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {}
