"""Frame counts that were not trained, by every policy and by networks trained at them: `ffn reproduce any-frame`.

The networks are those of the tables: a frame-flexible one of 4, 8 and 16 frames, and for every count in question a
network trained at it alone. Accuracies on validation are there to choose a policy by, those on test to report.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from filelock import FileLock

from ffn.checkpoint import load
from ffn.data import Clips, clips_for
from ffn.files import write_csv
from ffn.model import FrameFlexible
from ffn.pairing import compare_networks
from ffn.policies import POLICIES, any_frame
from ffn.policy_results import ANY_FRAME, COLUMNS, COUNTS, SEPARATE
from ffn.progress import Report
from ffn.provenance import commit, machine
from ffn.reproduction import ROOT, Reproduction, share
from ffn.results import read
from ffn.tables import SEEDS, Entry, recipe

SPLITS = ("val", "test")
WAYS = (*POLICIES, SEPARATE)
FLEXIBLE = Entry("", "ffn", (4, 8, 16))
APART = tuple(Entry("", "single", (t,)) for t in COUNTS)


class PolicyComparison:
    """Trains what is compared, unless the tables have, and writes how often each way to answer is right.

    Args:
        trainings: where the networks come from.
        output: the CSV file of the rows; what is there by the same recipes is not made again.
    """

    def __init__(self, trainings: Reproduction, output: Path = ANY_FRAME) -> None:
        self.trainings, self.output = trainings, output

    def run(self, seeds: Sequence[int] = SEEDS) -> None:
        """Makes the rows that are missing, network by network; processes that run at once share the work."""
        share([(entry, seed) for seed in seeds for entry in (FLEXIBLE, *APART)], self._make_rows)

    def _make_rows(self, entry: Entry, seed: int) -> None:
        if self._is_there(entry, seed):
            return
        device = self.trainings.device
        model = load(self.trainings.trained(entry, seed) / "last.safetensors").to(device)
        about = {"seed": seed, "recipe": recipe(entry), "commit": commit(ROOT), "machine": machine(device)}
        self._write([{**about, **row} for row in self._answered(entry, model, seed)])

    def _answered(self, entry: Entry, model: FrameFlexible, seed: int) -> list[dict[str, Any]]:
        def report(what: str, done: int, total: int) -> None:
            self.trainings.report(f"{'-'.join(map(str, entry.frames))} seed {seed}, {what}", done, total)

        def clips(split: str) -> Clips:
            frames = COUNTS if entry == FLEXIBLE else entry.frames
            return clips_for(model.card, self.trainings.data[split], frames, cache="auto")

        ways = by_policy(model, clips("train"), report=report) if entry == FLEXIBLE else {SEPARATE: model}
        return answer_rows(ways, {split: clips(split) for split in SPLITS}, report=report)

    def _is_there(self, entry: Entry, seed: int) -> bool:
        ways, counts = (POLICIES, COUNTS) if entry == FLEXIBLE else ((SEPARATE,), entry.frames)
        wanted = {(split, way, str(t)) for split in SPLITS for way in ways for t in counts}
        about = str(seed), recipe(entry)
        rows = [row for row in read(self.output) if (row["seed"], row["recipe"]) == about]
        return wanted <= {(row["split"], row["way"], row["num_frames"]) for row in rows}

    def _write(self, new: Sequence[Mapping[str, Any]]) -> None:
        with FileLock(f"{self.output}.lock"):
            rows = {_place(row): row for row in (*read(self.output), *new)}
            write_csv(self.output, [{name: rows[place][name] for name in COLUMNS} for place in sorted(rows)])


def by_policy(model: FrameFlexible, calibration: Clips, *, report: Report) -> dict[str, FrameFlexible]:
    """The model that answers the counts of `calibration` by each policy; statistics come from these clips."""
    progress = partial(report, "calibrating")
    return {policy: any_frame(model, calibration.frames, policy, calibration, progress=progress) for policy in POLICIES}


def answer_rows(
    models: Mapping[str, FrameFlexible], splits: Mapping[str, Clips], *, report: Report
) -> list[dict[str, Any]]:
    """One row per split, way to answer and frame count: split, way, num_frames, top1 in percent, correct, clips."""
    found = {name: compare_networks(models, clips, progress=partial(report, name)) for name, clips in splits.items()}
    return [
        {
            "split": split,
            "way": way,
            "num_frames": t,
            "top1": f"{100 * answers.mean():.2f}",
            "correct": int(answers.sum()),
            "clips": len(answers),
        }
        for split, comparison in found.items()
        for way, right in comparison.right.items()
        for t, answers in right.items()
    ]


def _place(row: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Where a row stands in the file: by split and way, then seed and frame count."""
    return SPLITS.index(row["split"]), WAYS.index(row["way"]), int(row["seed"]), int(row["num_frames"])
