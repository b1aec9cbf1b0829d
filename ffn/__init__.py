"""Frame Flexible Networks: one video network for clips of any number of frames (CVPR 2023, arXiv 2303.14817)."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ffn.attribution import attribute
    from ffn.branches import with_branch
    from ffn.budget import AdaptiveClassifier
    from ffn.card import read_card
    from ffn.checkpoint import load, save
    from ffn.costs import Cost, cost
    from ffn.data import Clips
    from ffn.decisions import Decisions
    from ffn.evaluation import evaluate
    from ffn.experiment import Experiment
    from ffn.families import list_models
    from ffn.features import extract_features
    from ffn.fingerprints import fingerprint
    from ffn.gap import share_explained
    from ffn.layers import nearest
    from ffn.model import FrameFlexible, create_model, extract
    from ffn.official import load_official
    from ffn.online import causal
    from ffn.policies import any_frame
    from ffn.recalibration import recalibrate
    from ffn.sampling import segment_indices
    from ffn.similarity import cka
    from ffn.streaming import Stream
    from ffn.training import Training, train
    from ffn.transforms import Augmentation, Preprocessing
    from ffn.transplantation import transplant

# Imported when first asked for: torch and timm take seconds, and reading a card or rendering videos needs neither.
# No module bears the name of a function here, or importing the module would hide the function.
_HOMES = {
    "AdaptiveClassifier": "budget",
    "Augmentation": "transforms",
    "Clips": "data",
    "Cost": "costs",
    "Decisions": "decisions",
    "Experiment": "experiment",
    "FrameFlexible": "model",
    "Preprocessing": "transforms",
    "Stream": "streaming",
    "Training": "training",
    "any_frame": "policies",
    "attribute": "attribution",
    "causal": "online",
    "cka": "similarity",
    "cost": "costs",
    "create_model": "model",
    "evaluate": "evaluation",
    "extract": "model",
    "extract_features": "features",
    "fingerprint": "fingerprints",
    "list_models": "families",
    "load": "checkpoint",
    "load_official": "official",
    "nearest": "layers",
    "read_card": "card",
    "recalibrate": "recalibration",
    "save": "checkpoint",
    "segment_indices": "sampling",
    "share_explained": "gap",
    "train": "training",
    "transplant": "transplantation",
    "with_branch": "branches",
}
__all__ = [
    "AdaptiveClassifier",
    "Augmentation",
    "Clips",
    "Cost",
    "Decisions",
    "Experiment",
    "FrameFlexible",
    "Preprocessing",
    "Stream",
    "Training",
    "any_frame",
    "attribute",
    "causal",
    "cka",
    "cost",
    "create_model",
    "evaluate",
    "extract",
    "extract_features",
    "fingerprint",
    "list_models",
    "load",
    "load_official",
    "nearest",
    "read_card",
    "recalibrate",
    "save",
    "segment_indices",
    "share_explained",
    "train",
    "transplant",
    "with_branch",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ffn' has no attribute {name!r}")
    return getattr(import_module(f"ffn.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
