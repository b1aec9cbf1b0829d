"""What a class is called in a mirror."""

import re
from collections.abc import Sequence

from ffn.lists import some

_PAIRS = (
    *(("left", "right"), ("leftward", "rightward"), ("leftwards", "rightwards")),
    *(("clockwise", "counterclockwise"), ("cw", "ccw")),
)
OPPOSITES = {word: opposite for pair in _PAIRS for word, opposite in (pair, pair[::-1])}
_WORD = re.compile(  # between other letters than its own, or where capitals begin a word: `turnLeft`
    rf"(?:(?<![A-Za-z])|(?<=[a-z])(?=[A-Z]))(?i:({'|'.join(OPPOSITES)}))(?:(?![A-Za-z])|(?<=[a-z])(?=[A-Z]))"
)


def mirrored(name: str) -> str:
    """The name with every left and right, and every clockwise and counterclockwise, exchanged; whole words only."""
    return _WORD.sub(_opposite, name)


def _opposite(found: re.Match[str]) -> str:
    word, opposite = found[0], OPPOSITES[found[0].lower()]
    return opposite.upper() if word.isupper() else opposite.capitalize() if word.istitle() else opposite


def mirrored_classes(classes: Sequence[str]) -> tuple[int, ...]:
    """For every class, the number of the class that its mirrored videos show.

    Raises:
        ValueError: when a class has a direction and there is no class for the other one, or none has a direction.
    """
    if all(mirrored(name) == name for name in classes):
        raise ValueError(
            f"none of the {len(classes)} classes ({some(classes)}) has left, right or a sense of rotation in its name, "
            "so no labels can be swapped; name the classes in classes.txt, or use flip on or off"
        )
    number = {name: i for i, name in enumerate(classes)}
    alone = [name for name in classes if mirrored(name) not in number]
    if alone:
        more = f" (nor for {len(alone) - 1} more)" if len(alone) > 1 else ""
        raise ValueError(
            f"there is no class {mirrored(alone[0])!r} for mirrored videos of {alone[0]!r}{more}; use flip off"
        )
    return tuple(number[mirrored(name)] for name in classes)
