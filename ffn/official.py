"""Opening the files of the paper's authors, .pth.tar and .pyth, by renaming what is in them.

The names of our tensors are turned into the authors' by a few rules per network, so that whatever is missing, left over
or of another shape can be told in the words of the file. Branches are called 4, 8 and 16 there, from the shortest to
the longest, whatever their frame counts are.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from ffn.card import CheckpointError, existing
from ffn.checkpoint import describe
from ffn.layers import check_frames
from ffn.model import FrameFlexible, create_model
from ffn.transforms import Preprocessing

IMAGENET = Preprocessing(resize=256, crop=224)
Rules = tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...]
State = dict[str, Tensor]


@dataclass(frozen=True)
class Network:
    """What the authors call a network and its tensors, and how they feed it."""

    family: str
    backbone: str
    rules: Rules  # from our names to theirs
    classifier: str
    preprocessing: Preprocessing = IMAGENET
    frames: tuple[int, int, int] = (4, 8, 16)
    alteration: bool = True

    def title(self, *, flexible: bool) -> str:
        return f"{self.family}{'-FFN' if flexible else ''} {self.backbone} (official)"


SUFFIXES = (4, 8, 16)
GREY, SPREAD = (0.45, 0.45, 0.45), (0.225, 0.225, 0.225)

RESNET: Rules = (
    (r"^backbone\.fc\.", "new_fc."),
    (r"^backbone\.", "base_model."),
    (r"\.downsample\.0", ".downsample_conv"),
    (r"\.downsample\.1", ".downsample_bn"),
)
TEA: Rules = (
    *RESNET,
    (r"\.bn1\.motion\.net\.", ".me."),
    (r"\.bn1\.bn", ".bn1"),
    (r"\.convs\.(\d)\.temporal\.net\.", r".shifts.\1.conv."),
    (r"\.convs\.(\d)\.conv\.", r".convs.\1."),
    (r"\.pool\.temporal\.net\.", ".shifts.3.conv."),
    (r"\.bns\.(\d)_(\d+)\.", r".bns_\2.\1."),
)
SLOWFAST: Rules = (
    (r"^slow\.", "pathway0."),
    (r"^fast\.", "pathway1."),
    (r"^(pathway\d)\.0\.", r"s1.\1_stem."),
    (r"^(pathway\d)\.(\d)\.(\d)\.", lambda found: f"s{int(found[2]) + 1}.{found[1]}_res{found[3]}."),
    (r"^fusions\.(\d)\.", lambda found: f"s{int(found[1]) + 1}_fuse."),
    (r"_fuse\.conv\.", "_fuse.conv_f2s."),
    (r"\.conv_([abc])\.", r".branch2.\1."),
    (r"\.norm_([abc])", r".branch2.\1_bn"),
    (r"\.adaconv", ".branch2.adaconv"),
    (r"\.downsample\.0", ".branch1"),
    (r"\.downsample\.1", ".branch1_bn"),
    (r"^head\.", "head.projection."),
)
UNIFORMER: Rules = (
    (r"^stages\.(\d)\.0\.", lambda found: f"patch_embed{int(found[1]) + 1}."),
    (r"^stages\.(\d)\.(\d+)\.", lambda found: f"blocks{int(found[1]) + 1}.{int(found[2]) - 1}."),
    (r"\.attn\.(conv1|attn|conv2)\.", r".\1."),
)
EVERYWHERE: Rules = (
    (r"^network\.", ""),
    (r"[^.]+(\.net)?\.by_frames\.(\d+)$", r"adaconv_\2.weight"),
    (r"\.by_frames\.(\d+)\.", r"_\1."),
    (r"\.(conv1|conv_a|pos_embed)(\.net)?(\.conv)?\.", r".\1."),
)
# Other ways to write their names: of the plain networks, and of a block in the first release of TSM.
ALIASES: Rules = (
    (r"^module\.", ""),
    (r"\.downsample\.0\.", ".downsample_conv."),
    (r"\.downsample\.1\.", ".downsample_bn."),
    (r"\.conv1\.net\.", ".conv1."),
)

OFFICIAL = {
    "resnet18": Network("TSM", "ResNet-18", RESNET, "new_fc"),
    "resnet50": Network("TSM", "ResNet-50", RESNET, "new_fc"),
    "resnet101": Network("TSM", "ResNet-101", RESNET, "new_fc"),
    "tea_resnet50": Network("TEA", "Res2Net-50", TEA, "new_fc", alteration=False),
    "slowfast_resnet50": Network(
        "SlowFast",
        "ResNet-50",
        SLOWFAST,
        "head.projection",
        Preprocessing(resize=256, crop=256, mean=GREY, std=SPREAD, channel_order="BGR"),
        frames=(16, 32, 64),
    ),
    "uniformer_small": Network(
        "UniFormer",
        "Small",
        UNIFORMER,
        "head",
        Preprocessing(resize=224, crop=224, mean=GREY, std=SPREAD),
    ),
}


def load_official(
    path: str | Path, architecture: str | None = None, frames: Sequence[int] | None = None
) -> FrameFlexible:
    """The model in a file of the paper's authors, in eval mode, with a card that says how to feed it.

    Args:
        path: a .pth.tar or .pyth file; nothing in it is run.
        architecture: one of `OFFICIAL`; by default what the file looks like, as `identify` tells.
        frames: what the file's branches were trained at, by default 4, 8 and 16 frames, or 16, 32 and 64 fast frames
            of SlowFast. A file of a plain network has one set of norms and becomes a model of one count, by default
            the highest of these.

    Raises:
        ValueError: for an architecture that is none of theirs, or another number of counts than the file has branches.
        CheckpointError: when the file is missing, damaged, refused, or its tensors are not those of the architecture.
    """
    if architecture is not None and architecture not in OFFICIAL:
        (near,) = get_close_matches(architecture, OFFICIAL, n=1, cutoff=0)
        raise ValueError(
            f"the authors have no {architecture!r}; did you mean {near}? Their networks are {', '.join(OFFICIAL)}"
        )
    path = existing(path)
    state, epoch = _read(path)
    looks = _recognised(state, path)
    architecture = architecture or looks
    if looks != architecture:
        raise CheckpointError(f"{path} does not look like {architecture} but like {looks}; open it as {looks!r}")
    network = OFFICIAL[architecture]
    flexible = _is_flexible(state)
    frames = _frames(network, frames, path, flexible=flexible)
    with torch.device("meta"):  # nothing is drawn, nothing is allocated but what the file holds
        model = create_model(
            architecture, frames, num_classes=_num_classes(state, network), alteration=network.alteration
        )
    own = model.state_dict()
    names = {_official_name(name, network, frames): name for name in own}
    _compare(state, {theirs: own[ours].shape for theirs, ours in names.items()}, path, architecture)
    tensors = {
        ours: state[theirs]
        .reshape(own[ours].shape)
        .to(own[ours].dtype, copy=True, memory_format=torch.contiguous_format)
        for theirs, ours in names.items()
    }
    model.load_state_dict(tensors, assign=True)
    model.card = {
        **model.config,
        "classes": None,
        **describe(network.preprocessing),
        "title": network.title(flexible=flexible),
        "source": path.name,
        **({} if epoch is None else {"epoch": epoch}),
    }
    return model.eval()


def identify(path: str | Path) -> str:
    """The architecture, one of `OFFICIAL`, of a file of the paper's authors, from the names of its tensors alone.

    Raises:
        CheckpointError: when the file is missing, damaged, refused or of no network of theirs.
    """
    path = existing(path)
    state, _ = _read(path)
    return _recognised(state, path)


def is_torch_file(path: str | Path) -> bool:
    """Whether a file is one of torch.save rather than one of ours."""
    with Path(path).open("rb") as file:
        head = file.read(9)
    return (head[:2] == b"PK" or head[:1] == b"\x80") and head[8:] != b"{"


def _read(path: Path) -> tuple[State, int | None]:
    """The tensors of a file under the authors' names, and its epoch where it says one."""
    if not is_torch_file(path):
        with path.open("rb") as file:
            if file.read(9)[8:] == b"{":
                raise CheckpointError(f"{path} is a .safetensors file; open it with ffn.load")
        raise CheckpointError(f"{path} is not a file of torch.save; the authors' files end in .pth.tar or .pyth")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # from zip, pickle and torch, of many kinds
        if "Weights only load failed" in str(error):
            raise CheckpointError(
                f"{path} holds a pickle that could run code; if you trust it, take its tensors out first: "
                "torch.save(torch.load(path, weights_only=False)['state_dict'], new_path), or ['model_state']"
            ) from None
        raise CheckpointError(f"{path} is cut off or damaged; copy or download it again") from None
    about = content if isinstance(content, Mapping) else {}
    state = next((about[key] for key in ("state_dict", "model_state") if key in about), about)
    if not isinstance(state, Mapping) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(
            f"{path} holds no network: no dict of tensors, by itself, as state_dict or as model_state"
        )
    epoch = about.get("epoch")
    return _renamed(state), epoch if type(epoch) is int else None


