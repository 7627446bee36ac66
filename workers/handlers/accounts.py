"""Mails with links, and forgetting what is only kept for a while."""

import asyncio
import smtplib
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import unquote, urlsplit

from app.accounts.actions.letters import Letter, sweep_attempts, write_letter
from app.accounts.idempotency import sweep_keys
from app.accounts.jobs import SendMail
from app.settings import Settings
from workers.handlers.registry import Context, every, handles

TIMEOUT = 20  # seconds for each answer of the mail server


@handles(SendMail)
async def send_mail(job: SendMail, context: Context) -> None:
    """The token is stored before the mail leaves: a mail that arrives always works."""
    if context.settings.smtp_url is None:
        return
    async with context.session() as session:
        letter = await write_letter(session, job.link_id, job.locale)
    if letter is not None:
        await asyncio.to_thread(send, letter, context.settings)


def message_of(letter: Letter, sender: str) -> EmailMessage:
    """:raises ValueError: a line break where only one line may be."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = sender, letter.to, letter.subject
    message["Date"], message["Message-ID"] = formatdate(), make_msgid(domain=sender.rpartition("@")[2] or None)
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    return message


def send(letter: Letter, settings: Settings) -> None:
    """Hand one mail to the server of HONE_SMTP_URL: smtps from the first byte on, smtp with STARTTLS where offered.

    :raises OSError, smtplib.SMTPException: not now; the queue tries again.
    """
    assert settings.smtp_url is not None
    at = urlsplit(settings.smtp_url.get_secret_value())
    safe = at.scheme == "smtps"
    kind = smtplib.SMTP_SSL if safe else smtplib.SMTP
    with kind(at.hostname or "localhost", at.port or (465 if safe else 587), timeout=TIMEOUT) as server:
        server.ehlo()
        if not safe and server.has_extn("starttls"):
            server.starttls()
            server.ehlo()
        if at.username:
            server.login(unquote(at.username), unquote(at.password or ""))
        server.send_message(message_of(letter, settings.mail_from))


@every(3600)
async def forget_old(context: Context) -> None:
    """Idempotency keys after 48 hours, tries after a day."""
    async with context.session() as session:
        await sweep_keys(session)
        await sweep_attempts(session)
