"""What the server does once, for whoever comes."""

import atexit
import gc
from functools import cache


@cache
def settle() -> None:
    """Hides what is imported from the garbage collector, once.

    Streamlit collects everything after every run of the script: 0.3 s with torch loaded, in which nobody is served.
    """
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)  # or modules complain of leaks
