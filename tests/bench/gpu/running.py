"""One stage in the process that was forked for it."""

from __future__ import annotations

import traceback
import warnings
from multiprocessing.connection import Connection


def run_stage(name: str, shape: str, tiny: bool, pipe: Connection) -> None:
    """Sends figures, or why there are none."""
    warnings.simplefilter("ignore")  # libraries tell each other what they will drop
    try:
        pipe.send(figures_of(name, shape, tiny))
    except BaseException as reason:
        traceback.print_exc()
        first = str(reason).strip().splitlines()
        pipe.send({"failed": f"{type(reason).__name__}: {first[0] if first else ''}"[:300]})


def figures_of(name: str, shape: str, tiny: bool) -> dict:
    from tests.bench.gpu import shapes, stages  # what is missing is told before torch is asked for

    if name.startswith("trl-"):
        from tests.bench.gpu.theirs import THEIRS

        work = THEIRS[name]
    else:
        work = stages.OURS[name]
    figures = work(shapes.SHAPES["tiny" if tiny else shape], shapes.TINY if tiny else shapes.FULL)
    return figures | {"peak_bytes": stages.peak_bytes()}
