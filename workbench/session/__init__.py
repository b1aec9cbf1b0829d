"""What viewers share and what one of them has chosen: checkpoints, results, background work, the selection.

The only place with st.cache_*.
"""

from workbench.session.checkpoints import (
    Checkpoint,
    alike,
    branch_divergence,
    bundled,
    model,
    norm_parameters,
    open_path,
    open_upload,
    others,
)
from workbench.session.knowledge import (
    NOTHING,
    Known,
    known,
)
from workbench.session.recordings import Recorded, recordings
from workbench.session.server import settle
from workbench.session.videos import (
    clips,
    data_digest,
    listing,
    rendering,
    unlabelled,
)
from workbench.session.viewer import (
    LOCAL,
    OWN,
    SELECTION,
    Selection,
    own,
    report,
    select,
    selection,
)
from workbench.session.work import (
    answering,
    glance,
    job,
    profile,
    sweep,
    trainings,
    verification,
)

__all__ = [
    "LOCAL",
    "NOTHING",
    "OWN",
    "SELECTION",
    "Checkpoint",
    "Known",
    "Recorded",
    "Selection",
    "alike",
    "answering",
    "branch_divergence",
    "bundled",
    "clips",
    "data_digest",
    "glance",
    "job",
    "known",
    "listing",
    "model",
    "norm_parameters",
    "open_path",
    "open_upload",
    "others",
    "own",
    "profile",
    "recordings",
    "rendering",
    "report",
    "select",
    "selection",
    "settle",
    "sweep",
    "trainings",
    "unlabelled",
    "verification",
]
