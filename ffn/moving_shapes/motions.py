"""What a class is: a motion, written as a function of how much of it is done. Another class is another entry."""

import math
from collections.abc import Callable
from typing import NamedTuple

from ffn.moving_shapes.raster import FRAMES

FADE = 0.08  # of the motion: 1.5 to 4 frames


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
