"""What the annotations chapter asks of workers."""

from app.jobs.queue import Job


class PromptWritten(Job):
    """Somebody wrote a prompt, changed it or took it back: the project's prompts are to say the same."""

    annotation_id: int
