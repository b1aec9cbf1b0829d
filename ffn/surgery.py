"""Rewriting networks module by module. Knows nothing of video."""

import re
from collections.abc import Callable, Iterator
from copy import copy

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)


def is_norm(module: nn.Module) -> bool:
    """Whether `module` normalises by statistics, over the batch or within a sample."""
    return isinstance(module, NORMS)


def norms(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Name and module of every normalisation layer, in the order of registration."""
    return ((name, module) for name, module in network.named_modules() if is_norm(module))


def replace(network: nn.Module, where: Callable[[nn.Module], bool], what: Callable[[nn.Module], nn.Module]) -> int:
    """Puts `what(module)` in the place of every module that satisfies `where`, in place; returns how many.

    The inside of a replaced module is left alone, and a module that is used in two places stays one module.
    """
    done: dict[nn.Module, nn.Module] = {}

    def descend(parent: nn.Module) -> None:
        for name, child in parent.named_children():
            if where(child):
                done[child] = done.get(child) or what(child)
                setattr(parent, name, done[child])
            else:
                descend(child)

    descend(network)
    return len(done)


def swapped(network: nn.Module, swap: Callable[[nn.Module], nn.Module | None]) -> nn.Module:
    """`network` with every module for which `swap` has an answer replaced by it; `network` stays as it was.

    Only the containers on the way to a swapped module are copied, shallowly: parameters, buffers and hooks stay
    shared with the original. Answers are searched in turn, so a swapped module may hold others.
    """
    answer = swap(network)
    if answer is not None:
        return swapped(answer, swap)
    children = {name: child and swapped(child, swap) for name, child in network._modules.items()}
    if all(children[name] is child for name, child in network._modules.items()):
        return network
    view = copy(network)
    view._modules = children
    return view


def blocks(network: nn.Module) -> list[nn.Module]:
    """The blocks that a timm network names in its `group_matcher`, in order; `ValueError` where there are none."""
    matcher = getattr(network, "group_matcher", None)
    found = matcher(coarse=False).get("blocks") if matcher else None
    patterns = [found] if isinstance(found, str) else [pattern for pattern, _ in found or ()]
    named = [
        module
        for name, module in network.named_modules()
        if any(re.fullmatch(pattern.removesuffix("$"), name) for pattern in patterns)
    ]
    if not named:
        raise ValueError(f"{type(network).__name__} does not name its blocks, so there is no place for the shift")
    return named


def first_convolution(block: nn.Module) -> nn.Conv2d:
    """The convolution that a residual block applies first; `ValueError` where it has none."""
    for module in block.modules():
        if isinstance(module, nn.Conv2d):
            return module
    raise ValueError(f"the block {type(block).__name__} has no convolution to shift and alter")
