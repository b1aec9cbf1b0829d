"""Tables in words."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ffn.layers import nearest
from workbench.analysis.norms import DIVERGENCES
from workbench.words import counted, in_frames


def recovery(table: pd.DataFrame, num_frames: int) -> str:
    """What recomputed statistics give at a frame count, in a sentence; `table` is that of `curves`."""
    rows = table[table.num_frames == num_frames].set_index("network")
    before, after = (rows.loc[name] for name in ("as trained", "recalibrated"))
    change = after.top1 - before.top1
    verb = "gives back" if change >= 0 else "takes"
    return (
        f"At {in_frames(num_frames)} recomputing the statistics {verb} {abs(change):.1f} points: "
        f"{before.top1:.1f} % as trained, {after.top1:.1f} % recalibrated ({after.low:.1f} to {after.high:.1f})."
    )


def transplanted(table: pd.DataFrame) -> str:
    """What norms from elsewhere give, in a sentence; `table` is that of `gains`, as trained first."""
    before, after = table.iloc[0], table.iloc[1]
    return (
        f"At {in_frames(int(after.num_frames))} these norms change the accuracy by {after.gained:+.1f} points "
        f"({after.gained_low:+.1f} to {after.gained_high:+.1f}): {before.top1:.1f} % as trained, "
        f"{after.top1:.1f} % with them."
    )


def explained(table: pd.DataFrame, way: str = "recalibrated") -> str:
    """How much of the gap at a frame count a way to answer it closes, in a sentence; `table` of `gap` at that count."""
    rows = table.set_index("way")
    row, gap = rows.loc[way], rows.loc["separate"]
    against = f"a network trained at {in_frames(int(table.num_frames.iloc[0]))} alone"
    if gap.gained <= 0:
        return f"Against {against} there is no gap ({-gap.gained:.1f} points ahead), so there is nothing to explain."
    share = (
        f"{row.share:.0f} % of it ({row.share_low:.0f} to {row.share_high:.0f})"
        if np.isfinite([row.share_low, row.share_high]).all()
        else "a share that so many videos cannot tell"
    )
    return (
        f"Against {against} it loses {gap.gained:.1f} points ({gap.gained_low:.1f} to {gap.gained_high:.1f}); "
        f"{way} it regains {row.gained:.1f} of them, {share}."
    )


def diagnosis(
    frames: Sequence[int],
    num_frames: int,
    accuracies: pd.DataFrame,
    divergences: pd.DataFrame,
    others: Mapping[str, pd.DataFrame],
    policy: str = "nearest",
) -> tuple[str, ...]:
    """In sentences, how a network trained at `frames` does at `num_frames`, what its norms see there, what helps.

    `accuracies` and `divergences` are its tables of `accuracy` and `divergence`, `others` the accuracies of other
    networks on the same data, by name, `policy` what answers counts that were not trained.
    """
    top1 = _at(accuracies, num_frames)
    if top1 is None:
        return (f"At {in_frames(num_frames)} the accuracy is not known yet.",)
    trained = {t: found for t in frames if (found := _at(accuracies, t)) is not None}
    reached = {name: found for name, table in others.items() if (found := _at(table, num_frames)) is not None}
    shifted = _shifted(divergences, num_frames)
    helped = _help(tuple(frames), num_frames, top1, reached, policy)
    return tuple(sentence for sentence in (_accuracy(num_frames, top1, trained), shifted, helped) if sentence)


def _accuracy(num_frames: int, top1: float, trained: Mapping[int, float]) -> str:
    right = f"this network is right on {top1:.0f} % of the clips"
    if not trained:
        return f"At {in_frames(num_frames)} {right}."
    best = max(trained, key=lambda t: trained[t])
    where = f"at {in_frames(best)}, {'where it was trained' if len(trained) == 1 else 'its best trained count'}"
    points = round(trained[best] - top1)
    if num_frames == best:
        return f"{where.capitalize()}, {right}."
    if points == 0:
        return f"At {in_frames(num_frames)} {right}, as {where}."
    change = f"{counted(abs(points), 'point')} {'fewer' if points > 0 else 'more'} than {where} ({trained[best]:.0f} %)"
    return f"At {in_frames(num_frames)} {right}, {change}."


def _shifted(divergences: pd.DataFrame, num_frames: int) -> str:
    rows = divergences[divergences.num_frames == num_frames]
    if rows.empty:
        return ""
    worst = rows.iloc[int(rows.mean_shift.argmax())]
    return (
        "Why, in the paper's view: the norms keep statistics from training, and what they see at "
        f"{in_frames(num_frames)} is up to {worst.mean_shift:.2f} standard deviations off ({worst.layer}). "
        "The page Normalisation puts that to the test."
    )


def _help(frames: tuple[int, ...], num_frames: int, top1: float, reached: Mapping[str, float], policy: str) -> str:
    best = max(reached, key=lambda name: reached[name], default="")
    better = f"the best here is {best}, with {reached[best]:.0f} %" if best and reached[best] >= top1 + 1 else ""
    branch = nearest(num_frames, frames)
    if num_frames in frames or len(frames) > 1:
        kind = "It was trained" if len(frames) == 1 else f"Its branch {branch}, trained"
        where = "at this very count" if num_frames in frames else "at the nearest count"
        by = "" if policy == "nearest" or num_frames in frames else f" by {policy}"
        answers = "" if len(frames) == 1 else f", answers{by}"
        rest = f"; {better}" if better else "; no other network here does better" if best else ""
        return f"{kind} {where}{answers}{rest}."
    if best and not better:
        return "No other network here does better at this count."
    advice = (
        f"What helps: a network trained at {in_frames(num_frames)}, or one frame-flexible network (FFN), whose weights "
        "serve every count and whose norms are private to each"
    )
    return f"{advice}: {better}." if better else f"{advice}."


def _at(accuracies: pd.DataFrame, num_frames: int) -> float | None:
    found = accuracies.top1[accuracies.num_frames == num_frames]
    return None if found.empty else float(found.iloc[0])


def comparison(recorded: Any, computed: Any, num_frames: int) -> tuple[bool, str]:
    """Whether results agree at a frame count, and in words how far; both have the tables accuracy and divergence."""
    was, now = (found.accuracy.set_index("num_frames").loc[num_frames] for found in (recorded, computed))
    before, after = (
        found.divergence[found.divergence.num_frames == num_frames].set_index("layer")[list(DIVERGENCES)]
        for found in (recorded, computed)
    )
    gap = float((before - after).abs().max().max())
    if (was.correct, was.clips) != (now.correct, now.clips):
        return False, (
            f"Recorded: {was.correct:.0f} of {was.clips:.0f} clips right; computed here: {now.correct:.0f} of "
            f"{now.clips:.0f}. The norm statistics differ by {gap:.2g} at most."
        )
    same = f"{now.correct:.0f} of {now.clips:.0f} clips right, as recorded"
    return gap < 1e-3, f"{'Identical' if gap == 0 else 'Verified'}: {same}; norm statistics within {gap:.1g}."


def turned(table: pd.DataFrame, before: int, after: int) -> str:
    """In words, what becomes of the answers from one frame count to another; `table` of `between`."""
    if before == after:
        right = 100 * (table.flip == "right at both").mean()
        return f"At {in_frames(after)} {right:.0f} % of {len(table)} answers are right."
    lost, gained = ((table.flip == kind).sum() for kind in ("right to wrong", "wrong to right"))
    other = (table.predicted_before != table.predicted_after).sum()
    return (
        f"From {before} to {in_frames(after)} {other} of {len(table)} videos get another answer: "
        f"{lost} turn from right to wrong, {gained} from wrong to right."
    )


def confused(table: pd.DataFrame, num_frames: int) -> str:
    """In words, what is taken for what at a frame count; `table` of `confusion`."""
    off = table[table["class"] != table.predicted]
    right, clips = table.clips.sum() - off.clips.sum(), table.clips.sum()
    opening = f"At {in_frames(num_frames)} {right} of {clips} videos are answered rightly"
    if not off.clips.sum():
        return f"{opening}."
    worst = off.iloc[int(off.clips.argmax())]
    of_class = table.clips[table["class"] == worst["class"]].sum()
    return f"{opening}; {worst.clips} of {of_class} {worst['class']} are taken for {worst.predicted}."
