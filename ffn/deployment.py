"""Making a network that is not trained any more cheaper without changing what it computes."""

from collections import Counter
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, cast

import torch
from timm.layers import Conv2dSame, ScaledStdConv2d, ScaledStdConv2dSame, StdConv2d, StdConv2dSame
from timm.models.resnet import Bottleneck
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ffn.layers import is_plain, with_parameters
from ffn.surgery import on_meta, swapped

# What torch's own compiler puts in the place of convolutions on a CPU.
_convolve: Any = getattr(torch.ops.mkldnn, "_convolution_pointwise", None)  # its overload binary adds something
_lay: Any = getattr(torch.ops.mkldnn, "_reorder_convolution_weight", None)
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


class _Flow(TorchDispatchMode):
    """Notes which operator made each tensor and which took it."""

    def __init__(self) -> None:
        super().__init__()
        self.convolved: list[tuple[Tensor, Tensor]] = []  # what a convolution gave, and its weight
        self.normed: dict[int, tuple[int, Tensor]] = {}  # by what came in: the norm's weight, and what it gave
        self.takers: dict[int, list[str]] = {}  # by tensor: the operators that took it, in order
        self._alive: list[Any] = []  # or other tensors would get the same identity

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        for tensor in inputs:
            self.takers.setdefault(id(tensor), []).append(func.__name__)
        if "batch_norm" in func.__name__ and isinstance(args[1], Tensor):
            self.normed[id(args[0])] = id(args[1]), result[0]
        elif func is torch.ops.aten.convolution.default:
            self.convolved.append((result, args[1]))
        self._alive.append((inputs, result))
        return result


@dataclass(frozen=True)
class Chain:
    """A convolution, the batch norm that alone takes what it gives, and the ReLU that alone takes that, if any."""

    conv: nn.Module
    norm: nn.Module
    relu: nn.Module | None


@torch.inference_mode(False)  # in which composite operators would stay whole
@torch.no_grad()
def chains(network: nn.Module, inputs: Tensor) -> list[Chain]:
    """The chains of an ordinary `network`, found by following `inputs` through it; their numbers do not matter."""
    ghost = on_meta(network).eval()
    own = dict(zip(ghost.modules(), network.modules(), strict=True))
    by_weight = {id(m.weight): own[m] for m in own if isinstance(getattr(m, "weight", None), Tensor)}
    rectified: dict[int, nn.Module] = {}
    runs: Counter[nn.Module] = Counter()

    def rectify(module: nn.Module, given: tuple[Tensor, ...]) -> None:
        rectified[id(given[0])] = own[module]
        runs[own[module]] += 1

    for module in ghost.modules():
        if type(module) is nn.ReLU:
            module.register_forward_pre_hook(rectify)
    with _Flow() as flow:
        ghost(inputs.to("meta", next(ghost.parameters()).dtype))
    uses = Counter(id(weight) for _, weight in flow.convolved)
    found = []
    for given, weight in flow.convolved:
        norm_weight, normed = flow.normed.get(id(given), (0, given))
        conv, norm = by_weight.get(id(weight)), by_weight.get(norm_weight)
        once = uses[id(weight)] == 1 and len(flow.takers.get(id(given), [])) == 1
        if not once or conv is None or not isinstance(norm, _BatchNorm) or norm.running_mean is None:
            continue
        relu = rectified.get(id(normed)) if _rest(norm) == [] else None
        takers = flow.takers.get(id(normed), [])  # whoever reads behind a ReLU in place reads what that left
        alone = relu is not None and runs[relu] == 1 and (len(takers) == 1 or takers[0].startswith("relu_"))
        found.append(Chain(conv, norm, relu if alone else None))
    return found


@torch.no_grad()
def fold_norms(network: nn.Module, found: Sequence[Chain]) -> nn.Module:
    """A view of `network` in which every chain is one convolution; an activation within the norm stays."""
    by_conv = {chain.conv: chain for chain in found}
    norms = {chain.norm for chain in found}
    relus = {chain.relu for chain in found}

    def swap(module: nn.Module) -> nn.Module | None:
        if module in norms:
            return nn.Sequential(*_rest(module))
        if module in relus:
            return nn.Identity()
        return _folded(by_conv.pop(module)) if module in by_conv else None

    folded = swapped(network, swap)
    return swapped(folded, FusedBottleneck.of)


