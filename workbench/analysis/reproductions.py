"""The recorded tables of `ffn reproduce tables`, and what is recorded beside the bundled checkpoints."""

from pathlib import Path
from statistics import mean, stdev

import pandas as pd

from ffn.bundled import DEMO
from ffn.files import read_csv
from ffn.results import RESULTS, by_frames, lines, read
from workbench.analysis.accuracies import accuracy
from workbench.analysis.norms import divergence


def reproduced(table: str, results: Path = RESULTS) -> pd.DataFrame:
    """Columns method, backbone, frames, num_frames, top1, sd, seeds of a table of the paper, on `moving_shapes`.

    One row per line and tested frame count: the mean over seeds in percent, and their standard deviation, NaN for one.
    """
    rows = [row for row in read(results) if row["table"] == table]
    found = [
        {
            **dict(zip(("method", "backbone", "frames"), line, strict=True)),
            "num_frames": t,
            "top1": mean(values),
            "sd": stdev(values) if len(values) > 1 else float("nan"),
            "seeds": len(values),
        }
        for line in lines(rows)
        for t, values in by_frames(rows, line).items()
    ]
    return pd.DataFrame(found, columns=["method", "backbone", "frames", "num_frames", "top1", "sd", "seeds"])


def bundled_accuracy(name: str) -> pd.DataFrame:
    """The table of `accuracy` recorded beside a bundled checkpoint, such as "tsm-16"."""
    return accuracy(read_csv(DEMO / f"{name}.accuracy.csv"))


def bundled_divergence(name: str) -> pd.DataFrame:
    """The table of `divergence` recorded beside a bundled checkpoint."""
    return divergence(read_csv(DEMO / f"{name}.divergence.csv"))
