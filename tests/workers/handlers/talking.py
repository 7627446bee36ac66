"""A sampler's worker for conversations, without an engine, to be killed: `python -m tests.workers.handlers.talking`."""

import asyncio

from app import tables as _tables  # noqa: F401  (the whole schema is known before the first statement)
from app.jobs.queue import Queue
from workers.running import work

if __name__ == "__main__":
    asyncio.run(work(Queue.sampling, concurrency=1, also=Queue.talking))
