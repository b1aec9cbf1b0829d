"""Norms of one network put into another, which shows what they alone do.

A norm normalises with mu and sigma^2, its statistics, and gamma and beta, its affine parameters (paper eq. 1). The
paper conjectures that the statistics of another frame count are what spoils a prediction; here they can be exchanged,
and nothing else.
"""

from collections.abc import Mapping, Sequence
from copy import copy

from torch import Tensor, nn

from ffn.model import FrameFlexible
from ffn.statistics import norm_layers, stage_of
from ffn.surgery import swapped

PARTS = {"statistics": ("running_mean", "running_var"), "affine": ("weight", "bias")}


def transplant(
    target: FrameFlexible,
    source: FrameFlexible,
    layers: str | Sequence[str] | None = None,
    *,
    what: Sequence[str] = tuple(PARTS),
    branch: int | None = None,
    source_branch: int | None = None,
) -> FrameFlexible:
    """A view of `target` in which norms of `branch` have what those of `source` have in `source_branch`.

    Everything else stays as in `target`: weights, gains, the classifier, other branches unless they share their norms
    with `branch`. The view shares its tensors with both networks, and neither changes; `copy.deepcopy` makes it
    independent. `source` may be `target`.

    Args:
        layers: names of norms (`ffn.statistics.norm_layers`), or of what holds some, such as the stage `layer4`; all
            by default.
        what: "statistics", mu and sigma^2, and "affine", gamma and beta. A LayerNorm has no statistics to give.
        branch, source_branch: needed where there are several.

    Raises:
        ValueError: for a layer, part or branch that is not there, networks of other architectures, or when no norm
            that was chosen has anything to give.
    """
    branch, source_branch = _only(target, branch, "branch"), _only(source, source_branch, "source_branch")
    own = norm_layers(target.at(branch, branch))
    chosen = select(own, layers)
    donors = _matching({name: own[name] for name in chosen}, norm_layers(source.at(source_branch, source_branch)))
    if not any(gives(norm, what) for norm in donors.values()):
        raise ValueError(
            f"none of the {len(chosen)} norms chosen has {' or '.join(what)} to give; LayerNorms keep none"
        )
    grafts = {own[name]: _grafted(own[name], donor, what) for name, donor in donors.items()}
    view = FrameFlexible(swapped(target.network, grafts.get), target.frames, config=target.config)
    about = {"branch": branch, "from": source_branch, "what": list(what), "layers": chosen}
    view.card = {**target.card, "transplanted": about}
    view.training = target.training
    return view


def select(norms: Mapping[str, nn.Module], layers: str | Sequence[str] | None) -> list[str]:
    """The names in `norms` that are among `layers` or lie inside one of them; all for None.

    Raises:
        ValueError: when there is none of a name.
    """
    wanted = [layers] if isinstance(layers, str) else layers
    if wanted is None:
        return list(norms)
    for layer in wanted:
        if not any(_is_in(name, layer) for name in norms):
            stages = ", ".join(dict.fromkeys(map(stage_of, norms)))
            raise ValueError(f"there is no norm {layer!r} and none inside; the stages are {stages}")
    return [name for name in norms if any(_is_in(name, layer) for layer in wanted)]


def gives(norm: nn.Module, what: Sequence[str]) -> bool:
    """Whether a norm has any of `what` ("statistics", "affine").

    Raises:
        ValueError: when `what` holds something else, or nothing.
    """
    if not what or set(what) - PARTS.keys():
        raise ValueError(f"what a norm can give is {' and '.join(PARTS)}, got {what!r}")
    return any(isinstance(getattr(norm, name, None), Tensor) for part in what for name in PARTS[part])


def _is_in(name: str, layer: str) -> bool:
    return name == layer or name.startswith(f"{layer}.")


def _only(model: FrameFlexible, branch: int | None, name: str) -> int:
    if branch is None and len(model.frames) > 1:
        raise ValueError(f"there are several branches, {model.frames}; say which with {name}=...")
    return model.route(model.frames[0], branch)


def _matching(own: Mapping[str, nn.Module], donors: Mapping[str, nn.Module]) -> dict[str, nn.Module]:
    """The donors of the same names; `ValueError` unless they are all there and have tensors of the same shapes."""
    for name, norm in own.items():
        if name not in donors:
            raise ValueError(f"the other network has no norm {name}; both must be of one architecture")
        here, there = ({k: tuple(t.shape) for k, t in n.state_dict().items()} for n in (norm, donors[name]))
        if here != there:
            raise ValueError(
                f"the norm {name} holds {here} here, {there} in the other network; they cannot be exchanged"
            )
    return {name: donors[name] for name in own}


def _grafted(norm: nn.Module, donor: nn.Module, what: Sequence[str]) -> nn.Module:
    """`norm` with some tensors of `donor`, shared by both."""
    given = {name for part in what for name in PARTS[part]}
    graft = copy(norm)
    graft._parameters = {name: (donor if name in given else norm)._parameters[name] for name in norm._parameters}
    graft._buffers = {name: (donor if name in given else norm)._buffers[name] for name in norm._buffers}
    return graft
