"""`python -m workers sample|train|tidy`: one process each, ended by SIGTERM."""

import argparse
import asyncio

from app import journal
from app import tables as _tables  # noqa: F401  (the whole schema is known before the first statement)
from app.jobs.queue import Queue
from app.settings import get_settings
from workers.running import work


async def sample() -> None:
    """Both doors of the sampler in one process: the queue and loopback HTTP, over the same loaded checkpoints."""
    from workers.serving import serve  # loads torch, which the other two do without

    await serve(get_settings())


async def train() -> None:
    """One run at a time; the training itself is a child process."""
    await work(Queue.training, concurrency=1)


async def tidy() -> None:
    """Light jobs and housekeeping: no torch in here. Four at once, beside the two that may take hours, of which one of
    a kind runs at a time: a fetch from a hub, and the look into a folder (see `app.checkpoints.actions`)."""
    await work(Queue.light, concurrency=4 + 2)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument("process", choices=["sample", "train", "tidy"])
    chosen = parser.parse_args().process
    journal.set_up(get_settings().log_level)
    asyncio.run({"sample": sample, "train": train, "tidy": tidy}[chosen]())


if __name__ == "__main__":
    main()
