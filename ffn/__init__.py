"""Frame Flexible Networks: one video network for clips of any number of frames (CVPR 2023, arXiv 2303.14817)."""

from ffn.checkpoint import load, read_card, save
from ffn.cost import Cost, cost
from ffn.data import Clips
from ffn.evaluate import evaluate
from ffn.layers import nearest
from ffn.model import FrameFlexible, create_model, extract
from ffn.sampling import segment_indices
from ffn.train import Training, train
from ffn.transforms import Preprocessing

__all__ = [
    "Clips",
    "Cost",
    "FrameFlexible",
    "Preprocessing",
    "Training",
    "cost",
    "create_model",
    "evaluate",
    "extract",
    "load",
    "nearest",
    "read_card",
    "save",
    "segment_indices",
    "train",
]
