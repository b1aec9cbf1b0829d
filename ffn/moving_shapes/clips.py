"""One clip: a scene, and how its label moves what is in it."""

import hashlib
import math

import numpy as np
from numpy.random import RandomState

from ffn.moving_shapes.motions import ALPHA, CLASSES, MOTIONS, TURN, ZOOM, Manner, Motion, Pose, X, Y, vector
from ffn.moving_shapes.raster import FRAMES, FULL, SIZE, blend, coverage, span, to_grid
from ffn.moving_shapes.scenes import DISTRACTORS, SHAPES, Polygon, Scene, Thing, between, draw_scene, whole

# How hard the motions are. Ranges are (lowest, highest); lengths in px, times as shares of the clip.
MIDDLE = FRAMES // 2
RADIUS_LIMITS = (6.0, 24.0)  # at any time
PLACE_LIMITS = (8.0, 88.0)  # x and y at any time
DURATION = (0.35, 1.0)  # of the motion; the object rests before and after
DEVIATION = 38.0  # degrees from straight left, right, up or down
REACH = (14.0, 52.0)  # length of a straight path
GROWTH = (0.35, 1.2)  # doublings of the radius
ROTATION = (0.15, 1.0)  # turns
ORBIT_RADIUS = (7.0, 22.0)
ORBIT_TURNS = (0.25, 1.1)
SHAKE = (2.5, 8.0)  # amplitude
SHAKE_PERIODS = (3, 5)
MOMENT = (0.25, 0.75)  # of the motion, when something appears or disappears
TOUCH = (8.0, 26.0)  # the least distance of two objects that meet or part


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


def frames_sha256(frames: np.ndarray) -> str:
    """The SHA-256 of the raw bytes of the frames, in hexadecimal."""
    return hashlib.sha256(np.ascontiguousarray(frames).tobytes()).hexdigest()
