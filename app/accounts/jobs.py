"""What is asked of the workers: mails. Their links are made when they are sent, so no queue row holds a secret."""

from app.jobs.queue import Job
from app.translation import SOURCE


class SendMail(Job):
    """Mail the link with this inside id: an invitation or a password reset.

    locale: the language of whoever asked for it, for a reader who has not chosen one.
    """

    link_id: int
    locale: str = SOURCE
