"""What is recorded of frame counts that were not trained: means over seeds, and the policy that validation chooses."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import mean

from ffn.results import COUNT, HERE, PERCENT, WHOLE, Row, spread

ANY_FRAME = HERE / "any_frame.csv"
COLUMNS = ("split", "way", "seed", "num_frames", "top1", "correct", "clips", "recipe", "commit", "machine")
KEY = COLUMNS[:4]  # no two rows have the same
FORMS = {"seed": WHOLE, "num_frames": COUNT, "top1": PERCENT, "correct": WHOLE, "clips": COUNT}
COUNTS = (2, 3, 6, 10, 12, 20, 24)
MEAN = "mean"  # over all counts
SHOWN = (*map(str, COUNTS), MEAN)
SEPARATE = "separate"  # networks trained at the very count

Scores = Mapping[str, Mapping[str, float]]  # top-1 in percent by seed, then by count or `MEAN`


def scores(rows: Iterable[Row], split: str) -> Mapping[str, Scores]:
    """Top-1 in percent on a split by way to answer, in the order of the rows; `MEAN` where no count is missing."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for row in rows:
        if row["split"] == split:
            top1 = 100 * int(row["correct"]) / int(row["clips"])
            found.setdefault(row["way"], {}).setdefault(row["seed"], {})[row["num_frames"]] = top1
    for by_seed in found.values():
        for by_count in by_seed.values():
            if len(by_count) == len(COUNTS):
                by_count[MEAN] = mean(by_count.values())
    return found


def chosen(rows: Iterable[Row]) -> str:
    """The policy with the highest top-1 on validation, in the mean over counts and seeds; the first of equals.

    Raises:
        ValueError: when there is none.
    """
    found = {way: _values(by_seed, MEAN) for way, by_seed in scores(rows, "val").items() if way != SEPARATE}
    if not any(found.values()):
        raise ValueError("no policy was evaluated yet; run `ffn reproduce any-frame`, which trains what is missing")
    return max(found, key=lambda way: mean(found[way] or [0]))


def summary(rows: Sequence[Row]) -> list[dict[str, str]]:
    """One row per way to answer: seeds, mean and standard deviation on test by count, and of the mean on validation."""
    validation, best = scores(rows, "val"), chosen(rows)
    return [
        {
            "way": f"{way} (chosen)" if way == best else way,
            "seeds": _seeds(by_seed),
            **{name: _spread(_values(by_seed, name)) for name in SHOWN},
            "validation": _spread(_values(validation.get(way, {}), MEAN)),
        }
        for way, by_seed in scores(rows, "test").items()
    ]


def differences(rows: Sequence[Row], other: str) -> dict[str, list[float]]:
    """Points on test that the chosen policy has over another way, by count, of every seed that has both."""
    found = scores(rows, "test")
    ours, theirs = found[chosen(rows)], found.get(other, {})
    pairs = [(ours[seed], theirs[seed]) for seed in ours if seed in theirs]
    return {name: [a[name] - b[name] for a, b in pairs if name in a and name in b] for name in SHOWN}


def gains(rows: Sequence[Row]) -> list[dict[str, str]]:
    """What the chosen policy has over nearest and over separate training: mean and deviation of `differences`."""
    return [
        {"against": other, **{name: _spread(found, "+.1f") for name, found in differences(rows, other).items()}}
        for other in ("nearest", SEPARATE)
    ]


def verdict(rows: Sequence[Row]) -> str:
    """Where the chosen policy is better in the mean over seeds, and where it is not."""
    best = chosen(rows)
    if best == "nearest":
        return f"Validation prefers no policy to nearest. {_beaten(rows, best, SEPARATE)}"
    return " ".join(_beaten(rows, best, other) for other in ("nearest", SEPARATE))


def _beaten(rows: Sequence[Row], best: str, other: str) -> str:
    means = {name: mean(found) for name, found in differences(rows, other).items() if found and name != MEAN}
    if not means:
        return f"Of {other} nothing is known yet."
    better = [t for t, points in means.items() if points > 0]
    others = [t for t in means if t not in better]
    parts = [f"beats {other} at {', '.join(better)}"] * bool(better) + [f"not at {', '.join(others)}"] * bool(others)
    return f"{best} {' and '.join(parts)} frames." if better else f"{best} beats {other} at no count."


def _values(by_seed: Scores, name: str) -> list[float]:
    return [by_count[name] for by_count in by_seed.values() if name in by_count]


def _spread(values: Sequence[float], style: str = ".1f") -> str:
    return spread(values, style) if values else "-"


def _seeds(by_seed: Scores) -> str:
    """How many seeds there are, at the counts that have fewest and most."""
    found = [len(_values(by_seed, str(t))) for t in COUNTS]
    return str(found[0]) if len(set(found)) == 1 else f"{min(found)}-{max(found)}"
