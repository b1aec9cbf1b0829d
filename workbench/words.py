"""Numbers with the noun that they count, errors as sentences."""

from typing import Any


def counted(number: Any, noun: str) -> str:
    """The words "1 point", "4 points"; `number` is rounded to a whole one."""
    return f"{number:.0f} {noun}{'' if round(number) == 1 else 's'}"


def in_frames(count: Any) -> str:
    """The words "1 frame", "4 frames"."""
    return counted(count, "frame")


def sentence(error: Exception | str) -> str:
    """An error as the page says it."""
    text = str(error).rstrip(".")
    return f"{text[:1].upper()}{text[1:]}."
