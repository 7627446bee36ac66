"""`python -m workers.sampling sample|chat|score|serve FOLDER …`: checkpoints answer and judge, with no database.

    sample FOLDER prompts.jsonl                  answers as JSON lines on standard output, or to --out
    chat FOLDER                                  a talk at the terminal; an empty line begins anew, Ctrl-D ends it
    score FOLDER answers.jsonl --base FOLDER     what a reward model says of answers, as JSON lines
    serve FOLDER                                 the loopback door over it until SIGTERM: PPO's server of answers, say

A line of prompts is {"prompt": text or messages} or {"messages": […]}; what else stands in it comes back beside its
"completions". A line of answers has an "answer" beside, or "completions" as `sample` writes them; each gets "reward"
(in deviations of the reference's answers, the members' disagreement taken off), "doubt" and "heads". Exit codes: 0
done, 2 refused (checkpoint, file or a line of it).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, TextIO

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.training.configs import PPOConfig, first_complaint
from workers.sampling.answers import Completed, NotAnswerable, Sampling
from workers.sampling.door import door_server, make_door
from workers.sampling.engine import Engine
from workers.sampling.judging import Judged
from workers.sampling.memory import OutOfMemory
from workers.sampling.token import TokenRefused, door_token
from workers.training.checkpoints import CheckpointRefused

TOGETHER = 64  # prompts in one batch


class Refused(Exception):
    """What was asked cannot be done; the sentence says why."""


def main(words: Sequence[str]) -> int:
    asked = arguments().parse_args(words)
    try:
        asyncio.run(asked.run(asked))
    except NotAnswerable as error:
        return say(f"{error.field}: {error.sentence}")
    except (CheckpointRefused, OutOfMemory, TokenRefused) as error:
        return say(error.sentence)
    except (Refused, ValueError, OSError) as error:
        return say(str(error))
    except KeyboardInterrupt:
        return 130
    return 0


def arguments() -> argparse.ArgumentParser:
    everywhere = argparse.ArgumentParser(add_help=False)
    everywhere.add_argument("--device", default="auto")
    common = argparse.ArgumentParser(add_help=False, parents=[everywhere])
    common.add_argument("folder", type=Path, help="a checkpoint that writes")
    common.add_argument("--temperature", type=float, default=1.0, help="0 is greedy (1)")
    common.add_argument("--top-p", type=float, default=1.0)
    common.add_argument("--top-k", type=int, default=0)
    common.add_argument("--min-p", type=float, default=0.0)
    common.add_argument("--repetition-penalty", type=float, default=1.0)
    common.add_argument("--max-tokens", type=int, default=128)
    common.add_argument("--stop", action="append", default=[], help="a text that ends an answer; may come again")
    common.add_argument("--seed", type=int, default=0)
    parser = argparse.ArgumentParser(prog="hone", description="Checkpoints answer and judge, from files alone.")
    ways = parser.add_subparsers(required=True)
    one = ways.add_parser("sample", parents=[common], help="answer the prompts of a file")
    one.add_argument("prompts", type=Path, help="JSON lines")
    one.add_argument("--n", type=int, default=1, help="answers to each prompt (1)")
    one.add_argument("--out", type=Path, help="where the answers go, instead of standard output")
    one.set_defaults(run=answer_file)
    other = ways.add_parser("chat", parents=[common], help="talk with it")
    other.set_defaults(run=talk)
    judge = ways.add_parser("score", parents=[everywhere], help="judge the answers of a file")
    judge.add_argument("folder", type=Path, help="a reward model")
    judge.add_argument("answers", type=Path, help="JSON lines")
    judge.add_argument("--base", type=Path, required=True, help="the checkpoint that the reward model was trained on")
    judge.add_argument("--uncertainty", type=float, default=0.5, help="price of the members' disagreement (0.5)")
    judge.add_argument("--formula", default="", help="of the heads, instead of the preference as a whole")
    judge.add_argument("--out", type=Path, help="where the lines go, instead of standard output")
    judge.set_defaults(run=score_file)
    door = ways.add_parser("serve", parents=[everywhere], help="answer at an address of this machine")
    door.add_argument("folder", type=Path, help="a checkpoint that writes; it may come later")
    door.add_argument("--port", type=int, default=8766)
    door.add_argument("--name", help="what requests call it (the folder's name)")
    door.add_argument("--token", type=Path, default=Path(), help="the folder of sampler.token, its key (this one)")
    door.add_argument("--memory", type=float, default=4.0, help="GB of weights that are kept open (4)")
    door.add_argument("--token-budget", type=int, default=32_768, help="positions of one batch (32,768)")
    door.set_defaults(run=serve)
    return parser


def sampling_of(asked: argparse.Namespace) -> Sampling:
    return Sampling(
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        max_tokens=asked.max_tokens,
        stop=tuple(asked.stop),
        min_p=asked.min_p,
        repetition_penalty=asked.repetition_penalty,
    )


async def serve(asked: argparse.Namespace) -> None:
    """One checkpoint at the door. It need not be there yet: whoever trains it may write it later, and anew."""
    token = door_token(asked.token)
    engine = Engine(device=asked.device, memory_budget=int(asked.memory * 1e9), token_budget=asked.token_budget)
    known = {asked.name or asked.folder.resolve().name: asked.folder}

    async def folder_of(name: str) -> Path | None:
        return known.get(name)

    async def names() -> list[str]:
        return list(known)

    server = door_server(make_door(engine, folder_of, names, token), asked.port)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, setattr, server, "should_exit", True)
    try:
        await server.serve()
    finally:
        await engine.close()


async def answer_file(asked: argparse.Namespace) -> None:
    """Lines are numbered from the file's first, so that a line's seed does not depend on where the file is cut."""
    sampling = sampling_of(asked)
    lines = list(prompts_in(asked.prompts))
    engine = Engine(device=asked.device)
    try:
        with target_of(asked.out) as stream, progress() as bar:
            task = bar.add_task("answering", total=len(lines))
            for first in range(0, len(lines), TOGETHER):
                some = lines[first : first + TOGETHER]
                seeds = [asked.seed + first + place for place in range(len(some))]
                conversations = [messages for messages, _ in some]
                answers = await engine.complete(asked.folder, conversations, sampling, asked.n, seeds)
                for (_, line), group in zip(some, answers, strict=True):
                    print(json.dumps(line | {"completions": list(map(shown, group))}, ensure_ascii=False), file=stream)
                bar.advance(task, len(some))
    finally:
        await engine.close()


def target_of(out: Path | None) -> AbstractContextManager[TextIO]:
    return out.open("w", encoding="utf-8") if out else nullcontext(sys.stdout)


async def score_file(asked: argparse.Namespace) -> None:
    config = judging_of(asked)
    lines = [(messages, line, answers_of(asked.answers, line)) for messages, line in prompts_in(asked.answers)]
    engine = Engine(device=asked.device)
    try:
        with target_of(asked.out) as stream, progress() as bar:
            task = bar.add_task("judging", total=len(lines))
            for messages, line, answers in lines:
                pairs = [(messages, answer) for answer in answers]
                told = told_of(await engine.judged(asked.folder, asked.base, pairs, config)) if pairs else []
                if "completions" in line:
                    line |= {"completions": [one | new for one, new in zip(line["completions"], told, strict=True)]}
                else:
                    line |= told[0]
                print(json.dumps(line, ensure_ascii=False), file=stream)
                bar.advance(task)
    finally:
        await engine.close()


def judging_of(asked: argparse.Namespace) -> PPOConfig:
    """What is to count, as PPO has it. Raises Refused."""
    try:
        return PPOConfig(formula=asked.formula, uncertainty=asked.uncertainty)
    except ValidationError as error:
        raise Refused(first_complaint(error)) from None


def answers_of(file: Path, line: dict[str, Any]) -> list[str]:
    """The texts to judge: those that were sampled, where an answer stands beside them. Raises Refused without any."""
    if "completions" not in line and isinstance(line.get("answer"), str):
        return [line["answer"]]
    found = line.get("completions")
    if not isinstance(found, list) or not all(
        isinstance(one, dict) and isinstance(one.get("text"), str) for one in found
    ):
        raise Refused(f"{file.name}: a line has neither “answer” nor “completions” with a “text” each.")
    return [one["text"] for one in found]


def told_of(judged: Judged) -> list[dict[str, Any]]:
    """What was said of each answer."""
    return [
        {"reward": reward, "doubt": doubt, "heads": {name: values[place] for name, values in judged.heads.items()}}
        for place, (reward, doubt) in enumerate(zip(judged.rewards, judged.doubt, strict=True))
    ]


def prompts_in(file: Path) -> Iterator[tuple[list[dict[str, Any]], dict[str, Any]]]:
    """(messages, the whole line) of each line that is not blank. Raises Refused with its number."""
    for number, text in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
            prompt = line.get("messages", line.get("prompt"))
        except (ValueError, AttributeError):
            raise Refused(f"{file.name}, line {number}: not a JSON object.") from None
        if isinstance(prompt, str):
            prompt = [{"role": "user", "content": prompt}]
        if not isinstance(prompt, list) or not all(isinstance(message, dict) for message in prompt):
            raise Refused(f"{file.name}, line {number}: neither “prompt” nor “messages” is there.")
        yield prompt, line


def shown(answer: Completed) -> dict[str, Any]:
    return {
        "text": answer.text,
        "tokens": answer.token_count,
        "finish_reason": answer.finish_reason,
        "logprob": answer.logprob_sum,
    }


def progress() -> Progress:
    """On standard error, and only where somebody looks at it."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())


async def talk(asked: argparse.Namespace) -> None:
    sampling = sampling_of(asked)
    engine = Engine(device=asked.device)
    messages: list[dict[str, Any]] = []
    try:
        while (said := await asyncio.to_thread(heard, sys.stdin)) is not None:
            if not said:
                messages = []
                print("-- anew --")
                continue
            messages.append({"role": "user", "content": said})
            seed = asked.seed + len(messages) // 2
            text = ""
            async for piece in engine.stream(asked.folder, messages, sampling, 1, seed):
                text += piece.text
                print(printable(piece.text), end="", flush=True)
            print()
            messages.append({"role": "assistant", "content": text})
    finally:
        await engine.close()


def heard(stream: TextIO) -> str | None:
    """A line without its end; None when there are no more."""
    if stream.isatty():
        print("> ", end="", flush=True)
    line = stream.readline()
    return line.strip() if line else None


def printable(text: str) -> str:
    """A checkpoint can write control characters, and a terminal would obey them."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "\ufffd" for sign in text)


def say(sentence: str) -> int:
    print(sentence, file=sys.stderr, flush=True)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
