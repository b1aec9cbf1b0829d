"""Rewriting networks module by module. Knows nothing of video."""

import re
from collections.abc import Callable, Iterator
from copy import copy, deepcopy
from dataclasses import dataclass
from itertools import zip_longest
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

NORMS = (_BatchNorm, nn.LayerNorm, nn.GroupNorm)
SHORTCUTS = re.compile("downsample|shortcut|skip|c1x1_w|short_conv")  # what timm calls the other way around a block


def is_norm(module: nn.Module) -> bool:
    """Whether `module` normalises by statistics, over the batch or within a sample, and holds numbers of its own.

    Beside torch's norms that is anything called a norm which has parameters or buffers itself: timm's frozen batch
    norms, RMS norms, response norms.
    """
    if isinstance(module, NORMS):
        return True
    own = bool(module._parameters or module._buffers)
    return own and "Norm" in type(module).__name__ and not any(True for c in module.children() for _ in c.parameters())


def channels_last(norm: nn.Module) -> bool:
    """Whether a norm takes its channels in the last dimension, as layer norms of tokens do, and not in dimension 1."""
    return not isinstance(norm, _BatchNorm | nn.GroupNorm) and "2d" not in type(norm).__name__


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
    for name, value in vars(network).items():  # timm picks some forward passes at construction
        if isinstance(value, MethodType) and value.__self__ is network:
            setattr(view, name, MethodType(value.__func__, view))
    return view


def on_meta(network: nn.Module) -> nn.Module:
    """A copy of `network` without its numbers."""
    tensors = [*network.parameters(), *network.buffers()]
    memo = {id(tensor): tensor.detach().to("meta") for tensor in tensors}
    for parameter in network.parameters():
        memo[id(parameter)] = nn.Parameter(memo[id(parameter)], requires_grad=False)
    return deepcopy(network, memo)


def blocks(network: nn.Module) -> dict[str, nn.Module]:
    """The repeated blocks that a timm network names in its `group_matcher`, by name; `ValueError` where it has none.

    Where it names stages, their parts: the children called `blocks`, or those of a Sequential that all normalise.
    """
    patterns = [pattern.removesuffix("$") for pattern in _block_patterns(network)]
    named = {
        inner: module
        for outer, stage in network.named_modules()
        if any(re.fullmatch(pattern, outer) for pattern in patterns)
        for inner, module in _parts(outer, stage)
        if any(is_norm(m) or isinstance(m, nn.Conv2d) for m in module.modules())
    }
    if not named:
        raise ValueError(
            f"{type(network).__name__} names no blocks with a convolution or a norm, so there is no place for the shift"
        )
    return named


def classifiers(network: Any) -> list[nn.Module]:
    """The layers that give the logits of an ordinary network, most often one, as timm names them; else its `head`."""
    backbone = getattr(network, "backbone", network)
    found = backbone.get_classifier() if hasattr(backbone, "get_classifier") else backbone.head
    return list(found) if isinstance(found, tuple | nn.ModuleList) else [found]


def _block_patterns(network: nn.Module) -> list[str]:
    """What the names of blocks, or of stages of them, look like; timm numbers the rest of a network, blocks do not."""
    try:
        groups = network.group_matcher(coarse=False)  # type: ignore[operator]
        found = [groups[name] for name in groups if "block" in name]
    except (AttributeError, TypeError):
        found = [r"(?:stages|blocks|transformers)\.\d+"]
    lists = [[(entry, None)] if isinstance(entry, str) else entry for entry in found]
    return [pattern for entries in lists for pattern, order in entries if order is None]


def _parts(name: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    inner = getattr(module, "blocks", None)
    if isinstance(inner, nn.Sequential | nn.ModuleList):
        yield from _parts(f"{name}.blocks", nn.ModuleList(inner))
    elif isinstance(module, nn.ModuleList) or (isinstance(module, nn.Sequential) and all(map(_normalises, module))):
        for child, part in module.named_children():
            yield from _parts(f"{name}.{child}", part)
    else:
        yield name, module


def _normalises(module: nn.Module) -> bool:
    return not is_norm(module) and any(map(is_norm, module.modules()))


@dataclass(frozen=True)
class Call:
    """One run of a convolution or norm in a forward pass, and the shape of what came in."""

    name: str
    module: nn.Module
    shape: tuple[int, ...]


def calls(network: nn.Module, images: Tensor) -> list[Call]:
    """Every run of a convolution or norm when `network` sees `images`, in order; no numbers are computed.

    Raises:
        ValueError: when it does not give one row of logits per image.
    """
    seen: list[Call] = []
    ghost = on_meta(network).eval()
    for (name, module), own in zip(ghost.named_modules(), network.modules(), strict=True):
        if isinstance(module, nn.Conv2d) or is_norm(module):
            module.register_forward_pre_hook(
                lambda _, inputs, name=name, own=own: seen.append(Call(name, own, tuple(inputs[0].shape)))
            )
    try:
        with torch.no_grad():
            logits = ghost(images.to("meta"))
    except Exception as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{type(network).__name__} cannot be followed without running it: {reason}") from None
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images):
        raise ValueError(f"{type(network).__name__} is no classifier: it does not give one row of logits per image")
    return seen


@dataclass(frozen=True)
class Entry:
    """Where a block's residual branch begins: a convolution, or a norm that is followed by something else.

    `dim` is where the channels are, 1 or -1; `tokens` how many come in with their channels last, else 0.
    """

    module: nn.Module
    dim: int
    tokens: int


def entries(network: nn.Module, images: Tensor) -> list[Entry]:
    """The entry of every block, as found by following `images` (N, C, H, W) through `network`; changes nothing.

    Raises:
        ValueError: when there are no blocks, or one of them has no layer that sees whole images.
    """
    found = blocks(network)
    seen = calls(network, images)
    ran = {name: [call for call in seen if call.name.startswith(f"{name}.") or call.name == name] for name in found}
    return [_entry(found[name], name, inside, len(images)) for name, inside in ran.items() if inside]


def _entry(block: nn.Module, name: str, inside: list[Call], images: int) -> Entry:
    whole = [
        call
        for call in inside
        if call.shape[0] == images and not SHORTCUTS.search(call.name.removeprefix(name)) and len(call.shape) in (3, 4)
    ]
    for call, after in zip_longest(whole, whole[1:]):
        if isinstance(call.module, nn.Conv2d):
            return Entry(call.module, 1, 0)
        convolves = after is not None and isinstance(after.module, nn.Conv2d)
        if not convolves and _is_affine(call.module):
            last = channels_last(call.module)
            return Entry(call.module, -1 if last else 1, call.shape[1] if last and len(call.shape) == 3 else 0)
    raise ValueError(f"the block {name} ({type(block).__name__}) has no layer that sees whole images")


def _is_affine(norm: nn.Module) -> bool:
    """Whether a gain on what `norm` gives could be part of it: it scales its channels and has no activation."""
    weight = getattr(norm, "weight", None)
    bare = isinstance(getattr(norm, "act", None), nn.Identity | None)
    return bare and isinstance(weight, nn.Parameter) and weight.ndim == 1
