"""The frame-flexible network: one set of weights, one private set of norms and gains per trained frame count."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from difflib import get_close_matches
from math import isqrt
from typing import Any

import timm
import torch
from timm.layers import to_2tuple
from torch import Tensor, nn

from ffn import deployment
from ffn.architectures import ARCHITECTURES
from ffn.layers import (
    FrameAverage,
    NormAdapter,
    ResidualAdapter,
    Routed,
    Switchable,
    TemporalShift,
    check_frames,
    nearest,
)
from ffn.surgery import Entry, entries, is_norm, replace, swapped
from ffn.synthesis import Filled


def specialise(network: nn.Module, branch: int, num_frames: int) -> nn.Module:
    """The ordinary network that `network` is for clips of `num_frames` frames in `branch`; parameters are shared."""
    return swapped(network, lambda module: module.at(branch, num_frames) if isinstance(module, Routed) else None)


class FrameFlexible(nn.Module):
    """A video network for clips of any number of frames.

    `model(clips)` takes clips of shape (B, T, C, H, W) and returns logits (B, K). The branch trained nearest to T
    answers (ties to the higher count); `model(clips, branch=8)` forces one. In training mode T must be a trained
    count, unless the branch is given: a stray T would pollute that branch's running statistics.

    `config` holds the arguments of `create_model` that build this model again; `card` what its file said of it.
    """

    def __init__(self, network: nn.Module, frames: Sequence[int], *, config: dict[str, Any]) -> None:
        super().__init__()
        self.network = network
        self.frames = check_frames(frames)
        self.config = config
        self.card: dict[str, Any] = {}
        self._specialised: dict[tuple[int, int], nn.Module] = {}

    @property
    def trained(self) -> tuple[int, ...]:
        """The frame counts of the branches that were trained, not added later by `ffn.with_branch`."""
        return tuple(t for t in self.frames if t not in self.config.get("added", ()))

    def forward(self, clips: Tensor, branch: int | None = None) -> Tensor:
        if clips.ndim != 5:
            raise ValueError(
                "expected clips of shape (batch, frames, channels, height, width), "
                f"got {tuple(clips.shape)}; for one clip use clip.unsqueeze(0)"
            )
        num_frames = clips.shape[1]
        return self.at(self.route(num_frames, branch), num_frames)(clips)

    def route(self, num_frames: int, branch: int | None = None) -> int:
        """The branch that answers a clip of `num_frames` frames; `ValueError` for an untrained `branch`."""
        if branch is None:
            if self.training and num_frames not in self.frames:
                raise ValueError(
                    f"cannot train on clips of {num_frames} frames: the branches are {self.frames}; "
                    "pass branch=..., or call model.eval() to predict"
                )
            return nearest(num_frames, self.frames)
        if branch not in self.frames:
            raise ValueError(f"there is no branch {branch}; the branches are {self.frames}")
        return branch

    def at(self, branch: int, num_frames: int) -> nn.Module:
        """The ordinary network, with shared parameters, that answers `num_frames` frames in `branch`."""
        key = (branch, num_frames)
        if key not in self._specialised:
            policy = self.config.get("filled", {}).get(str(num_frames)) if num_frames < branch else None
            network = specialise(self.network, branch, branch if policy else num_frames)
            self._specialised[key] = Filled(network, branch, policy) if policy else network
        return self._specialised[key]

    def train(self, mode: bool = True) -> "FrameFlexible":
        self._specialised = {}  # the containers in it have flags of their own
        return super().train(mode)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_specialised": {}}


def create_model(
    architecture: str,
    frames: Sequence[int] = (4, 8, 16),
    *,
    num_classes: int = 1000,
    pretrained: bool = False,
    shift: bool = True,
    private_norms: bool = True,
    alteration: bool = True,
    sharing: bool = True,
    **timm_kwargs: Any,
) -> FrameFlexible:
    """A frame-flexible network on one of timm's image classifiers or of the paper's networks (`ffn.list_models()`).

    In every block of a classifier: the temporal shift of what its first convolution sees, then the weight alteration
    (`ResidualAdapter`), both behind the first norm where the block begins with attention; a private copy of every norm
    per branch (`Switchable`); everything else is shared (paper section 4, figure 5). With one frame count it is an
    ordinary TSM without anything private. `tea_resnet50`, `slowfast_resnet50` and `uniformer_small` mix frames in
    their own ways, so that `shift` means nothing to them.

    Args:
        frames: trained frame counts, increasing; the longest one teaches.
        pretrained: start from timm's weights; every branch starts from the same norms.
        shift, private_norms, alteration, sharing: leave a part out, for ablations; without sharing every branch is a
            network of its own.
        timm_kwargs: passed to `timm.create_model`, e.g. `drop_rate=0.5`.

    Raises:
        ValueError: for frames that do not increase, an architecture that nobody knows, or one that cannot be
            converted: one without named blocks, without norms, or that cannot be followed on the meta device.
    """
    frames = check_frames(frames)
    branches = frames if len(frames) > 1 else ()
    altered = branches if alteration and sharing else ()
    if architecture in ARCHITECTURES:
        build = ARCHITECTURES[architecture]
        network = build(altered, num_classes=num_classes, pretrained=pretrained, **timm_kwargs)
    else:
        backbone = _timm_classifier(architecture, pretrained=pretrained, num_classes=num_classes, **timm_kwargs)
        _insert(backbone, entries(backbone, _images(backbone, 2, timm_kwargs)), altered, shift=shift)
        network = FrameAverage(backbone)
    if branches and not sharing:
        network = Switchable(network, branches)
    elif private_norms and branches and not replace(network, is_norm, lambda norm: Switchable(norm, branches)):
        raise ValueError(f"{architecture} has no norms to make private; pass private_norms=False to go without")
    config = {
        "architecture": architecture,
        "frames": list(frames),
        "num_classes": num_classes,
        "shift": shift,
        "private_norms": private_norms,
        "alteration": alteration,
        **({} if sharing else {"sharing": False}),
        "timm_kwargs": timm_kwargs,
    }
    return FrameFlexible(network, frames, config=config)


def _timm_classifier(architecture: str, **kwargs: Any) -> nn.Module:
    if not timm.is_model(architecture):
        near = get_close_matches(architecture, [*ARCHITECTURES, *timm.list_models()], n=3)
        hint = f"; did you mean {', '.join(near)}?" if near else "; ffn.list_models() names all"
        raise ValueError(f"there is no architecture {architecture!r}{hint}")
    return timm.create_model(architecture, **kwargs)


def _insert(backbone: nn.Module, places: Sequence[Entry], altered: Sequence[int], *, shift: bool) -> None:
    """Shift and alteration where every block begins."""
    found = {place.module: place for place in places}

    def wrap(module: nn.Module) -> nn.Module:
        entry = found[module]
        after = not isinstance(module, nn.Conv2d)
        inner = module
        if altered and after:
            inner = NormAdapter(module, altered, entry.dim)
        elif altered:
            inner = ResidualAdapter(module, altered)  # type: ignore[arg-type]
        prefix = _prefix_tokens(backbone, entry.tokens)
        return TemporalShift(inner, dim=entry.dim, prefix=prefix, after=after) if shift else inner

    replace(backbone, lambda module: module in found, wrap)


@torch.no_grad()
def start_from(model: FrameFlexible, source: FrameFlexible) -> None:
    """Copies the weights of `source` into every branch of `model`, of the branch trained nearest to each.

    Both are of one architecture. The gains of `model` stay where `source` has none, and its classifier where `source`
    knows another number of classes.

    Raises:
        ValueError: when the networks have other layers, or layers of other shapes.
    """
    adapters, others_adapters = _adapters(model.network), _adapters(source.network)
    for branch in model.frames:
        origin = nearest(branch, source.frames)
        own = _without_gains(model.network, branch).state_dict(keep_vars=True)
        others = _without_gains(source.network, origin).state_dict(keep_vars=True)
        if own.keys() != others.keys():
            raise ValueError(
                f"a {source.config['architecture']} has other layers than a {model.config['architecture']}; "
                "start from a network of the same architecture"
            )
        for name, tensor in own.items():
            other = others[name]
            classes, others_classes = model.config["num_classes"], source.config["num_classes"]
            is_head = tensor.shape[:1] == (classes,) and other.shape[:1] == (others_classes,)
            if tensor.shape == other.shape:
                tensor.copy_(other)
            elif not is_head:
                raise ValueError(
                    f"{name} is {tuple(tensor.shape)} here, {tuple(other.shape)} in the network to start from"
                )
        for name in adapters.keys() & others_adapters.keys():
            adapters[name].by_frames[str(branch)].copy_(others_adapters[name].by_frames[str(origin)])


def _adapters(network: nn.Module) -> dict[str, ResidualAdapter]:
    return {name: module for name, module in network.named_modules() if isinstance(module, ResidualAdapter)}


def _without_gains(network: nn.Module, branch: int) -> nn.Module:
    """The layers that `branch` runs through, as they were before anything was added to them but the shift."""

    def plain(module: nn.Module) -> nn.Module | None:
        if isinstance(module, Switchable):
            return module.at(branch, branch)
        return module.original if isinstance(module, ResidualAdapter) else None

    return swapped(network, plain)


def fixed_size(model: FrameFlexible) -> int | None:
    """Side in pixels of the only images that the model takes; None where any will do."""
    about = getattr(getattr(model.network, "backbone", None), "pretrained_cfg", {})
    if size := model.config["timm_kwargs"].get("img_size"):
        return to_2tuple(size)[-1]
    return about["input_size"][-1] if about.get("fixed_input_size") else None


def _images(backbone: Any, count: int, timm_kwargs: Mapping[str, Any]) -> Tensor:
    """`count` images of the size that a timm network was built for, without numbers."""
    channels, *sides = backbone.pretrained_cfg["input_size"]
    height, width = to_2tuple(timm_kwargs.get("img_size") or sides)
    return torch.empty(count, timm_kwargs.get("in_chans", channels), height, width, device="meta")


def _prefix_tokens(backbone: nn.Module, tokens: int) -> int:
    """How many of `tokens` are no part of the image: those that are too many for a square, the network's own first."""
    named = getattr(backbone, "num_prefix_tokens", 0)
    return next((n for n in (named, *range(tokens)) if isqrt(tokens - n) ** 2 == tokens - n), 0) if tokens else 0


