"""Every answer carries its headers, unsafe requests come from our own pages, and no body is larger than allowed."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response

from app import errors, middleware
from app.assets import StaticAssets, digest
from app.errors import Conflict
from app.settings import Settings

MEBIBYTE = 1 << 20
HERE = {"Sec-Fetch-Site": "same-origin"}


def build(**settings: object) -> FastAPI:
    built = FastAPI()
    errors.install(built)
    middleware.install(built, Settings(max_body_mb=4, **settings))
    built.mount("/static", StaticAssets())
    built.state.written = 0

    @built.api_route("/form", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    @built.post("/api/v1/lines")
    async def write(request: Request) -> Response:
        body = await request.body()
        built.state.written += 1
        return Response(str(len(body)))

    @built.get("/broken")
    async def broken() -> None:
        raise RuntimeError("not for the reader")

    @built.post("/moved-on")
    async def moved_on() -> None:
        raise Conflict

    @built.get("/media")
    async def media() -> Response:
        return Response(b"x", headers={"Content-Security-Policy": "sandbox"})

    return built


@pytest.fixture
def built() -> FastAPI:
    return build()


@pytest.fixture
async def client(built: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(built, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://hone.test") as client:
        yield client


@pytest.mark.parametrize("path", ["/form", "/broken", "/nowhere", "/static/nothing.css", "/api/v1/nowhere"])
async def test_every_answer_carries_the_headers(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["content-security-policy"] == middleware.POLICY
    assert "unsafe" not in middleware.POLICY
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert len(headers["x-request-id"]) == 16
    assert "strict-transport-security" not in headers


async def test_https_is_kept_for_a_year(built: FastAPI) -> None:
    transport = httpx.ASGITransport(built)
    async with httpx.AsyncClient(transport=transport, base_url="https://hone.test") as client:
        assert (await client.get("/form")).headers["strict-transport-security"] == "max-age=31536000"


async def test_a_route_may_be_stricter(client: httpx.AsyncClient) -> None:
    assert (await client.get("/media")).headers.get_list("content-security-policy") == ["sandbox"]


async def test_an_error_of_ours_shows_its_number_and_nothing_else(client: httpx.AsyncClient) -> None:
    answer = await client.get("/broken")
    assert answer.status_code == 500
    assert answer.headers["x-request-id"] in answer.text
    assert "not for the reader" not in answer.text
    assert "Traceback" not in answer.text


async def test_programs_get_problem_json(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/nowhere")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["instance"] == answer.headers["x-request-id"]


async def test_a_refusal_goes_beside_the_form_and_not_in_its_place(client: httpx.AsyncClient) -> None:
    answer = await client.post("/moved-on", headers=HERE | {"HX-Request": "true"})
    assert answer.status_code == 409
    assert (answer.headers["hx-retarget"], answer.headers["hx-reswap"]) == ("#notices", "innerHTML")
    assert "<html" not in answer.text
    assert "changed by somebody else" in answer.text


ELSEWHERE: list[dict[str, str]] = [
    {},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://hone.test"},
    {"Sec-Fetch-Site": ""},
    {"Origin": "http://evil.test"},
    {"Origin": "null"},
    {"Origin": "http://hone.test.evil.test"},
    {"Origin": "http://hone.test:81"},
    {"Origin": "https://hone.test"},
    {"Authorization": "Bearer x", "Cookie": "hone_session=y"},
    {"Authorization": "Basic eDp5"},
]


@pytest.mark.parametrize(("method", "headers"), list(itertools.product(["POST", "PUT", "PATCH", "DELETE"], ELSEWHERE)))
async def test_what_comes_from_elsewhere_does_nothing(
    client: httpx.AsyncClient, built: FastAPI, method: str, headers: dict[str, str]
) -> None:
    answer = await client.request(method, "/form", headers=headers)
    assert answer.status_code == 403
    assert built.state.written == 0
    assert "did not come from a page of this site" in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        HERE,
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://hone.test"},
        {"Authorization": "Bearer x"},
        {"Authorization": "bearer x", "Sec-Fetch-Site": "cross-site"},
    ],
)
async def test_our_own_pages_and_tokens_may_write(
    client: httpx.AsyncClient, built: FastAPI, headers: dict[str, str]
) -> None:
    assert (await client.post("/form", headers=headers)).status_code == 200
    assert built.state.written == 1


async def test_reading_is_allowed_from_anywhere(client: httpx.AsyncClient) -> None:
    assert (await client.get("/form", headers={"Sec-Fetch-Site": "cross-site"})).status_code == 200


@pytest.mark.parametrize("public", ["https://label.test", "https://label.test:443/"])
async def test_behind_a_proxy_the_public_address_counts(public: str) -> None:
    transport = httpx.ASGITransport(build(public_url=public))
    async with httpx.AsyncClient(transport=transport, base_url="http://10.0.0.1:8765") as client:
        assert (await client.post("/form", headers={"Origin": "https://label.test"})).status_code == 200
        assert (await client.post("/form", headers={"Origin": "https://other.test"})).status_code == 403


class Wire:
    """An ASGI request by hand: counts what was read, collects what was sent."""

    def __init__(self, parts: list[bytes]) -> None:
        self.parts, self.read = parts, 0
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        self.read += 1
        body = self.parts[self.read - 1] if self.read <= len(self.parts) else b""
        return {"type": "http.request", "body": body, "more_body": self.read < len(self.parts)}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def post(self, app: Callable[..., Awaitable[None]], path: str, *headers: tuple[bytes, bytes]) -> int:
        scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "http_version": "1.1",
            "server": ("hone.test", 80),
            "headers": [(b"host", b"hone.test"), (b"sec-fetch-site", b"same-origin"), *headers],
        }
        await app(scope, self.receive, self.send)
        return int(self.sent[0]["status"])


@pytest.mark.parametrize("length", [b"2097153", b"104857600", b"-1", b"many"])
async def test_too_large_a_body_is_refused_unread(built: FastAPI, length: bytes) -> None:
    wire = Wire([b"x" * 65536] * 1600)
    assert await wire.post(built, "/form", (b"content-length", length)) == 413
    assert wire.read == 0
    assert (b"connection", b"close") in wire.sent[0]["headers"]
    assert b"2 MiB" in wire.sent[1]["body"]


async def test_a_body_that_hides_its_length_is_counted(built: FastAPI) -> None:
    wire = Wire([b"x" * 65536] * 1600)
    assert await wire.post(built, "/form") == 413
    assert wire.read == 33  # 32 parts of 64 KiB are 2 MiB
    assert built.state.written == 0


async def test_a_chunked_body_below_the_limit_passes(built: FastAPI) -> None:
    wire = Wire([b"x" * 65536] * 32)
    assert await wire.post(built, "/form") == 200
    assert wire.sent[1]["body"] == b"2097152"


@pytest.mark.parametrize(
    ("path", "kind", "megabytes", "status"),
    [
        ("/form", b"application/x-www-form-urlencoded", 3, 413),
        ("/form", b"multipart/form-data; boundary=x", 3, 200),
        ("/form", b"multipart/form-data; boundary=x", 5, 413),
        ("/api/v1/lines", b"application/json", 3, 200),
        ("/api/v1/lines", b"application/json", 5, 413),
        ("/api/v1/tasks/x/annotations", b"application/json", 3, 413),
        ("/api/v1/annotations/x", b"application/json", 3, 413),
    ],
)
async def test_files_and_calls_may_be_larger_than_forms(
    built: FastAPI, path: str, kind: bytes, megabytes: int, status: int
) -> None:
    wire = Wire([b"x" * MEBIBYTE] * megabytes)
    length = str(megabytes * MEBIBYTE).encode()
    assert await wire.post(built, path, (b"content-type", kind), (b"content-length", length)) == status


async def test_programs_get_problem_json_for_a_body_too_large(built: FastAPI) -> None:
    wire = Wire([b"x" * MEBIBYTE] * 6)
    assert await wire.post(built, "/api/v1/lines", (b"content-type", b"application/json")) == 413
    assert b'"type":"urn:hone:too-large"' in wire.sent[1]["body"]


async def test_static_files_are_kept_for_ever_under_their_hash_only(client: httpx.AsyncClient) -> None:
    kept = await client.get(f"/static/{digest()}/app.css")
    assert kept.status_code == 200
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert (await client.get("/static/000000000000/app.css")).headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("path", ["../app/main.py", "%2e%2e/app/main.py", "..%2f..%2fpyproject.toml", "", "vendor"])
async def test_nothing_outside_the_static_folder_is_served(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(f"/static/{digest()}/{path}")).status_code == 404
