"""Addresses that stand in people's data, fetched: the one way out of this machine that strangers can choose.

A name is looked up once and the connection goes to what was found, so that it cannot lead elsewhere a moment later.
Every hop of a redirect is checked like the first address. Nothing of ours goes along: no cookies, no proxy, no key.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from pathlib import Path
from urllib.parse import urljoin

import httpx

from app.translation import _
from app.wording import byte_size

MOST_HOPS = 4
PATIENCE = 60.0  # seconds for all of it
SILENCE = 10.0  # seconds without a byte
PASSING = {408, 425, 429, 500, 502, 503, 504}
REDIRECTS = {301, 302, 303, 307, 308}
HEADERS = {"Accept": "image/*, audio/*, video/*", "Accept-Encoding": "identity", "User-Agent": "Hone/1"}
TRANSLATED = IPv6Network("64:ff9b::/96")  # an IPv4 address in its last four bytes
# Translation inside a network, where the IPv4 address stands is its own affair; and what was site-local once.
INSIDE = (IPv6Network("64:ff9b:1::/48"), IPv6Network("fec0::/10"))

Resolve = Callable[[str, int], Awaitable[list[str]]]


class NotFetched(Exception):
    """Why an address was not fetched: a sentence. retryable: whether it may be otherwise later."""

    def __init__(self, sentence: str, *, retryable: bool = False) -> None:
        super().__init__(sentence)
        self.retryable = retryable


def is_public(address: str) -> bool:
    """Whether an address belongs to the internet at large: not to this machine, its network, or nobody."""
    found = ip_address(address)
    if any(found in network for network in INSIDE):
        return False
    inner = _embedded(found) if isinstance(found, IPv6Address) else None
    if inner is not None:
        return is_public(str(inner))
    return found.is_global and not found.is_multicast and not found.is_reserved


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that an IPv6 address stands for."""
    if address in TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


async def look_up(host: str, port: int) -> list[str]:
    """All addresses of a name.

    :raises NotFetched: there are none, or one of them is not public.
    """
    try:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise NotFetched(_("the name {host} is not known").format(host=host), retryable=True) from None
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    if not addresses or not all(map(is_public, addresses)):
        raise NotFetched(_("{host} is inside a private network, where nothing is fetched").format(host=host))
    return addresses


async def fetch(
    address: str, target: Path, most: int, *, resolve: Resolve = look_up, patience: float = PATIENCE
) -> None:
    """Write what lies at an address to `target`. most: bytes; patience: seconds for all of it.

    :raises NotFetched: it could not be had, or not within these bounds; nothing is left at `target`.
    """
    try:
        async with asyncio.timeout(patience):
            await _follow(address, target, most, resolve)
    except BaseException as error:
        await asyncio.to_thread(target.unlink, missing_ok=True)
        if isinstance(error, TimeoutError):
            sentence = _("it did not come within {seconds} seconds")
            raise NotFetched(sentence.format(seconds=round(patience)), retryable=True) from None
        if isinstance(error, httpx.HTTPError | httpx.InvalidURL):
            reason = str(error) or type(error).__name__
            raise NotFetched(_("it cannot be reached: {reason}").format(reason=reason), retryable=True) from None
        raise


async def _follow(address: str, target: Path, most: int, resolve: Resolve) -> None:
    async with httpx.AsyncClient(timeout=SILENCE, trust_env=False, follow_redirects=False) as client:
        for _hop in range(MOST_HOPS + 1):
            request = await _pinned(client, address, resolve)
            answer = await client.send(request, stream=True)
            try:
                if answer.status_code not in REDIRECTS:
                    return await _receive(answer, target, most)
                address = _led_to(address, answer.headers.get("Location", ""))
            finally:
                await answer.aclose()
    raise NotFetched(_("it leads from one address to the next more than {most} times").format(most=MOST_HOPS))


def _led_to(address: str, location: str) -> str:
    """Where a redirect leads; :raises NotFetched: nowhere."""
    try:
        return urljoin(address, location)
    except ValueError:
        raise _not_an_address(location) from None


def _not_an_address(found: str) -> NotFetched:
    return NotFetched(_("{address} is no address that is fetched").format(address=found[:200]))


async def _pinned(client: httpx.AsyncClient, address: str, resolve: Resolve) -> httpx.Request:
    """A request to the very machine that was looked at, under the name that was asked for.

    :raises NotFetched: the address is none we go to.
    """
    try:
        there = httpx.URL(address)  # with the host in the letters that travel: a name of others is encoded (IDNA)
    except (httpx.InvalidURL, ValueError):
        raise _not_an_address(address) from None
    host, port = there.raw_host.decode(), there.port or {"http": 80, "https": 443}.get(there.scheme)
    if not host or not port or there.userinfo:
        raise _not_an_address(address)
    pinned = (await resolve(host, port))[0]
    headers = HEADERS | {"Host": there.netloc.decode()}
    there = there.copy_with(host=pinned)
    return client.build_request("GET", there, headers=headers, extensions={"sni_hostname": host})


async def _receive(answer: httpx.Response, target: Path, most: int) -> None:
    if answer.status_code != 200:
        sentence = _("its server answered with status {status}").format(status=answer.status_code)
        raise NotFetched(sentence, retryable=answer.status_code in PASSING)
    if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise NotFetched(_("its server packed it although it was asked not to"))
    told = answer.headers.get("Content-Length", "0")
    size = int(told) if told.isascii() and told.isdigit() else 0
    with target.open("wb") as file:
        if size <= most:
            size = 0
            async for piece in answer.aiter_raw():
                size += len(piece)
                if size > most:
                    break
                file.write(piece)
    if size > most:
        raise NotFetched(_("it is larger than {most} (HONE_MAX_MEDIA_MB)").format(most=byte_size(most)))
    if size == 0:
        raise NotFetched(_("it is empty"))
