"""A camera in the page: small pictures that come in batches, at the viewer's own pace, from the browser alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

KEY = "camera"
HTML = """
<div class="camera">
  <video muted playsinline aria-label="What the camera sees"></video>
  <div><button type="button">Record</button><p role="status">Nothing is recorded yet.</p></div>
</div>
"""
CSS = """
.camera { display: flex; flex-wrap: wrap; gap: 1rem; align-items: center; font-family: var(--st-font) }
video { width: 240px; aspect-ratio: 4 / 3; object-fit: cover; border-radius: var(--st-base-radius);
        background: var(--st-secondary-background-color) }
button { font: inherit; padding: 0.4rem 1rem; border-radius: var(--st-button-radius); cursor: pointer;
         color: var(--st-text-color); background: var(--st-background-color);
         border: 1px solid var(--st-border-color) }
button:hover, button:focus-visible { border-color: var(--st-primary-color); color: var(--st-primary-color) }
p { margin: 0.5rem 0 0; max-width: 22rem; color: var(--st-text-color) }
"""
SCRIPT = Path(__file__).with_suffix(".js")


def camera(data: dict[str, Any], on_batch: Callable[[], None]) -> None:
    """Shows the camera; `data` and the batches, which `last_batch` gives, are as `camera.js` says."""
    mount = st.components.v2.component(KEY, html=HTML, css=CSS, js=SCRIPT.read_text(encoding="utf-8"))
    mount(key=KEY, data=data, on_batch_change=on_batch)


def last_batch() -> dict[str, Any] | None:
    """What came last from the camera of this viewer; None before the first."""
    state = st.session_state.get(KEY)
    return dict(state["batch"]) if state and state.get("batch") else None
