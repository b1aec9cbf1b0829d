"""Colours can be seen in the light and in the dark."""

import tomllib
from pathlib import Path

import pytest

from workbench.plots.parts import CLASSES, COLOURS

THEME = tomllib.loads((Path(__file__).parent.parent / ".streamlit" / "config.toml").read_text())["theme"]


def luminance(colour: str) -> float:
    """Relative, of WCAG."""
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    lower, higher = sorted(map(luminance, (first, second)))
    return (higher + 0.05) / (lower + 0.05)


def test_contrast_is_that_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("look", ["light", "dark"])
def test_classes_can_be_seen(look):
    assert min(contrast(colour, THEME[look]["backgroundColor"]) for colour in CLASSES) > 2.6
    assert len(set(CLASSES)) == len(CLASSES)


def test_frame_counts_can_be_seen_in_the_dark():
    assert min(contrast(colour, THEME["dark"]["backgroundColor"]) for colour in COLOURS.values()) > 3
