"""Moving shapes: small procedural videos whose class can only be told from motion.

A clip is 48 frames (two seconds) of 96x96 px: a bright shape on a darker patterned ground, under a slightly shaky
camera, moves in one of 16 ways (in "meet" and "part" there are two).

The seed of a clip draws the scene *as it stands in the middle frame*; its label only decides how things come to be
there and where they go next. So wherever one thing is in view the middle frame is the same picture, bit for bit, under
every label, even in the compressed file. Only the number of things tells something: two in "meet" and "part", none
while "appear" and "disappear" hide theirs. Most classes come in pairs that are each other's time reversal, which keeps
single frames at other moments almost as silent.

The same seed renders the same frames on every machine: random numbers come from a frozen stream, all geometry
is rounded to a grid of 1/16 px, and from there on everything is integer arithmetic.
"""

from __future__ import annotations

import csv
import hashlib
import math
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any, NamedTuple
from uuid import uuid4

import av
import numpy as np
from numpy.random import RandomState
from platformdirs import user_cache_dir

VERSION = "v1"  # names the folder: change it whenever a seed would render other frames
FRAMES = 48
SIZE = 96  # px, width and height
FPS = 24
MIDDLE = FRAMES // 2

# How hard the clips are. Ranges are (lowest, highest); lengths in px, times as shares of the clip.
DISTRACTORS = (0, 0)  # things that rest all the time
RADIUS = (11.0, 15.0)  # in the middle frame
RADIUS_LIMITS = (6.0, 24.0)  # at any time
PLACE = (20.0, 76.0)  # x and y in the middle frame
PLACE_LIMITS = (8.0, 88.0)  # x and y at any time
SPACING = 20.0  # between any two objects in the middle frame
CONTRAST = 72  # of luma, 0-255, by which an object outshines its background
BACKGROUND_CONTRAST = 20  # of each channel, 0-255, within the background
LIGHT = (200, 255)  # the brightest value a clip uses
GROUND = (24, 88)  # the values of the background
JITTER = 1.5  # how far the camera strays
DURATION = (0.5, 1.0)  # of the motion; the object rests before and after
DEVIATION = 25.0  # degrees from straight left, right, up or down
REACH = (28.0, 52.0)  # length of a straight path
GROWTH = (0.7, 1.2)  # doublings of the radius
ROTATION = (0.35, 1.0)  # turns
ORBIT_RADIUS = (10.0, 22.0)
ORBIT_TURNS = (0.4, 1.1)
SHAKE = (4.0, 8.0)  # amplitude
SHAKE_PERIODS = (3, 5)
MOMENT = (0.25, 0.75)  # of the motion, when something appears or disappears
FADE = 0.08  # of the motion: 1.5 to 4 frames
TOUCH = (8.0, 26.0)  # the least distance of two objects that meet or part


@dataclass(frozen=True)
class Split:
    """A part of the data: clip `index` has the seed `seed + index` and the label `CLASSES[index % 16]`."""

    seed: int
    per_class: int


SPLITS = {
    "train": Split(seed=1_000_000, per_class=150),
    "val": Split(seed=2_000_000, per_class=30),
    "test": Split(seed=3_000_000, per_class=60),
}


# --- Motions: what a class is ---------------------------------------------------------------------------------


class Pose(NamedTuple):
    """How far a motion has taken an object. Poses are relative: only their differences are ever used."""

    x: float = 0.0  # px to the right
    y: float = 0.0  # px down
    turn: float = 0.0  # turns clockwise
    zoom: float = 0.0  # doublings of the radius
    alpha: float = 1.0  # opacity from 0 to 1, the one absolute number


X, Y, TURN, ZOOM, ALPHA = range(5)  # the columns of a track, which is a pose for every frame


class Manner(NamedTuple):
    """How one clip carries out its motion; angles in radians, clockwise from "to the right"."""

    axis: float  # from the first object to its nearest neighbour
    heading: float
    deviation: float
    reach: float
    growth: float
    rotation: float
    orbit_radius: float
    orbit_turns: float
    shake: float
    shake_periods: int
    moment: float
    onset: float
    duration: float
    smooth: bool

    def progress(self, frame: int) -> float:
        """How much of the motion is done, from 0 (resting before it) to 1 (resting after it)."""
        done = min(max((frame / FRAMES - self.onset) / self.duration, 0.0), 1.0)
        return done * done * (3 - 2 * done) if self.smooth else done


