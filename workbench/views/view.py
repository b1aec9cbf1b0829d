"""What a view is, and the lines with which its Python begins."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

IMPORTS = {
    "pd.": "import pandas as pd",
    "ffn.": "import ffn",
    "moving_shapes.": "from ffn import moving_shapes",
    "clips_for(": "from ffn.data import clips_for",
    "read_csv(": "from ffn.files import read_csv",
    "probe(": "from ffn.probing import probe",
    "GAPS": "from ffn.normalisation_gap import GAPS",
    "analysis.": "from workbench import analysis",
    "plots.": "from workbench import plots",
    "experiments.": "from workbench import experiments",
    "budgets.": "from workbench import budgets",
}


@dataclass(frozen=True)
class View:
    """A chart, the table behind it, and the Python that makes them as `figure` and `table`."""

    key: str  # one word, for widgets and file names
    title: str
    figure: Any  # a plotly figure with alt text (`plots.alt_text`)
    table: pd.DataFrame
    python: str
    link: str = ""  # where the dashboard shows it


@dataclass(frozen=True)
class Origin:
    """What a view is of: a checkpoint and videos, by their places; `data` is None for the embedded test split.

    Counts that were not trained are answered by a `policy`, of `ffn.any_frame`.
    """

    title: str
    checkpoint: Path | None  # None for an upload, which has no place
    data: Path | None = None
    policy: str = "nearest"

    def python(self, lines: str, frames: Iterable[int] = (), others: "Mapping[str, Origin] | None" = None) -> str:
        """`lines` after those that load the network as `model`, and the clips at `frames` as `clips`, if any.

        `data` are the videos, `unlabelled` those from which statistics come. Networks of `others` are loaded by name.
        """
        counts = sorted({int(t) for t in frames})
        networks = {"model": self, **(others or {})}
        opening = [f"{name} = ffn.load({origin._place()!r})" for name, origin in networks.items()]
        opening += [f"data = {self.videos('test')}"] if counts or "data" in lines else []
        opening += [f"unlabelled = {self.videos('val')}"] if "unlabelled" in lines else []
        opening += [f"clips = clips_for(model.card, data, {counts})"] if counts else []
        return "\n".join([*imports("\n".join([*opening, lines])), "", *opening, "", lines.strip(), ""])

    def answers(self, lines: str, frames: Iterable[int]) -> str:
        """`python` of `lines` on the answers at `frames`, which it calls `found`."""
        calibration = "clips_for(model.card, unlabelled, clips.frames)" if self.policy == "recalibrate" else None
        limit = ", limit=experiments.CALIBRATION" if calibration else ""
        answering = f"model = ffn.any_frame(model, clips.frames, {self.policy!r}, {calibration}{limit})\n"
        found = "found = ffn.Decisions.from_results(ffn.evaluate(model, clips))\n"
        return self.python(("" if self.policy == "nearest" else answering) + found + lines, frames)

    def together(self, others: "Sequence[Origin]") -> "tuple[dict[str, Origin], str]":
        """`others` by the names to load them by, and the Python of a `networks` that has all by title."""
        named = {f"other{i}": other for i, other in enumerate(others, start=1)}
        entries = [f"{origin.title!r}: {name}" for name, origin in {"model": self, **named}.items()]
        return named, f"networks = {{{', '.join(entries)}}}"

    def _place(self) -> str:
        return str(self.checkpoint or f"{self.title}.safetensors")

    def videos(self, split: str) -> str:
        """The Python of where the videos of a split are; there is but one of a folder."""
        return f"moving_shapes.prepare({split!r})" if self.data is None else repr(str(self.data))


def imports(lines: str) -> list[str]:
    """The imports that `lines` use."""
    return [statement for use, statement in IMPORTS.items() if use in lines]