@torch.no_grad()
def extract(model: FrameFlexible, frames: int, *, fold_norms: bool = False) -> FrameFlexible:
    """The branch trained at `frames` as a single-count model of its own, for any number of frames.

    The weight alteration is folded into the weights and nothing switchable is left, so the result has the parameters
    and the speed of an ordinary network. It shares no memory with `model`. With `fold_norms` it is made for
    prediction alone: batch norms are inside the convolutions before them, and weights lie channels-last.
    """
    if frames not in model.frames:
        raise ValueError(f"there is no branch {frames}; the branches are {model.frames}")

    def settle(module: nn.Module) -> nn.Module | None:
        if isinstance(module, Switchable):
            return module.at(frames, frames)
        return module.fold(frames) if isinstance(module, ResidualAdapter) else None

    network = swapped(swapped(model.network, deployment.materialise), settle)
    if fold_norms:
        plain = specialise(network, frames, frames)
        network = deployment.fold_norms(network, deployment.chains(plain, _example(model, frames)))
    network = deepcopy(network)
    if fold_norms:
        deployment.lay_channels_last(network)
    folded = fold_norms or model.config.get("extracted", {}).get("fold_norms", False)
    config = {**_as_trained(model.config), "frames": [frames], "extracted": {"fold_norms": folded}}
    extracted = FrameFlexible(network, (frames,), config=config)
    extracted.card = {**_as_trained(model.card), "frames": [frames]}
    return extracted.train(model.training)


def _as_trained(about: Mapping[str, Any]) -> dict[str, Any]:
    """A config or card without what was added for other frame counts."""
    return {key: value for key, value in about.items() if key not in ("added", "filled")}


def _example(model: FrameFlexible, num_frames: int) -> Tensor:
    """One clip of the right shape, without numbers."""
    if isinstance(model.network, FrameAverage):
        return _images(model.network.backbone, num_frames, model.config["timm_kwargs"]).unsqueeze(0)
    return torch.empty(1, num_frames, 3, 224, 224, device="meta")