Motion = Callable[[float, Manner], Pose]


def along(angle: float, distance: float) -> Pose:
    x, y = vector(angle, distance)
    return Pose(x, y)


def vector(angle: float, length: float) -> tuple[float, float]:
    return length * math.cos(angle), length * math.sin(angle)


def slide(angle: float) -> Motion:
    return lambda progress, how: along(angle + how.deviation, how.reach * progress)


def approach(progress: float, how: Manner) -> Pose:
    return Pose(zoom=how.growth * progress)


def rotate(progress: float, how: Manner) -> Pose:
    return Pose(turn=how.rotation * progress)


def orbit(progress: float, how: Manner) -> Pose:
    return along(how.heading + math.tau * how.orbit_turns * progress, how.orbit_radius)


def there_and_back(progress: float, how: Manner) -> Pose:
    return along(how.heading, how.reach * math.sin(math.pi * progress))


def shake(progress: float, how: Manner) -> Pose:
    return along(how.heading, how.shake * math.sin(math.tau * how.shake_periods * progress))


def appear(progress: float, how: Manner) -> Pose:
    return Pose(alpha=min(max((progress - how.moment) / FADE + 0.5, 0.0), 1.0))


def meet(progress: float, how: Manner) -> Pose:
    return along(how.axis, how.reach / 2 * progress)


def mirrored(motion: Motion) -> Motion:
    """The same motion on the other side of a point."""

    def mirror(progress: float, how: Manner) -> Pose:
        pose = motion(progress, how)
        return pose._replace(x=-pose.x, y=-pose.y)

    return mirror


def backwards(motion: Motion) -> Motion:
    """The same motion backwards in time."""
    return lambda progress, how: motion(1 - progress, how)


MOTIONS: dict[str, tuple[Motion, ...]] = {  # one motion for each object that moves
    "left": (slide(math.pi),),
    "right": (slide(0.0),),
    "up": (slide(-math.pi / 2),),
    "down": (slide(math.pi / 2),),
    "approach": (approach,),
    "recede": (backwards(approach),),
    "rotate_clockwise": (rotate,),
    "rotate_counterclockwise": (backwards(rotate),),
    "orbit_clockwise": (orbit,),
    "orbit_counterclockwise": (backwards(orbit),),
    "there_and_back": (there_and_back,),
    "shake": (shake,),
    "appear": (appear,),
    "disappear": (backwards(appear),),
    "meet": (meet, mirrored(meet)),
    "part": (backwards(meet), backwards(mirrored(meet))),
}
CLASSES = tuple(MOTIONS)


# --- Scenes: what the middle frame shows ----------------------------------------------------------------------

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

    def distance(self, other: Thing) -> float:
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

FULL = 128  # mixing levels: 0 is all of the first colour, FULL all of the second, and int16 is enough
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


