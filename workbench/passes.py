"""The passes of the library over data that give records and not yet tables, each remembered on disk."""

from ffn import attribution, evaluation, features, probing
from workbench.remembered import remembered

attribute = remembered(attribution.attribute)
evaluate = remembered(evaluation.evaluate)
extract_features = remembered(features.extract_features)
probe = remembered(probing.probe)
