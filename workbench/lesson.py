"""The paper's argument in steps: each claim beside the control that tests it, and what we find."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from ffn.files import read_csv
from ffn.normalisation_gap import GAPS
from workbench import analysis, views
from workbench.views import View
from workbench.words import in_frames


@dataclass(frozen=True)
class Step:
    """One step; `finding` says in numbers what `view` shows, both from what is recorded in the repository."""

    title: str
    claim: str
    control: str
    view: Callable[[], View]
    finding: Callable[[], str]


def top1(name: str, num_frames: int) -> float:
    """The recorded accuracy in percent of a bundled checkpoint."""
    table = analysis.bundled_accuracy(name)
    return float(table.top1[table.num_frames == num_frames].item())


def deviation() -> str:
    return (
        f"{top1('tsm-16', 16):.0f} % of the videos are right at 16 frames, {top1('tsm-16', 4):.0f} % at 4. "
        f"More than it knows does not help either: {top1('tsm-16', 32):.0f} % at 32."
    )


def enough() -> str:
    return (
        f"At 4 frames the network that was trained there gets {top1('tsm-4', 4):.0f} % right, ours "
        f"{top1('tsm-16', 4):.0f} %. The answer is in the 4 frames; and it is in the motion, for a network that only "
        f"ever saw single frames stays at {top1('tsm-1', 4):.0f} %."
    )


def alleviation() -> str:
    at_four = ", ".join(f"{top1(f'tsm-{t}', 4):.0f} % when trained at {t}" for t in (4, 8, 16))
    return f"Tested at 4 frames: {at_four}. Every column is brightest where both counts agree."


def drift() -> str:
    table = analysis.bundled_divergence("tsm-16").set_index("num_frames")
    here, there = table.loc[4], table.loc[16]
    worst = here.iloc[int(here.mean_shift.argmax())]
    return (
        f"At 4 frames {worst.layer} meets means that are {worst.mean_shift:.2f} standard deviations off; at 16, the "
        f"count of training, no layer is more than {there.mean_shift.max():.2f} off."
    )


def explained() -> str:
    rows = analysis.gap(read_csv(GAPS)).query("num_frames == 4").set_index("way")
    found, whole = rows.loc["recalibrated"], rows.loc["separate"]
    return (
        f"At 4 frames new statistics bring back {found.gained:.1f} of {whole.gained:.1f} points, {found.share:.0f} % "
        f"of the gap (95 % interval {found.share_low:.0f} to {found.share_high:.0f}). What is left has other causes."
    )


def one_for_all() -> str:
    compared = ", ".join(
        f"{top1('ffn-labels-4-8-16', t):.0f} % against {top1(f'tsm-{t}', t):.0f} % at {t}" for t in (4, 8, 16)
    )
    return f"One network against three, each tested at the count that it was trained at: {compared} frames."


def ablations(table: pd.DataFrame | None = None) -> str:
    """What leaving out each part costs, in the mean over the frame counts."""
    rows = analysis.reproduced("4") if table is None else table
    means = rows.groupby("method", sort=False).top1.mean()
    parts = [name for name in means.index if name.startswith("ffn-without-")]
    changes = [f"{name.removeprefix('ffn-without-')} {means[name] - means['ffn']:+.1f}" for name in parts]
    fewest, most = int(rows.seeds.min()), int(rows.seeds.max())
    runs = f"{fewest} to {most} runs" if fewest < most else "1 run" if most == 1 else f"{most} runs"
    return (
        f"Change of top-1 in the mean over 4, 8 and 16 frames, in points, without: {', '.join(changes)} ({runs} each)."
    )


SEPARATE = {f"trained at {in_frames(t)}": f"tsm-{t}" for t in (4, 8, 16)}
LONGEST = "trained at 16 frames"
STEPS: Sequence[Step] = (
    Step(
        "Fewer frames, fewer right answers",
        "A network that was trained on 16 frames of every video loses accuracy when it is shown 4 (paper, figure 1).",
        "It is the same file on the same videos. Nothing changes but the number of frames.",
        lambda: views.recorded_curves({LONGEST: "tsm-16"}, 4, LONGEST),
        deviation,
    ),
    Step(
        "Are four frames too few to see?",
        "No. What happens can be seen in 4 frames; it is the network that cannot read them.",
        "A network of the same size, trained at 4 frames; and one trained on single frames, which hold no motion.",
        lambda: views.recorded_curves(
            {LONGEST: "tsm-16", "trained at 4 frames": "tsm-4", "trained at 1 frame": "tsm-1"}, 4, LONGEST
        ),
        enough,
    ),
    Step(
        "Near is better than far",
        "The loss grows with the distance between the count of training and that of the test (paper, section 3).",
        "Networks trained at three counts, each tested at all three: it holds in both directions.",
        lambda: views.recorded_matrix({4: "tsm-4", 8: "tsm-8", 16: "tsm-16"}),
        alleviation,
    ),
    Step(
        "Something drifts",
        "Norm layers divide by statistics that were collected at 16 frames. At other counts their inputs have others "
        "(paper, figure 3).",
        "The same measurement at 16 frames, on videos that were not trained on: hardly any drift.",
        lambda: views.recorded_shifts("tsm-16"),
        drift,
    ),
    Step(
        "Does the drift cost the accuracy?",
        "The paper conjectures that it does. That can be tested.",
        "Compute the statistics anew at each number of frames, change not one weight, and look at what comes back.",
        views.recorded_gap,
        explained,
    ),
    Step(
        "One network for every count",
        "A frame flexible network shares all convolutions, keeps a copy of the norms and a gain per channel for each "
        "frame count, and learns from its own longest stream (paper, section 4).",
        "Three networks trained separately, each at its own count, with three times the parameters.",
        lambda: views.recorded_curves({**SEPARATE, "one FFN": "ffn-labels-4-8-16"}, None, "one FFN"),
        one_for_all,
    ),
    Step(
        "Which part does it?",
        "Private norms, gains, distillation and shared weights each have their share (paper, table 4).",
        "The same training without one of them.",
        lambda: views.methods("4"),
        ablations,
    ),
)
