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

from ffn.moving_shapes.clips import MIDDLE, frames_sha256, render
from ffn.moving_shapes.motions import CLASSES, MOTIONS
from ffn.moving_shapes.raster import FPS, FRAMES, SIZE
from ffn.moving_shapes.videos import SPLITS, VERSION, Split, prepare

__all__ = [
    "CLASSES",
    "FPS",
    "FRAMES",
    "MIDDLE",
    "MOTIONS",
    "SIZE",
    "SPLITS",
    "VERSION",
    "Split",
    "frames_sha256",
    "prepare",
    "render",
]
