"""Rules as functions on texts, by name, by import path, or on a server of one's own."""

from __future__ import annotations

import importlib
import json
import math
import re
import time
import urllib.request
from collections.abc import Callable, Sequence

from app.training.configs import RunRefused
from app.training.configs.rules import (
    FormatRule,
    FunctionRule,
    LengthRule,
    PatternRule,
    ReferenceMetricRule,
    RemoteRule,
    RuleConfig,
    TextMetricRule,
    WordsRule,
)
from workers.training import lexical
from workers.training.progress import RunFailed

# prompts, answers, and each prompt's reference answers, (n,) each → a number per answer
Measure = Callable[[Sequence[str], Sequence[str], Sequence[Sequence[str]]], list[float]]
TRIES, PAUSE, MOST_BYTES = 3, 1.0, 10_000_000


def measure_of(rule: RuleConfig) -> Measure:
    """The function that a rule's config describes. Raises RunRefused for one that cannot be imported, and for one whose
    package is not there."""
    if isinstance(rule, FunctionRule):
        return by_function(rule)
    if isinstance(rule, RemoteRule):
        return by_server(rule)
    if isinstance(rule, ReferenceMetricRule):
        if rule.kind == "meteor":
            lexical.scorer()  # its package is missed now and not when the first answers are there
        return by_references(lexical.LIKENESS[rule.kind])
    return on_each(on_answer(rule))


def on_each(judge: Callable[[str], float]) -> Measure:
    return lambda _prompts, answers, _references: [float(judge(answer)) for answer in answers]


def by_references(likeness: Callable[[str, str], float]) -> Measure:
    """The best over a prompt's references; 0 where it has none."""

    def measure(_prompts: Sequence[str], answers: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
        pairs = zip(answers, references, strict=True)
        return [max((likeness(answer, one) for one in known), default=0.0) for answer, known in pairs]

    return measure


def on_answer(rule: RuleConfig) -> Callable[[str], float]:
    """What rules say that look at nothing but the answer."""
    if isinstance(rule, LengthRule):
        return lambda answer: float(rule.least <= len(answer.split()) <= rule.most)
    if isinstance(rule, FormatRule):
        return FORMS[rule.form]
    if isinstance(rule, WordsRule):
        wanted = {word.casefold() for word in rule.words}
        return lambda answer: float(len(wanted & set(lexical.words(answer))))
    if isinstance(rule, PatternRule):
        pattern = re.compile(rule.pattern)
        return lambda answer: float(pattern.search(answer) is not None)
    assert isinstance(rule, TextMetricRule)
    return lexical.TEXT[rule.kind]


def is_json(answer: str) -> bool:
    try:
        json.loads(answer)
    except ValueError:
        return False
    return True


def is_list(answer: str) -> bool:
    return len(re.findall(r"^\s*(?:[-*•]|\d+[.)])\s+\S", answer, re.MULTILINE)) >= 2


def is_paragraph(answer: str) -> bool:
    text = answer.strip()
    return bool(text) and "\n\n" not in text and not re.match(r"[-*#>]|\d+[.)]\s|```", text)


FORMS: dict[str, Callable[[str], float]] = {
    "json": is_json,
    "list": is_list,
    "code": lambda answer: re.search(r"^```.*?\n.*?^```", answer, re.MULTILINE | re.DOTALL) is not None,
    "paragraph": is_paragraph,
}


def by_function(rule: FunctionRule) -> Measure:
    module, _, name = rule.path.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise RunRefused(f"The rule {rule.title} cannot be imported from {rule.path}: {error}.") from None
    return lambda prompts, answers, _references: numbers(rule, function(list(prompts), list(answers)), len(answers))


def by_server(rule: RemoteRule) -> Measure:
    """One request for all answers of a step; a few tries, since a step is dear and a server may be starting anew."""

    def measure(prompts: Sequence[str], answers: Sequence[str], _references: object) -> list[float]:
        body = json.dumps({"prompts": list(prompts), "answers": list(answers)}).encode()
        for number in range(1, TRIES + 1):
            try:
                told = json.loads(post(rule, body))
                return numbers(rule, told["rewards"] if isinstance(told, dict) else None, len(answers))
            except (OSError, ValueError, KeyError) as error:
                if number == TRIES:
                    raise RunFailed(f"The rule {rule.title} had no answer from {rule.url}: {error}.") from None
                time.sleep(PAUSE * number)
        raise AssertionError

    return measure


def post(rule: RemoteRule, body: bytes) -> bytes:
    request = urllib.request.Request(rule.url, body, {"Content-Type": "application/json"})  # noqa: S310  http(s) by form
    with urllib.request.urlopen(request, timeout=rule.timeout) as response:  # noqa: S310
        return bytes(response.read(MOST_BYTES))


def numbers(rule: RuleConfig, told: object, count: int) -> list[float]:
    """What a function of one's own gave, if it is a finite number for each answer. Raises RunFailed."""
    values = [float(one) for one in told] if isinstance(told, Sequence) and not isinstance(told, str) else []
    if len(values) != count or not all(map(math.isfinite, values)):
        raise RunFailed(f"The rule {rule.title} must give {count} finite numbers, one for each answer.")
    return values
