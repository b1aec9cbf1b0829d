"""Making a network that is not trained any more cheaper without changing what it computes."""

from collections import Counter
from collections.abc import Mapping
from copy import copy
from typing import Any

import torch
from timm.layers import Conv2dSame, ScaledStdConv2d, ScaledStdConv2dSame, StdConv2d, StdConv2dSame
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ffn.layers import with_parameters
from ffn.surgery import on_meta, swapped

STANDARDISING = (StdConv2d, StdConv2dSame, ScaledStdConv2d, ScaledStdConv2dSame)


class _EffectiveWeight(TorchFunctionMode):
    """Notes the weight that a convolution really uses."""

    weight: Tensor

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.conv2d:
            self.weight = args[1]
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def materialise(module: nn.Module) -> nn.Module | None:
    """The ordinary convolution that one which standardises its weight in every pass amounts to; None for others."""
    if not isinstance(module, STANDARDISING):
        return None
    with _EffectiveWeight() as used:
        module(torch.zeros_like(module.weight[:1]).repeat(1, module.groups, 1, 1))
    plain = nn.Module.__new__(Conv2dSame if getattr(module, "same_pad", False) else nn.Conv2d)
    plain.__dict__ = copy(module).__dict__
    return with_parameters(plain, weight=used.weight)


class _Consumers(TorchDispatchMode):
    """Notes which operator made each tensor and which took it, on which parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[Tensor, Tensor]] = []  # what a convolution gave, and its weight
        self.taken: dict[int, list[int]] = {}  # by tensor: for each operator that took it, the norm's weight or 0
        self._alive: list[Any] = []  # or other tensors would get the same identity

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        norm = "batch_norm" in func.__name__
        for tensor in inputs:
            self.taken.setdefault(id(tensor), []).append(id(args[1]) if norm and tensor is args[0] else 0)
        if func is torch.ops.aten.convolution.default:
            self.made.append((result, args[1]))
        self._alive.append((inputs, result))
        return result


def foldable(network: nn.Module, inputs: Tensor) -> dict[nn.Module, nn.Module]:
    """Every batch norm of an ordinary `network` that alone takes what one convolution gives, and that convolution.

    Found by following `inputs` through the network; their numbers do not matter.
    """
    ghost = on_meta(network).eval()
    by_weight = {
        id(module.weight): own
        for module, own in zip(ghost.modules(), network.modules(), strict=True)
        if isinstance(getattr(module, "weight", None), Tensor)
    }
    with torch.no_grad(), _Consumers() as seen:
        ghost(inputs.to("meta"))
    runs = Counter(id(weight) for _, weight in seen.made)
    found: dict[nn.Module, nn.Module] = {}
    for given, weight in seen.made:
        takers = seen.taken.get(id(given), [])
        conv, norm = by_weight.get(id(weight)), by_weight.get(takers[0]) if len(takers) == 1 else None
        if conv is not None and runs[id(weight)] == 1 and isinstance(norm, _BatchNorm):
            found[norm] = conv
    return found


@torch.no_grad()
def fold_norms(network: nn.Module, convs: Mapping[nn.Module, nn.Module]) -> nn.Module:
    """A view of `network` with each of the batch norms `convs` inside its convolution; its activation stays."""
    norms = {conv: norm for norm, conv in convs.items()}

    def swap(module: nn.Module) -> nn.Module | None:
        if module in convs:
            return nn.Sequential(*_rest(module))
        return _folded(module, norms.pop(module)) if module in norms else None

    return swapped(network, swap)


def _rest(norm: nn.Module) -> list[nn.Module]:
    """What timm's norms do after normalising."""
    parts = [getattr(norm, name, None) for name in ("drop", "act")]
    return [part for part in parts if part is not None and not isinstance(part, nn.Identity)]


def _folded(conv: Any, norm: Any) -> nn.Module:
    scale = (norm.running_var + norm.eps).rsqrt() * (1 if norm.weight is None else norm.weight)
    bias = -norm.running_mean if conv.bias is None else conv.bias - norm.running_mean
    bias = bias * scale + (0 if norm.bias is None else norm.bias)
    return with_parameters(conv, weight=conv.weight * scale.view(-1, *[1] * (conv.weight.ndim - 1)), bias=bias)


def lay_channels_last(network: nn.Module) -> None:
    """Lays the weights of 2D convolutions, and with them what they compute, as CPUs and GPUs like it best."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)