def _renamed(state: Mapping[str, Tensor]) -> State:
    """`state` in one way of writing; a tensor whose name is taken keeps its own, and is unknown by it."""
    renamed: State = {}
    for key, tensor in state.items():
        name = _substituted(str(key), ALIASES)
        renamed[str(key) if name in renamed else name] = tensor
    return renamed


def _substituted(name: str, rules: Rules) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _official_name(name: str, network: Network, frames: Sequence[int]) -> str:
    """What the authors call the tensor that we call `name`."""
    suffix = dict(zip(map(str, frames), SUFFIXES, strict=False))
    name = re.sub(r"by_frames\.(\d+)", lambda found: f"by_frames.{suffix[found[1]]}", name)
    return _substituted(name, (*EVERYWHERE, *network.rules))


BRANCH = re.compile(r"_(4|8|16)(?=\.)")


def _is_flexible(state: Iterable[str]) -> bool:
    return any(BRANCH.search(name) for name in state)


def _frames(network: Network, frames: Sequence[int] | None, path: Path, *, flexible: bool) -> tuple[int, ...]:
    """The frame counts of a file's branches, as many as it has."""
    if frames is None:
        return network.frames if flexible else network.frames[-1:]
    counts = check_frames(frames)
    if flexible and len(counts) != 3:
        raise ValueError(
            f"{path} holds three branches, so it takes three frame counts such as {network.frames}; got {counts}"
        )
    if not flexible and len(counts) != 1:
        raise ValueError(
            f"{path} is a plain network with one set of norms, so it takes one frame count such as "
            f"{network.frames[-1:]}; got {counts}"
        )
    return counts