def bilinear(grid: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The grid between its points, at rows `y` and columns `x` in 1/16 of its step."""
    (row, down), (column, right) = divmod(y, 16), divmod(x, 16)
    rows = grid[row] * (16 - down)[:, None] + grid[row + 1] * down[:, None]
    return (rows[:, column] * (16 - right) + rows[:, column + 1] * right) >> 8


def draw_pattern(rng: RandomState, camera: np.ndarray) -> np.ndarray:
    """A random pattern as the moving camera sees it, (FRAMES, SIZE, SIZE) levels from 0 to FULL."""
    side = np.arange(SIZE + 2 * MARGIN)
    still = PATTERNS[whole(rng, 0, len(PATTERNS) - 1)](rng, side[:, None], side[None, :])
    window = 16 * (np.arange(SIZE) + MARGIN)
    return np.stack([bilinear(still, window - down, window - right) for right, down in camera])


# --- Painting: integers only ----------------------------------------------------------------------------------


def to_grid(pixels: Any) -> np.ndarray:
    """Lengths in px as whole numbers of 1/16 px."""
    return np.rint(16 * np.asarray(pixels)).astype(np.int32)


def blend(under: np.ndarray, over: np.ndarray, level: np.ndarray) -> np.ndarray:
    """`over` over `under` (..., 3), where `level` (...) goes from 0 to FULL."""
    under, over, level = (np.asarray(part, np.int16) for part in (under, over, level))
    return under + ((over - under) * level[..., None] >> 7)


def paint(canvas: np.ndarray, thing: Thing, track: np.ndarray, camera: np.ndarray) -> None:
    """Paint a thing that follows `track` (FRAMES, 5) onto all frames of `canvas` at once."""
    outlines = [place(piece, track) + camera[:, None] for piece in SHAPES[thing.shape]]
    corners = np.concatenate(outlines, axis=1)
    columns, rows = (span(corners[..., axis]) for axis in (0, 1))
    x, y = (16 * np.arange(SIZE, dtype=np.int32) + 8 for _ in range(2))
    level = sum(coverage(outline, y[rows], x[columns]) for outline in outlines)
    opacity = np.array([round(FULL * alpha) for alpha in track[:, ALPHA]], np.int32)
    level = np.minimum(level, FULL) * opacity[:, None, None] // FULL
    canvas[:, rows, columns] = blend(canvas[:, rows, columns], thing.colour, level)


def place(piece: Polygon, track: np.ndarray) -> np.ndarray:
    """The corners of a polygon in every frame, (FRAMES, corners, 2) x and y in 1/16 px."""
    across, down = to_grid([vector(math.tau * pose[TURN], math.exp2(pose[ZOOM])) for pose in track]).T
    x, y = np.array(piece, np.int32).T
    right = np.outer(across, x) - np.outer(down, y)
    below = np.outer(down, x) + np.outer(across, y)
    return to_grid(track[:, None, [X, Y]]) + np.stack([right, below], axis=-1) // 16


def span(corners: np.ndarray) -> slice:
    """The px that some frame touches along one axis."""
    return slice(max(int(corners.min()) // 16 - 1, 0), max(int(corners.max()) // 16 + 2, 0))


def coverage(outline: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """How much of each px a convex polygon covers in every frame, (FRAMES, y, x) levels from 0 to FULL.

    The distance of a px to the nearest edge, clipped to half a px on either side of it.
    """
    inside = np.full((FRAMES, len(y), len(x)), 1 << 30, np.int32)
    for end in range(outline.shape[1]):
        corner, edge = outline[:, end - 1], outline[:, end] - outline[:, end - 1]
        # Correctly rounded everywhere, as IEEE 754 demands of square roots.
        length = np.maximum(np.sqrt((edge**2).sum(axis=1)).astype(np.int32), 1)
        across, down = (256 * edge // length[:, None]).T[:, :, None]
        below = across * (y - corner[:, 1:])
        right = down * (x - corner[:, :1])
        np.minimum(inside, below[:, :, None] - right[:, None, :], out=inside)
    return np.clip((inside >> 5) + FULL // 2, 0, FULL)


# --- Clips ----------------------------------------------------------------------------------------------------


def render(seed: int, label: str) -> np.ndarray:
    """The frames of one clip, (48, 96, 96, 3) uint8 RGB; the same on every machine.

    Raises ValueError if the label is not one of CLASSES or the seed is not in 0..2**32 - 1.
    """
    if label not in MOTIONS:
        raise ValueError(f"No class is called {label!r}; choose one of {', '.join(CLASSES)}.")
    if not 0 <= seed < 2**32:
        raise ValueError(f"The seed {seed} is out of range; choose one from 0 to {2**32 - 1}.")
    rng = RandomState(seed)
    scene = draw_scene(rng)
    canvas = scene.background.copy()
    for thing, track in sorted(choreograph(rng, scene, label), key=lambda part: part[0].depth):
        paint(canvas, thing, track, scene.camera)
    return canvas.astype(np.uint8)


def choreograph(rng: RandomState, scene: Scene, label: str) -> list[tuple[Thing, np.ndarray]]:
    """What is in the clip and where it is: things with their tracks, (FRAMES, 5) as in Pose.

    A track adds up to the thing itself in the middle frame. It is the manner of the motion, never the scene,
    that is drawn again until everything stays in view.
    """
    first, second = scene.things[:2]
    axis = math.atan2(second.y - first.y, second.x - first.x)
    distractors = whole(rng, *DISTRACTORS)
    while True:
        how = draw_manner(rng, axis)
        moves = [act(motion, how) for motion in MOTIONS[label]]
        things = cast(scene, moves)[: len(moves) + distractors]
        rests = [np.zeros((FRAMES, 5)) + Pose()] * (len(things) - len(moves))
        tracks = [at_rest(thing) + move for thing, move in zip(things, moves + rests, strict=True)]
        if all(map(in_view, tracks)) and (len(moves) == 1 or touch(*tracks[:2])):
            return list(zip(things, tracks, strict=True))


def cast(scene: Scene, moves: list[np.ndarray]) -> list[Thing]:
    """The things in the clip, those that move first; where the first is hidden midway the spare one moves instead."""
    return [scene.spare, *scene.things] if moves[0][MIDDLE, ALPHA] == 0 else scene.things


def draw_manner(rng: RandomState, axis: float) -> Manner:
    duration = between(rng, DURATION)
    return Manner(
        axis=axis,
        heading=between(rng, (0, math.tau)),
        deviation=math.radians(between(rng, (-DEVIATION, DEVIATION))),
        reach=between(rng, REACH),
        growth=between(rng, GROWTH),
        rotation=between(rng, ROTATION),
        orbit_radius=between(rng, ORBIT_RADIUS),
        orbit_turns=between(rng, ORBIT_TURNS),
        shake=between(rng, SHAKE),
        shake_periods=whole(rng, *SHAKE_PERIODS),
        moment=between(rng, MOMENT),
        onset=between(rng, (0, 1 - duration)),
        duration=duration,
        smooth=whole(rng, 0, 1) == 1,
    )


def act(motion: Motion, how: Manner) -> np.ndarray:
    """The motion through the clip, (FRAMES, 5) as in Pose, relative to the middle frame."""
    track = np.array([motion(how.progress(frame), how) for frame in range(FRAMES)])
    track[:, :ALPHA] -= track[MIDDLE, :ALPHA]
    return track


def at_rest(thing: Thing) -> np.ndarray:
    """The pose of a thing without its opacity, which comes from the move that is added to this."""
    return np.array(Pose(thing.x, thing.y, thing.turn, math.log2(thing.radius), alpha=0))


def in_view(track: np.ndarray) -> bool:
    """Whether a thing stays in the frame, neither too small nor too large, and is not half visible midway."""
    near, far = (math.log2(limit) for limit in RADIUS_LIMITS)
    inside = within(track[:, [X, Y]], *PLACE_LIMITS) and within(track[:, ZOOM], near, far)
    return inside and track[MIDDLE, ALPHA] in (0, 1)


def within(values: np.ndarray, low: float, high: float) -> bool:
    return bool(low <= values.min() and values.max() <= high)


def touch(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two things come close at some time, without passing through each other."""
    distance = np.hypot(*(one - other)[:, [X, Y]].T).min()
    return bool(TOUCH[0] <= distance <= TOUCH[1])


def frames_sha256(frames: np.ndarray) -> str:
    """The SHA-256 of the raw bytes of the frames, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(frames).tobytes()).hexdigest()


def encode(frames: np.ndarray, path: Path, comment: str) -> None:
    """Write frames as H.264 in an MP4 file, whole or not at all, with a comment in its metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{uuid4().hex}.tmp")
    options = {"preset": "fast", "threads": "1", "flags": "+cgop"}
    # The middle frame owes nothing to the motion around it: it starts a closed group of pictures, at a constant
    # quantiser. A constant rate factor would spend its bits according to what comes next.
    options |= {"g": str(MIDDLE), "sc_threshold": "0", "qp": "20"}
    try:
        with av.open(str(unfinished), "w", format="mp4") as video:
            video.metadata["comment"] = comment
            stream = video.add_stream("libx264", rate=FPS, options=options)
            stream.width, stream.height, stream.pix_fmt = SIZE, SIZE, "yuv420p"
            for frame in frames:
                video.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            video.mux(stream.encode())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_comment(path: Path) -> str | None:
    """The comment `encode` wrote; None if there is no such file or it is not a video."""
    try:
        with av.open(str(path)) as video:
            return video.metadata.get("comment")
    except (OSError, av.FFmpegError):
        return None


# --- The data set on disk -------------------------------------------------------------------------------------


class Clip(NamedTuple):
    folder: Path
    path: str  # relative to the folder
    label: str
    seed: int


def prepare(
    split: str,
    root: Path | None = None,
    *,
    clips_per_class: int | None = None,
    workers: int = 2,
    progress: Callable[[int, int], object] | None = None,
) -> Path:
    """Make sure that the videos of a split exist, and return the path of the CSV file that lists them.

    Its columns are path (relative to the CSV file), label, seed and frames_sha256 (of the frames before they
    were encoded). `clips_per_class` asks for the first few clips only, listed in a file of their own.
    Whatever an earlier or a killed run has left is used; several processes may prepare at the same time.
    `progress` is called with (clips done, clips in all).

    Raises ValueError if there is no such split or it has fewer than `clips_per_class` clips in each class.
    """
    count = check_request(split, clips_per_class)
    base = root or Path(os.environ.get("FFN_CACHE") or user_cache_dir("ffn"))
    folder = base / f"moving_shapes-{VERSION}"
    manifest = folder / (f"{split}.csv" if clips_per_class is None else f"{split}-{clips_per_class}.csv")
    clips = list_clips(split, folder, count)
    if not is_complete(manifest, clips):
        hashes = make(clips, workers, progress)
        write_manifest(manifest, [(*clip[1:], hashes[clip]) for clip in clips])
    return manifest


def check_request(split: str, clips_per_class: int | None) -> int:
    if split not in SPLITS:
        raise ValueError(f"No split is called {split!r}; choose one of {', '.join(SPLITS)}.")
    most = SPLITS[split].per_class
    if clips_per_class is not None and not 1 <= clips_per_class <= most:
        raise ValueError(
            f"clips_per_class is {clips_per_class}, but the split {split!r} has {most} clips in each class;"
            f" choose a number from 1 to {most}, or None for all."
        )
    return most if clips_per_class is None else clips_per_class


def list_clips(split: str, folder: Path, per_class: int) -> list[Clip]:
    """The classes take turns, so that the first 16 n clips hold n of each."""
    start = SPLITS[split].seed
    labels = enumerate(CLASSES * per_class, start)
    return [Clip(folder, f"{split}/{label}/{seed}.mp4", label, seed) for seed, label in labels]


def is_complete(manifest: Path, clips: list[Clip]) -> bool:
    if not manifest.exists():
        return False
    with manifest.open(newline="", encoding="utf-8") as file:
        listed = [row[0] for row in csv.reader(file)][1:]
    return listed == [clip.path for clip in clips] and all((clip.folder / clip.path).exists() for clip in clips)


def make(clips: list[Clip], workers: int, progress: Callable[[int, int], object] | None) -> dict[Clip, str]:
    """Render the clips that are missing; the frames_sha256 of all."""
    found = ((clip, read_comment(clip.folder / clip.path)) for clip in clips)
    hashes = {clip: comment for clip, comment in found if comment}
    for clip, digest in render_all([clip for clip in clips if clip not in hashes], workers):
        hashes[clip] = digest
        if progress:
            progress(len(hashes), len(clips))
    return hashes


def render_all(clips: list[Clip], workers: int) -> Iterator[tuple[Clip, str]]:
    """Render clips in parallel, in any order; a few are faster rendered here than by processes yet to start."""
    if workers <= 1 or len(clips) < 32:
        yield from map(render_to_file, clips)
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=end_with_parent)
    try:
        with anonymous_main():
            futures = [pool.submit(render_to_file, clip) for clip in clips]
        yield from (future.result() for future in as_completed(futures))
    finally:
        pool.shutdown(cancel_futures=True)


def render_to_file(clip: Clip) -> tuple[Clip, str]:
    frames = render(clip.seed, clip.label)
    digest = frames_sha256(frames)
    encode(frames, clip.folder / clip.path, comment=digest)
    return clip, digest


def end_with_parent() -> None:
    """Let this process end when its parent is killed, instead of waiting for work for ever."""
    parent = parent_process()

    def watch() -> None:
        if parent:
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()


@contextmanager
def anonymous_main() -> Iterator[None]:
    """Let processes start without the main script.

    A spawned process first runs the script its parent runs: a Streamlit page, or one that calls `prepare`
    without `if __name__ == "__main__"`, would run all over again.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main


def write_manifest(manifest: Path, rows: list[tuple[Any, ...]]) -> None:
    unfinished = manifest.with_suffix(f".{uuid4().hex}.tmp")
    with unfinished.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("path", "label", "seed", "frames_sha256"))
        writer.writerows(rows)
    os.replace(unfinished, manifest)
