"""Work that registering a checkpoint leaves behind."""

from app.jobs.queue import Job


class CheckCheckpoint(Job):
    """Fetch it where needed, look at every file or ask the endpoint, then say ready or refused."""

    checkpoint_id: int
