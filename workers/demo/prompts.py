"""The demo project's prompts, split by what they may be used for. Free of torch: the web's set-up calls it.

A prompt's group is what it asks about and in which way, whatever the wording; a group stands on one side of the split.
"""

import random
from dataclasses import dataclass
from typing import Literal

from workers.demo import phrases
from workers.demo.lore import INTENTS, Subject, subjects

Use = Literal["label", "train", "heldout"]

WORDINGS = 7  # prompts in one group
SHARES: dict[Use, float] = {"label": 0.5, "train": 0.25, "heldout": 0.25}


@dataclass(frozen=True)
class DemoPrompt:
    """`id` is stable; `group` is the root that splits go by; tags say the intent and the subject."""

    id: str
    text: str
    group: str
    use: Use
    tags: tuple[str, ...]

    def line(self) -> dict[str, object]:
        """As a line of a prompt file."""
        messages = [{"role": "user", "content": self.text}]
        return {
            "id": self.id,
            "messages": messages,
            "group": self.group,
            "use": self.use,
            "tags": list(self.tags),
        }


def demo_prompts() -> list[DemoPrompt]:
    """Every demo prompt, the same on every machine: 315 to label, 161 to train on, 154 held out, in mixed order."""
    rng = random.Random("hone-demo/prompts")
    groups = [(subject, intent) for subject in subjects() for intent in INTENTS]
    rng.shuffle(groups)
    prompts = [
        prompt
        for place, (subject, intent) in enumerate(groups)
        for prompt in _wordings(subject, intent, _use(place / len(groups)), rng)
    ]
    rng.shuffle(prompts)
    return prompts


def _use(place: float) -> Use:
    if place < SHARES["label"]:
        return "label"
    return "train" if place < SHARES["label"] + SHARES["train"] else "heldout"


def _wordings(subject: Subject, intent: str, use: Use, rng: random.Random) -> list[DemoPrompt]:
    slug = subject.name.replace(" ", "-")
    texts = [form.format(name=subject.name, activity=subject.activity) for form in phrases.ASK[intent]]
    return [
        DemoPrompt(f"demo-{intent}-{slug}-{number}", text, f"demo/{intent}/{slug}", use, (intent, subject.name))
        for number, text in enumerate(rng.sample(texts, WORDINGS), 1)
    ]
