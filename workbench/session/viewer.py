"""What one viewer has chosen and keeps, in the state of the session."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from workbench.session.checkpoints import Checkpoint, opened
from workbench.views import View

SELECTION, REPORT, OWN = "_selection", "_report", "_own"  # where the session state keeps them
LOCAL = "a local file"  # the sidebar's choice of a checkpoint by its path


@dataclass(frozen=True)
class Selection:
    """What the sidebar says; `data` is the path of a folder or manifest ("" yet), None for the embedded test split."""

    checkpoint: Checkpoint
    data: str | None
    num_frames: int
    policy: str = "nearest"  # for counts that were not trained, of ffn.any_frame

    @property
    def answered_by(self) -> str:
        """The policy that answers the chosen count; "" where a branch was trained at it."""
        return "" if self.num_frames in self.checkpoint.card["frames"] else self.policy


def select(selection: Selection | None) -> None:
    """Remembers the viewer's choice for the pages; None when there is none that works."""
    st.session_state[SELECTION] = selection
    if selection:
        opened()[selection.checkpoint.digest] = selection.checkpoint


def selection() -> Selection | None:
    """The viewer's choice, drawn from the sidebar in this run."""
    return st.session_state.get(SELECTION)


def report() -> dict[str, View]:
    """What the viewer has put into the report, by link and view; changes stay."""
    kept: dict[str, View] = st.session_state.setdefault(REPORT, {})
    return kept


def own(name: str, *key: Hashable, make: Callable[[], Any]) -> Any:
    """What this viewer alone keeps under a name, gone with the session; that of another key is cancelled first."""
    kept: dict[str, tuple[tuple[Hashable, ...], Any]] = st.session_state.setdefault(OWN, {})
    if name in kept and kept[name][0] != key:
        kept.pop(name)[1].cancel()
    if name not in kept:
        kept[name] = key, make()
    return kept[name][1]
