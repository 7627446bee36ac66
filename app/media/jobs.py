"""What is to be done about media."""

from app.jobs.queue import Job


class ExamineMedium(Job):
    """A file came in, or its address: fetch it, see what it is, keep a clean copy."""

    medium_id: int
