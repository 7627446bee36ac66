"""Mails as a mail server receives them: one to each, with a link that works; none for nobody."""

import re
import socketserver
import threading
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import func, select

from app import database
from app.accounts.actions.letters import Letter
from app.accounts.actions.links import give_link
from app.accounts.jobs import SendMail
from app.accounts.tables import Link, LinkKind
from app.main import app
from app.settings import Settings, get_settings
from tests import make
from workers.handlers.accounts import message_of, send_mail
from workers.handlers.registry import HANDLERS, TICKS, Context


class Post(socketserver.StreamRequestHandler):
    """Just enough of RFC 5321 to take one mail."""

    def handle(self) -> None:
        self.wfile.write(b"220 post\r\n")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = iter(self.rfile.readline, b".\r\n")
                self.server.mails.append(b"".join(lines).decode())  # type: ignore[attr-defined]
            self.wfile.write(b"250 fine\r\n" if verb != b"QUIT" else b"221 bye\r\n")
            if verb == b"QUIT":
                return


@pytest.fixture
def post() -> Iterator[tuple[str, list[str]]]:
    """A mail server of this test's own: its address and what it received."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Post) as server:
        server.mails = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"smtp://127.0.0.1:{server.server_address[1]}", server.mails  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


def test_there_is_one_handler_and_one_sweep() -> None:
    assert HANDLERS[SendMail] is send_mail
    assert "forget_old" in {tick.__name__ for tick in TICKS}


@pytest.mark.committed
@pytest.mark.usefixtures("committed")
async def test_an_invitation_arrives_with_a_link_that_works_once(post: tuple[str, list[str]]) -> None:
    address, mails = post
    async with database.transaction() as session:
        link, path = await give_link(session, LinkKind.invitation, email="new@example.org", makes_admin=True)
    context = Context(get_settings().model_copy(update={"smtp_url": Settings(smtp_url=address).smtp_url}))
    await send_mail(SendMail(link_id=link.id), context)
    (mail,) = mails
    assert "To: new@example.org" in mail
    found = re.search(r"/invitations/[\w-]+", mail)
    assert found is not None
    assert found[0] != path  # the token was made for the mail
    headers = {"Sec-Fetch-Site": "same-origin"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver", headers=headers) as client:
        assert (await client.get(path)).status_code == 404
        form = {"name": "Ada", "password": "correct horse battery"}
        assert [(await client.post(found[0], data=form)).status_code for _time in range(2)] == [303, 404]
    await send_mail(SendMail(link_id=link.id), context)  # the queue may deliver twice
    assert len(mails) == 1


@pytest.mark.committed
@pytest.mark.usefixtures("committed")
async def test_a_reset_for_nobody_sends_nothing_and_leaves_nothing(post: tuple[str, list[str]]) -> None:
    address, mails = post
    async with database.transaction() as session:
        link, _path = await give_link(session, LinkKind.password_reset, email="nobody@example.org")
        await make.user(session)
    context = Context(get_settings().model_copy(update={"smtp_url": Settings(smtp_url=address).smtp_url}))
    await send_mail(SendMail(link_id=link.id), context)
    assert mails == []
    async with database.transaction() as session:
        assert await session.scalar(select(func.count(Link.id))) == 0


def test_no_header_can_be_smuggled_into_a_mail() -> None:
    with pytest.raises(ValueError, match="linefeed"):
        message_of(Letter("a@b.c", "You are invited to x\r\nBcc: all@example.org", "text"), "hone@localhost")
