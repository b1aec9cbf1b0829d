"""Convolutions that end in one pixel, in all of a network, as the matrix products that they are: `layers.convolve`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ffn.layers import Geometry, convolve, seen_by_one_pixel


class OnePixelProducts(TorchFunctionMode):
    """While it is active, `F.conv2d` computes them so, with their gradients; all else is as ever."""

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        return (_conv2d if function is F.conv2d else function)(*args, **(kwargs or {}))


def _conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    is_spelt_out = all(isinstance(setting, tuple) for setting in (stride, padding, dilation))  # as layers do
    geometry: Geometry = (stride, padding, dilation, False, (0, 0), groups)
    if is_spelt_out and seen_by_one_pixel(input, weight, geometry):
        return convolve(input, weight, bias, geometry)
    return F.conv2d(input, weight, bias, stride, padding, dilation, groups)
