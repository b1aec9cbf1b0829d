"""What the middle frame shows: one or two bright shapes, a darker patterned ground, a camera that strays a little."""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.random import RandomState

from ffn.moving_shapes.motions import vector
from ffn.moving_shapes.raster import FRAMES, FULL, SIZE, bilinear, blend, to_grid

# How hard the scenes are. Ranges are (lowest, highest); lengths in px.
DISTRACTORS = (0, 0)  # things that rest all the time
RADIUS = (11.0, 15.0)  # in the middle frame
PLACE = (20.0, 76.0)  # x and y in the middle frame
SPACING = 20.0  # between any two objects in the middle frame
CONTRAST = 72  # of luma, 0-255, by which an object outshines its background
BACKGROUND_CONTRAST = 20  # of each channel, 0-255, within the background
LIGHT = (200, 255)  # the brightest value a clip uses
GROUND = (24, 88)  # the values of the background
JITTER = 2.0  # how far the camera strays

Polygon = list[tuple[int, int]]

# Each shape is made of convex polygons that do not overlap, corners clockwise, in 1/16 of the radius. None has
# a rotational symmetry, so that rotation always shows.
SHAPES: dict[str, list[Polygon]] = {
    "triangle": [[(0, -16), (10, 12), (-10, 12)]],
    "chevron": [[(0, -15), (13, 5), (13, 14), (0, -4)], [(0, -15), (0, -4), (-13, 14), (-13, 5)]],
    "half_disc": [[(-16, 7), (-15, 1), (-11, -4), (-6, -8), (0, -9), (6, -8), (11, -4), (15, 1), (16, 7)]],
    "corner": [[(-11, -14), (-4, -14), (-4, 12), (-11, 12)], [(-4, 5), (11, 5), (11, 12), (-4, 12)]],
    "exclamation": [
        [(-6, -16), (6, -16), (3, 5), (-3, 5)],
        [(-2, 8), (2, 8), (4, 10), (4, 14), (2, 16), (-2, 16), (-4, 14), (-4, 10)],
    ],
    "arrow": [[(0, -16), (12, -2), (-12, -2)], [(-4, -2), (4, -2), (4, 15), (-4, 15)]],
}


@dataclass(frozen=True)
class Thing:
    """An object in the middle frame."""

    shape: str
    colour: np.ndarray  # (3,) RGB
    depth: float  # the nearest is painted last
    x: float  # px
    y: float  # px
    turn: float  # turns clockwise
    radius: float  # px

    def distance(self, other: "Thing") -> float:
        return math.hypot(other.x - self.x, other.y - self.y)


@dataclass(frozen=True)
class Scene:
    background: np.ndarray  # (FRAMES, SIZE, SIZE, 3) int16 RGB
    camera: np.ndarray  # (FRAMES, 2) int: the shift of everything to the right and down, in 1/16 px
    things: list[Thing]  # the first is the one that moves, the others follow by their distance from it
    spare: Thing  # moves instead of the first where what moves is invisible in the middle frame


def between(rng: RandomState, limits: tuple[float, float]) -> float:
    return float(rng.uniform(*limits))


def whole(rng: RandomState, low: int, high: int) -> int:
    """One of low, low + 1, ..., high."""
    return int(rng.randint(low, high + 1, dtype=np.int64))


def draw_scene(rng: RandomState) -> Scene:
    light = whole(rng, *LIGHT)
    ground = [whole(rng, *GROUND) for _ in range(3)]
    colours = [np.array(ground), np.array([c + whole(rng, -1, 1) * BACKGROUND_CONTRAST for c in ground])]
    camera = draw_camera(rng)
    background = blend(colours[0], colours[1], draw_pattern(rng, camera))
    first, *others, spare = draw_things(rng, colours, light)
    return Scene(background, camera, [first, *sorted(others, key=first.distance)], spare)


def draw_things(rng: RandomState, background: list[np.ndarray], light: int) -> list[Thing]:
    things: list[Thing] = []
    wanted = 2 + DISTRACTORS[1] + 1  # what may move, what rests, and a spare one
    while len(things) < wanted:
        thing = Thing(
            shape=list(SHAPES)[whole(rng, 0, len(SHAPES) - 1)],
            colour=draw_colour(rng, background, light),
            depth=rng.random_sample(),
            x=between(rng, PLACE),
            y=between(rng, PLACE),
            turn=rng.random_sample(),
            radius=between(rng, RADIUS),
        )
        if all(thing.distance(other) >= SPACING for other in things):
            things.append(thing)
    return things


def draw_colour(rng: RandomState, background: list[np.ndarray], light: int) -> np.ndarray:
    while True:
        colour = np.array([whole(rng, 0, light) for _ in range(3)])
        if min(luma(colour) - luma(other) for other in background) >= CONTRAST:
            return colour


def luma(colour: np.ndarray) -> int:
    """How bright an RGB colour looks, 0-255."""
    return int(colour @ (77, 150, 29)) >> 8


def draw_camera(rng: RandomState) -> np.ndarray:
    """A smooth random walk, (FRAMES, 2) in 1/16 px."""
    stops, pace = rng.uniform(-JITTER, JITTER, (5, 2)), FRAMES // 4
    ease = np.array([0.5 - math.cos(math.pi * step / pace) / 2 for step in range(pace)])[:, None]
    return to_grid(np.concatenate([a + (b - a) * ease for a, b in pairwise(stops)]))


# --- Backgrounds: a pattern mixes two colours -----------------------------------------------------------------

MARGIN = math.ceil(JITTER) + 1  # px that the camera may uncover


def plain(rng: RandomState, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return 0 * (x + y)


def gradient(rng: RandomState, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    level = slope(rng, y, x)
    return FULL * (level - level.min()) // np.ptp(level)


def stripes(rng: RandomState, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    return wave(slope(rng, y, x), whole(rng, 12, 32))


def checker(rng: RandomState, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    period, half = whole(rng, 20, 44), FULL // 2
    return half + (wave(16 * y, period) - half) * (wave(16 * x, period) - half) // half


def blotches(rng: RandomState, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    step = 10  # px
    knots = rng.randint(0, FULL + 1, (len(y) // step + 2, x.size // step + 2), dtype=np.int64)
    return bilinear(knots, y[:, 0] * 16 // step, x[0] * 16 // step)


PATTERNS = (plain, gradient, stripes, checker, blotches)


def slope(rng: RandomState, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """A plane that rises by 16 every px in a random direction."""
    right, down = to_grid(vector(between(rng, (0, math.tau)), 1))
    return right * x + down * y


def wave(level: np.ndarray, period: int) -> np.ndarray:
    """0 and FULL in turn, with soft edges; `level` in 1/16 px, `period` in px."""
    triangle = abs(level % (16 * period) - 8 * period) - 4 * period
    return np.clip(FULL // 2 + 4 * triangle, 0, FULL)


def draw_pattern(rng: RandomState, camera: np.ndarray) -> np.ndarray:
    """A random pattern as the moving camera sees it, (FRAMES, SIZE, SIZE) levels from 0 to FULL."""
    side = np.arange(SIZE + 2 * MARGIN)
    still = PATTERNS[whole(rng, 0, len(PATTERNS) - 1)](rng, side[:, None], side[None, :])
    window = 16 * (np.arange(SIZE) + MARGIN)
    return np.stack([bilinear(still, window - down, window - right) for right, down in camera])