def _num_classes(state: State, network: Network) -> int:
    weight = state.get(f"{network.classifier}.weight")
    return weight.shape[0] if weight is not None and weight.ndim == 2 else 1


@lru_cache
def _plain_names(architecture: str) -> frozenset[str]:
    """The authors' names of the tensors of the plain network."""
    network = OFFICIAL[architecture]
    with torch.device("meta"):
        names = create_model(architecture, network.frames[-1:], num_classes=1).state_dict()
    return frozenset(_official_name(name, network, ()) for name in names)


def _recognised(state: State, path: Path) -> str:
    """The architecture that shares most names with a file; `CheckpointError` where none shares half of them."""
    if {"conv1.weight", "fc.weight"} <= state.keys():
        raise CheckpointError(
            f"{path} is an image classifier, not a network of the authors; "
            "to start from ImageNet weights use ffn.create_model(..., pretrained=True)"
        )
    names = {BRANCH.sub("", name) for name in state if "adaconv" not in name}

    def overlap(architecture: str) -> float:
        known = _plain_names(architecture)
        return len(names & known) / len(names | known)

    best = max(OFFICIAL, key=overlap)
    if overlap(best) > 0.5:
        return best
    first = ", ".join(list(state)[:3])
    raise CheckpointError(f"{path} looks like none of {', '.join(OFFICIAL)}; its names begin with {first}")


def _compare(state: State, shapes: Mapping[str, torch.Size], path: Path, architecture: str) -> None:
    """`CheckpointError` unless the file has the tensors of the architecture, all of them and no others."""
    kinds = {
        "missing": sorted(shapes.keys() - state.keys()),
        "unknown": sorted(state.keys() - shapes.keys()),
        "misshapen": [
            f"{name} is {tuple(state[name].shape)} instead of {tuple(shapes[name])}"
            for name in sorted(shapes.keys() & state.keys())
            if _shape(name, state[name]) != shapes[name]
        ],
    }
    wrong = [
        f"{kind}: {', '.join(found[:5])}{f' and {len(found) - 5} more' if len(found) > 5 else ''}"
        for kind, found in kinds.items()
        if found
    ]
    if wrong:
        raise CheckpointError(f"{path} does not hold the tensors of {architecture}; {'; '.join(wrong)}")


def _shape(name: str, tensor: Tensor) -> torch.Size:
    """The shape that we give a tensor: an adapter is a depth-wise convolution there, a vector here."""
    pointwise = "adaconv" in name and tensor.ndim in (4, 5) and tensor.shape[1:].numel() == 1
    return tensor.shape[:1] if pointwise else tensor.shape
