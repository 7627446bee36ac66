"""Addresses in people's data: fetched from where they say, never from inside, never for ever."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from workers import fetching
from workers.fetching import NotFetched, fetch, is_public, look_up

MOST = 10_000


class Server:
    """Answers each path with the bytes put there, and remembers what it was asked."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes | Callable[[asyncio.StreamWriter], object]] = {}
        self.asked: list[str] = []
        self.heads: list[bytes] = []
        self.port = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split()[1].decode()
        self.asked.append(path)
        self.heads.append(head)
        answer = self.answers[path]
        try:
            if isinstance(answer, bytes):
                writer.write(answer)
                await writer.drain()
            else:
                await answer(writer)  # type: ignore[misc]
        except ConnectionError:
            pass
        finally:
            writer.close()


def ok(body: bytes, *more: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *more]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def to(address: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {address}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    answering = Server()
    listening = await asyncio.start_server(answering, "127.0.0.1", 0)
    answering.port = listening.sockets[0].getsockname()[1]
    yield answering
    listening.close()


async def here(host: str, port: int) -> list[str]:
    """What the names of the tests lead to; names of the inside are looked at as in real life."""
    return ["127.0.0.1"] if host.endswith(".test") else await look_up(host, port)


async def fetched(server: Server, path: str, folder: Path, **options: float) -> bytes:
    target = folder / "came"
    await fetch(f"http://pictures.test:{server.port}{path}", target, MOST, resolve=here, **options)
    return target.read_bytes()


async def test_what_lies_there_is_fetched_and_nothing_of_ours_goes_along(server: Server, tmp_path: Path) -> None:
    server.answers["/a?b=1"] = ok(b"a picture")
    assert await fetched(server, "/a?b=1", tmp_path) == b"a picture"
    head = server.heads[0].decode().lower()
    assert f"host: pictures.test:{server.port}" in head
    assert "cookie" not in head
    assert "authorization" not in head


async def test_a_redirect_is_followed_where_it_may_lead(server: Server, tmp_path: Path) -> None:
    server.answers |= {"/a": to(f"http://other.test:{server.port}/b"), "/b": to("/c"), "/c": ok(b"there")}
    assert await fetched(server, "/a", tmp_path) == b"there"
    assert server.asked == ["/a", "/b", "/c"]


@pytest.mark.parametrize(
    "inside",
    [
        "http://127.0.0.1:{port}/secret",
        "http://localhost:{port}/secret",
        "http://[::1]:{port}/secret",
        "http://[::ffff:127.0.0.1]:{port}/secret",
        "http://0.0.0.0:{port}/secret",
        "http://2130706433:{port}/secret",
        "http://127.1:{port}/secret",
        "http://169.254.169.254/latest/meta-data",
        "http://10.0.0.1/",
    ],
)
async def test_a_redirect_to_the_inside_is_not_followed(server: Server, tmp_path: Path, inside: str) -> None:
    server.answers |= {"/a": to(inside.format(port=server.port)), "/secret": ok(b"secret")}
    with pytest.raises(NotFetched, match=r"private network|is not known"):
        await fetched(server, "/a", tmp_path)
    assert server.asked == ["/a"]
    assert not (tmp_path / "came").exists()


@pytest.mark.parametrize("address", ["file:///etc/passwd", "ftp://pictures.test/x", "http://u:p@pictures.test/x", ""])
async def test_a_redirect_to_another_kind_of_address_is_not_followed(
    server: Server, tmp_path: Path, address: str
) -> None:
    server.answers |= {"/a": to(address), "": b""}
    with pytest.raises(NotFetched):
        await fetched(server, "/a", tmp_path)


@pytest.mark.parametrize("location", [b"http://[bad/", b"http://[::zz]/", b"http://a..\xfc/", b"http://a:99999/"])
async def test_a_redirect_that_leads_nowhere_is_told(server: Server, tmp_path: Path, location: bytes) -> None:
    server.answers["/a"] = b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
    with pytest.raises(NotFetched):
        await fetched(server, "/a", tmp_path)


async def test_a_name_in_other_letters_is_asked_for_as_it_travels(server: Server, tmp_path: Path) -> None:
    server.answers["/a"] = ok(b"a picture")
    await fetch(f"http://m\u00fcller.test:{server.port}/a", tmp_path / "came", MOST, resolve=here)
    assert f"host: xn--mller-kva.test:{server.port}" in server.heads[0].decode().lower()


async def test_a_length_in_other_digits_is_none(server: Server, tmp_path: Path) -> None:
    server.answers["/a"] = b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n"
    with pytest.raises(NotFetched):
        await fetched(server, "/a", tmp_path)


async def test_a_name_is_looked_up_once_and_the_connection_goes_there(server: Server, tmp_path: Path) -> None:
    """A name that answers otherwise a moment later leads nowhere else."""
    server.answers["/a"] = ok(b"a picture")
    looked: list[str] = []

    async def changing(host: str, port: int) -> list[str]:
        looked.append(host)
        return ["127.0.0.1"] if len(looked) == 1 else ["192.0.2.1"]

    await fetch(f"http://pictures.test:{server.port}/a", tmp_path / "came", MOST, resolve=changing)
    assert looked == ["pictures.test"]


async def test_one_private_address_among_public_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()

    async def found(*_asked: object, **_options: object) -> list[tuple[object, ...]]:
        return [(0, 0, 0, "", (address, 80)) for address in ("93.184.216.34", "10.1.2.3")]

    monkeypatch.setattr(loop, "getaddrinfo", found)
    with pytest.raises(NotFetched, match="private network"):
        await look_up("both.test", 80)


async def trickle(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(200):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


async def without_end(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    for _ in range(2_000):
        writer.write(b"x" * 1000)
        await writer.drain()


@pytest.mark.parametrize(
    ("answer", "reason", "later"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "status 404", False),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "status 503", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10000000000\r\n\r\n", "larger than 10", False),
        (without_end, "larger than 10", False),
        (ok(b"\x1f\x8b", b"Content-Encoding: gzip"), "packed", False),
        (ok(b""), "empty", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\ncut", "cannot be reached", True),
        (b"not http at all\r\n\r\n", "cannot be reached", True),
        (trickle, "within 0 seconds|within 1 seconds", True),
    ],
)
async def test_what_cannot_be_had_is_told_and_leaves_nothing(
    server: Server, tmp_path: Path, answer: bytes, reason: str, later: bool
) -> None:
    server.answers["/a"] = answer
    with pytest.raises(NotFetched, match=reason) as told:
        await fetched(server, "/a", tmp_path, patience=0.6)
    assert told.value.retryable == later
    assert not (tmp_path / "came").exists()


async def test_a_circle_ends(server: Server, tmp_path: Path) -> None:
    server.answers["/a"] = to("/a")
    with pytest.raises(NotFetched, match="more than 4 times"):
        await fetched(server, "/a", tmp_path)
    assert len(server.asked) == fetching.MOST_HOPS + 1


INSIDE = [
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "255.255.255.255",
    "224.0.0.1",
    "240.0.0.1",
    "192.0.2.1",
    "198.18.0.1",
    "::1",
    "::",
    "fe80::1",
    "fc00::1",
    "fd12::1",
    "ff02::1",
    "::ffff:10.0.0.1",
    "::ffff:127.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "2001:db8::1",
    "fec0::1",
    "64:ff9b:1:7f00:0:100:808:808",
    "64:ff9b:1::808:808",
]


@pytest.mark.parametrize("address", INSIDE)
def test_addresses_of_the_inside_are_known(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_addresses_of_the_internet_are_known(address: str) -> None:
    assert is_public(address)
