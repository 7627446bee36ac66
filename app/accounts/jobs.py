"""What is asked of the workers: mails. Their links are made when they are sent, so no queue row holds a secret."""

from app.jobs.queue import Job


class SendMail(Job):
    """Mail the link with this inside id: an invitation or a password reset."""

    link_id: int
