"""Networks against one another, on the same videos, as a table."""

from collections.abc import Mapping

import pandas as pd

from ffn.decisions import Decisions, right_of_both
from ffn.pairing import gain, holm
from workbench.analysis.videos import paired
from workbench.words import in_frames

LEVEL = 0.05  # of the corrected p-value, below which a difference is called one


def differences(found: Mapping[str, Decisions], reference: str) -> pd.DataFrame:
    """Columns network, reference, num_frames, clips, difference, low, high, only_network, only_reference,
    p_value, holm.

    One row per network but the reference and frame count that both have answered. `difference` is in points of top-1 on
    the videos that both have seen, `low` and `high` the ends of its 95 % interval by the paired bootstrap; the videos
    that only one gets right make McNemar's exact test, of which `holm` is the p-value corrected for all rows.
    """
    names = [name for name in found if name != reference]
    tables = [_against(found[name], found[reference]).assign(network=name, reference=reference) for name in names]
    table = pd.concat([pd.DataFrame(columns=[*COLUMNS]), *[part for part in tables if len(part)]], ignore_index=True)
    return table[list(COLUMNS)].astype(COLUMNS).assign(holm=holm(table.p_value.tolist()))


COLUMNS = {
    "network": str,
    "reference": str,
    "num_frames": int,
    "clips": int,
    "difference": float,
    "low": float,
    "high": float,
    "only_network": int,
    "only_reference": int,
    "p_value": float,
}


def _against(first: Decisions, second: Decisions) -> pd.DataFrame:
    table = paired(first, second).rename(columns={"only_first": "only_network", "only_second": "only_reference"})
    right = [right_of_both(first, second, int(t)) for t in table.get("num_frames", [])]
    gains = [gain(theirs, own) for own, theirs in right]
    ends = {"difference": "value", "low": "low", "high": "high"}
    points = {column: [100 * getattr(found, name) for found in gains] for column, name in ends.items()}
    return table.assign(clips=[len(own) for own, _ in right], **points)


def difference_in_words(table: pd.DataFrame, network: str, num_frames: int) -> str:
    """How a network differs from the reference at a frame count, in a sentence; `table` is that of `differences`."""
    rows = table[(table.network == network) & (table.num_frames == num_frames)]
    if rows.empty:
        return f"{network} has not answered at {in_frames(num_frames)} yet."
    row = rows.iloc[0]
    how = "more" if row.difference >= 0 else "fewer"
    sure = "a difference" if row.holm < LEVEL else "which may be chance"
    chance = "p < 0.001" if row.holm < 0.001 else f"p = {row.holm:.2g}"
    return (
        f"{network} gets {abs(row.difference):.1f} points {how} of the same {row.clips} videos right than "
        f"{row.reference} at {in_frames(num_frames)} ({row.low:+.1f} to {row.high:+.1f}), "
        f"{sure}: {row.only_network} only it, {row.only_reference} only the other ({chance})."
    )
