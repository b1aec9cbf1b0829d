"""How long work says where it is; an exception that is raised in answer cancels it."""

from collections.abc import Callable

Progress = Callable[[int, int], object]  # steps done, steps in all
Report = Callable[[str, int, int], object]  # what is being done, steps done, steps in all
