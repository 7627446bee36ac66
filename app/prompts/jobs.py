"""What the prompts chapter tells later ones."""

from app.jobs.queue import Job


class PromptsArrived(Job):
    """An import brought new prompts that people are to judge answers to."""

    project_id: int
