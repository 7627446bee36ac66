"""The client against a real server on the loopback that misbehaves in each way it can."""

import asyncio
import json
import socket

import pytest

from workers.sampling.answers import NotAnswerable, Sampling
from workers.sampling.remote import Endpoint, EndpointFailed, Remote

CHAT = [{"role": "user", "content": "Is the tea hot?"}]
SETTINGS = Sampling(temperature=0.7, top_p=0.9, max_tokens=20, stop=("\n",))


def reply(content, status="200 OK", kind="application/json", extra="", length=None):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length or len(body)}\r\n{extra}\r\n"
    return head.encode() + body


def completion(*texts, **changes):
    choices = [{"index": i, "message": {"role": "assistant", "content": text}} for i, text in enumerate(texts)]
    for choice in choices:
        choice["finish_reason"] = "stop"
    return reply({"choices": choices, "usage": {"prompt_tokens": 6, "completion_tokens": 4 * len(texts)}} | changes)


class Server:
    """Answers request after request with what stands in `replies`; the last one goes on for ever."""

    def __init__(self):
        self.replies = [completion("Yes.")]
        self.requests = []
        self.bodies = []

    async def talk(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = next(int(line[15:]) for line in head.split("\r\n") if line.lower().startswith("content-length:"))
            self.requests.append(head)
            self.bodies.append(json.loads(await reader.readexactly(length)))
            answer = self.replies[min(len(self.requests), len(self.replies)) - 1]
            if callable(answer):
                await answer(writer)
            else:
                writer.write(answer)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def server():
    made = Server()
    listening = await asyncio.start_server(made.talk, "127.0.0.1", 0)
    made.address = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    async with listening:
        yield made


@pytest.fixture
async def pauses():
    return []


@pytest.fixture
async def remote(pauses):
    async def pause(seconds):
        pauses.append(seconds)

    opened = Remote(timeout=0.5, tries=3, pause=pause)
    yield opened
    await opened.close()


async def ask(remote, server, n=1, **options):
    endpoint = Endpoint(server.address, "vendor-7b", **options)
    [answers] = await remote.complete(endpoint, [CHAT], SETTINGS, n, [11])
    return answers


async def failure(remote, server, **options):
    with pytest.raises(EndpointFailed) as caught:
        await ask(remote, server, **options)
    return caught.value


async def test_a_good_answer_comes_back_whole(remote, server):
    server.replies = [completion("Yes, 熱い ☕.", "No.")]
    answers = await ask(remote, server, n=2)
    assert [(a.text, a.token_count, a.finish_reason, a.logprob_sum, a.prompt_tokens) for a in answers] == [
        ("Yes, 熱い ☕.", 4, "stop", None, 6),
        ("No.", 4, "stop", None, 6),
    ]
    assert server.bodies == [
        {
            "model": "vendor-7b",
            "messages": [{"role": "user", "content": "Is the tea hot?"}],
            "n": 2,
            "temperature": 0.7,
            "top_p": 0.9,
            "max_tokens": 20,
            "seed": 11,
            "stop": ["\n"],
        }
    ]
    assert server.requests[0].startswith("POST /v1/chat/completions HTTP/1.1")
    assert "authorization" not in server.requests[0].lower()


async def test_logprobs_are_summed_where_they_were_asked_for(remote, server):
    scored = {"content": [{"token": "Yes", "logprob": -0.5}, {"token": ".", "logprob": -0.25}]}
    choice = {"message": {"content": "Yes."}, "finish_reason": "length", "logprobs": scored}
    server.replies = [reply({"choices": [choice]})]
    [answer] = await ask(remote, server, logprobs=True)
    assert (answer.logprob_sum, answer.token_count, answer.finish_reason) == (-0.75, 2, "length")
    assert server.bodies[0]["logprobs"] is True


async def test_the_key_comes_from_the_named_variable(remote, server, monkeypatch):
    monkeypatch.setenv("VENDOR_KEY", "sk-secret")
    await ask(remote, server, key_variable="VENDOR_KEY")
    assert "Authorization: Bearer sk-secret" in server.requests[0]


@pytest.mark.parametrize(
    ("value", "part"), [(None, "VENDOR_KEY"), ("  ", "VENDOR_KEY"), ("a\nb", "characters"), ("ké", "characters")]
)
async def test_a_missing_or_odd_key_is_said_before_anything_is_sent(remote, server, monkeypatch, value, part):
    monkeypatch.delenv("VENDOR_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("VENDOR_KEY", value)
    failed = await failure(remote, server, key_variable="VENDOR_KEY")
    assert part in failed.sentence
    assert not failed.retryable
    assert server.requests == []


@pytest.mark.parametrize("text", ["", "  \n", None])
async def test_a_blank_answer_is_marked_as_empty(remote, server, text):
    server.replies = [completion(text)]
    [answer] = await ask(remote, server)
    assert answer.empty
    assert answer.text == (text or "")


async def test_half_a_character_in_json_does_not_come_through(remote, server):
    broken = b'{"choices": [{"message": {"content": "a\\ud83db"}}]}'
    server.replies = [reply(broken)]
    [answer] = await ask(remote, server)
    assert answer.text == "a\ufffdb"


async def test_a_server_that_gives_one_answer_at_a_time_is_asked_again(remote, server):
    server.replies = [completion("one"), completion("two", "three", "four")]
    answers = await ask(remote, server, n=3)
    assert [answer.text for answer in answers] == ["one", "two", "three"]
    assert [(body["n"], body["seed"]) for body in server.bodies] == [(3, 11), (2, 12)]


@pytest.mark.parametrize("status", ["500 Oh", "502 Oh", "503 Oh", "429 Slow", "408 Late"])
async def test_what_may_pass_is_tried_again(remote, server, pauses, status):
    server.replies = [reply({"error": {"message": "busy"}}, status), completion("Yes.")]
    assert [answer.text for answer in await ask(remote, server)] == ["Yes."]
    assert len(pauses) == 1


async def test_pauses_double_until_the_last_try(remote, server, pauses):
    server.replies = [reply({"error": {"message": "out of memory."}}, "500 Oh")]
    failed = await failure(remote, server)
    assert failed.retryable
    assert failed.sentence.endswith("failed (500): out of memory.")
    assert len(server.requests) == 3
    assert len(pauses) == 2
    assert 0.5 <= pauses[0] <= 1 <= pauses[1] <= 2


@pytest.mark.parametrize(("asked", "waited"), [("7", 7.0), ("3600", 30.0)])
async def test_a_server_that_names_a_pause_gets_it_up_to_a_limit(remote, server, pauses, asked, waited):
    server.replies = [reply({}, "429 Slow", extra=f"Retry-After: {asked}\r\n"), completion("Yes.")]
    await ask(remote, server)
    assert pauses == [waited]


async def test_a_server_that_is_down_is_named(remote, server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server.address = f"http://127.0.0.1:{port}/v1"
    failed = await failure(remote, server)
    assert failed.sentence.startswith(f"127.0.0.1:{port} cannot be reached")
    assert failed.retryable


async def test_a_server_that_hangs_is_given_up(remote, server):
    async def hang(writer):
        await asyncio.sleep(5)

    server.replies = [hang]
    failed = await failure(remote, server)
    assert "did not answer within 0.5 s" in failed.sentence
    assert failed.retryable


async def test_a_server_that_drips_is_given_up_too(remote, server):
    async def drip(writer):
        writer.write(reply(b"", length=1000))
        for _ in range(50):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.1)

    server.replies = [drip]
    assert "did not answer within" in (await failure(remote, server)).sentence


async def test_an_answer_that_is_cut_off_is_no_answer(remote, server):
    server.replies = [completion("Yes.")[:-20]]
    failed = await failure(remote, server)
    assert "broke off" in failed.sentence
    assert failed.retryable
    assert len(server.requests) == 3


async def test_json_that_breaks_off_is_no_answer(remote, server):
    server.replies = [reply(b'{"choices": [{"message": {"content": "Yes')]
    failed = await failure(remote, server)
    assert "breaks off" in failed.sentence
    assert failed.retryable


async def test_a_web_page_is_recognised(remote, server):
    for kind in ("text/html", "text/plain"):
        server.replies = [reply(b"<!doctype html><title>Welcome</title>", kind=kind)]
        failed = await failure(remote, server)
        assert "web page instead of JSON" in failed.sentence
        assert not failed.retryable


@pytest.mark.parametrize(
    "content",
    [[], {}, {"choices": None}, {"choices": [{}]}, {"choices": [{"message": {"content": 5}}]}, {"object": "list"}],
)
async def test_json_of_another_shape_is_no_answer(remote, server, content):
    server.replies = [reply(content)]
    failed = await failure(remote, server)
    assert "no chat completion" in failed.sentence
    assert not failed.retryable


async def test_no_choices_at_all_is_no_answer(remote, server):
    server.replies = [reply({"choices": []})]
    assert "no answer at all" in (await failure(remote, server)).sentence


@pytest.mark.parametrize(
    ("status", "content"),
    [
        ("404 No", {"error": {"message": "The model `vendor-7b` does not exist."}}),
        ("404 No", {"detail": "Not Found"}),
        ("400 Bad", {"error": {"message": "model vendor-7b not found"}}),
    ],
)
async def test_a_wrong_name_is_said_at_once(remote, server, status, content):
    server.replies = [reply(content, status)]
    failed = await failure(remote, server)
    assert "does not know 'vendor-7b'" in failed.sentence
    assert not failed.retryable
    assert len(server.requests) == 1


async def test_a_refused_key_is_named_by_its_variable_and_not_shown(remote, server, monkeypatch):
    monkeypatch.setenv("VENDOR_KEY", "sk-secret")
    server.replies = [reply({"error": {"message": "Incorrect key sk-secret"}}, "401 No")]
    failed = await failure(remote, server, key_variable="VENDOR_KEY")
    assert "refuses the key in VENDOR_KEY (401)" in failed.sentence
    assert "sk-secret" not in failed.sentence
    assert not failed.retryable


async def test_a_key_that_the_server_repeats_is_not_shown(remote, server, monkeypatch):
    monkeypatch.setenv("VENDOR_KEY", "sk-secret")
    server.replies = [reply({"error": {"message": "odd key sk-secret"}}, "400 Bad")]
    assert "odd key …" in (await failure(remote, server, key_variable="VENDOR_KEY")).sentence


async def test_redirects_are_not_followed(remote, server, monkeypatch):
    monkeypatch.setenv("VENDOR_KEY", "sk-secret")
    server.replies = [reply(b"", "307 Moved", extra=f"Location: {server.address}/elsewhere\r\n")]
    failed = await failure(remote, server, key_variable="VENDOR_KEY")
    assert "redirects elsewhere (307)" in failed.sentence
    assert len(server.requests) == 1


async def test_a_flood_is_stopped(remote, server):
    async def flood(writer):
        writer.write(reply(b"", length=10**9))
        for _ in range(200):
            writer.write(b" " * 100_000)
            await writer.drain()

    server.replies = [flood]
    failed = await failure(remote, server)
    assert "more than 1,000,000 bytes" in failed.sentence
    assert not failed.retryable


@pytest.mark.parametrize("address", ["ftp://host/v1", "host:8000", "http://", "http://a:b@host/v1", "http://[::1"])
def test_an_address_that_is_none_is_refused(address):
    with pytest.raises(EndpointFailed):
        Endpoint(address, "vendor-7b")


async def test_a_conversation_that_cannot_be_asked_is_not_sent(remote, server):
    with pytest.raises(NotAnswerable, match="image"):
        picture = [{"role": "user", "parts": [{"type": "image", "sha256": "00"}]}]
        await remote.complete(Endpoint(server.address, "vendor-7b"), [picture], SETTINGS, 1, [1])
    assert server.requests == []


async def test_many_conversations_keep_their_order_and_their_number_at_once(remote, server):
    at_once, most = 0, 0

    async def slow(writer):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        number = server.bodies[-1]["messages"][0]["content"]
        await asyncio.sleep(0.02)
        writer.write(completion(f"to {number}"))
        await writer.drain()
        at_once -= 1

    server.replies = [slow]
    chats = [[{"role": "user", "content": str(number)}] for number in range(20)]
    answers = await remote.complete(Endpoint(server.address, "vendor-7b"), chats, SETTINGS, 1, list(range(20)))
    assert [group[0].text for group in answers] == [f"to {number}" for number in range(20)]
    assert 1 < most <= 8


async def test_one_that_fails_for_good_ends_the_others(remote, server):
    server.replies = [reply({}, "401 No")]
    chats = [CHAT] * 30
    with pytest.raises(EndpointFailed):
        await remote.complete(Endpoint(server.address, "vendor-7b"), chats, SETTINGS, 1, list(range(30)))
    assert len(server.requests) < 30