def _rest(norm: nn.Module) -> list[nn.Module]:
    """What timm's norms do after normalising."""
    parts = [getattr(norm, name, None) for name in ("drop", "act")]
    return [part for part in parts if part is not None and not isinstance(part, nn.Identity)]


def _folded(chain: Chain) -> nn.Module:
    conv, norm = cast(nn.Conv2d, chain.conv), cast(nn.BatchNorm2d, chain.norm)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var + norm.eps).rsqrt() * norm.weight
    bias = (0 if conv.bias is None else conv.bias) - norm.running_mean
    weight = conv.weight * scale.view(-1, *[1] * (conv.weight.ndim - 1))
    folded = with_parameters(conv, weight=weight, bias=bias * scale + norm.bias)
    if isinstance(conv, nn.Conv2d) and is_plain(conv):
        return FusedConvolution(folded, relu=chain.relu is not None)
    return folded if chain.relu is None else nn.Sequential(folded, nn.ReLU(inplace=True))


class FusedConvolution(nn.Conv2d):
    """A convolution and the ReLU behind it as one operator of oneDNN, on a weight that it has laid out once.

    On a CPU, in float32 and without gradients; elsewhere it is what it says.
    """

    def __init__(self, conv: nn.Conv2d, *, relu: bool) -> None:
        nn.Module.__init__(self)
        self.__dict__.update(vars(conv))
        self.relu = relu
        self._laid: tuple[Any, Any] = (None, None)

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W)
        if not _suits_onednn(x):
            y = super().forward(x)
            return y.relu_() if self.relu else y
        x = x.contiguous(memory_format=torch.channels_last)
        return _convolve(x, self._laid_weight(x), self.bias, *self._how, "relu" if self.relu else "none", [], "")

    def added(self, x: Tensor, skip: Tensor) -> Tensor:
        """ReLU of the convolution of `x`, without its own, plus `skip` of the same shape."""
        return _convolve.binary(x, skip, self._laid_weight(x), self.bias, *self._how, "add", 1.0, "relu", [], "")

    @property
    def _how(self) -> tuple[Any, ...]:
        return self.padding, self.stride, self.dilation, self.groups

    def _laid_weight(self, x: Tensor) -> Tensor:
        """The weight as oneDNN wants it for images of this shape; made again for another shape or another weight."""
        weight = self.weight
        key = (x.shape[1:], weight.data_ptr(), 0 if weight.is_inference() else weight._version)
        known, laid = self._laid
        if key != known:
            laid = _lay(weight, *self._how, list(x.shape))
            self._laid = key, laid
        return laid

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_laid": (None, None)}  # it can neither be copied nor saved


class FusedBottleneck(Bottleneck):
    """timm's ResNet bottleneck, its skip added and rectified in the operator of its last convolution."""

    @classmethod
    def of(cls, module: nn.Module) -> nn.Module | None:
        """`module` as one of these, where it is a plain bottleneck that has been folded."""
        if type(module) is not Bottleneck or module.se is not None or module.drop_path is not None:
            return None
        if not isinstance(module.conv3, FusedConvolution) or type(module.act3) is not nn.ReLU:
            return None
        fused = copy(module)
        fused.__class__ = cls
        return fused

    def forward(self, x: Tensor) -> Tensor:  # (N, C, H, W)
        if not _suits_onednn(x):
            return super().forward(x)
        block: Any = self
        y = block.act1(block.bn1(block.conv1(x)))
        y = block.aa(block.act2(block.drop_block(block.bn2(block.conv2(y)))))
        return block.conv3.added(y, x if block.downsample is None else block.downsample(x))


def _suits_onednn(x: Tensor) -> bool:
    """Whether oneDNN's operators can be called by hand: they have no gradients and no other types."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return False
    plain = x.device.type == "cpu" and x.dtype is torch.float32 and not torch.is_autocast_enabled("cpu")
    return plain and None not in (_convolve, _lay) and torch.backends.mkldnn.is_available()


def lay_channels_last(network: nn.Module) -> None:
    """Lays the weights of 2D convolutions, and with them what they compute, as CPUs and GPUs like it best."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.to(memory_format=torch.channels_last)
