"""`make bench-ways`: the joint reward model beside the modular one, on the same votes, into var/bench-ways.json.

    python -m tests.bench.ways [--seeds 3] [--device cpu]

The bundled checkpoint answers the demo prompts, simulated annotators (eight of one taste, one of them careless) judge
pairs of its answers, three to a pair, and each way is fitted to half of the prompts and measured on the other half:
every vote for a side there, by the calibrated score. The votes' own ceiling stands beside it.
"""

import argparse
import json
import random
import statistics
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from app.checkpoints.queries import BUNDLED
from app.datasets.records import Answer, ComparisonRecord, Message, Outcome, TextPart, Vote
from app.training.configs import RewardRun
from app.version import code_version
from workers.demo.annotators import ANNOTATORS, ceiling, choose
from workers.demo.prompts import demo_prompts
from workers.demo.settings import reward_config
from workers.sampling.decoding import Sampling, sample
from workers.training.checkpoints import open_checkpoint
from workers.training.reward import train_reward

FILE = Path("var/bench-ways.json")
WAYS = ("joint", "bradley_terry", "elo")
ANSWERS, RATERS = 4, 3  # to a prompt, and to a pair of them


def answers_of(prompts, seed):
    opened = open_checkpoint(BUNDLED)
    drawn = sample(
        opened.network, [opened.prompt_ids([("user", one.text)]) for one in prompts],
        Sampling(temperature=1.0, max_tokens=96), n=ANSWERS, seeds=[seed * 100_003 + n for n in range(len(prompts))],
        stop_ids=set(opened.stop_ids), pad_id=opened.pad_id, token_budget=40_000,
    )  # fmt: skip
    return [[opened.tokenizer.decode(one.tokens, skip_special_tokens=True).strip() for one in row] for row in drawn]


def judged(prompt, number, a, b, split, seed):
    """One pair with its votes; each annotator sees either answer first as often as not."""
    chance = random.Random(f"{seed}/{prompt.id}/{number}")
    votes, seen = [], []
    for person in chance.sample(ANNOTATORS, RATERS):
        first = chance.choice("ab")
        shown = (a, b) if first == "a" else (b, a)
        choice = choose(person, prompt.text, *shown, seed=seed)
        outcome = choice.outcome
        if outcome in (Outcome.a, Outcome.b):
            seen.append((person.name, prompt.text, *shown))
            outcome = Outcome(first) if outcome is Outcome.a else Outcome("b" if first == "a" else "a")
        votes.append(Vote(rater=person.name, outcome=outcome, strength=choice.strength, levels=3, shown_first=first))
    sides = {name: Answer(id=f"{prompt.id}.{number}.{name}", parts=(TextPart(text=text),))
             for name, text in (("a", a), ("b", b))}  # fmt: skip
    said = (Message(role="user", parts=(TextPart(text=prompt.text),)),)
    record = ComparisonRecord(
        id=f"{prompt.id}.{number}", group=prompt.group, split=split, prompt=said, **sides,
        conclusion=votes[0].outcome, votes=tuple(votes),
    )  # fmt: skip
    return record, seen


def votes_of(seed):
    """Records of all prompts, half of the groups held out, and the votes for a side there as `ceiling` reads them."""
    prompts = [one for one in demo_prompts() if one.use == "label"]
    groups = sorted({one.group for one in prompts})
    random.Random(seed).shuffle(groups)
    train = set(groups[: len(groups) // 2])
    records, seen = [], []
    for prompt, texts in zip(prompts, answers_of(prompts, seed), strict=True):
        split = "train" if prompt.group in train else "heldout"
        for number in range(0, ANSWERS, 2):
            a, b = texts[number : number + 2]
            if a and b and a != b:
                record, choices = judged(prompt, number, a, b, split, seed)
                records.append(record)
                seen += choices if split == "heldout" else []
    return records, seen


def fitted(folder, dataset, way, seed, device):
    config = reward_config().model_copy(update={"way": way})
    began = time.monotonic()
    run = RewardRun(checkpoint=BUNDLED, dataset=dataset, output=folder / way, seed=seed, device=device, config=config)
    heldout = train_reward(run).metrics["heldout"]
    figures = {name: heldout[name] for name in ("accuracy", "log_loss", "ece", "votes")}
    return figures | {"seconds": round(time.monotonic() - began, 1)}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    wanted = parser.parse_args()
    found = {way: [] for way in WAYS}
    ceilings = []
    for seed in range(1, wanted.seeds + 1):
        records, seen = votes_of(seed)
        ceilings.append(ceiling(seen))
        with tempfile.TemporaryDirectory() as place:
            dataset = Path(place) / "votes.jsonl"
            dataset.write_text("".join(record.model_dump_json() + "\n" for record in records))
            for way in WAYS:
                found[way].append(fitted(Path(place), dataset, way, seed, wanted.device))
                print(seed, way, found[way][-1], flush=True)
    print(f"{'way':<14} {'accuracy':>9} {'log loss':>9} {'ECE':>7}   ceiling {statistics.mean(ceilings):.3f}")
    for way, runs in found.items():
        means = {name: statistics.mean(run[name] for run in runs) for name in ("accuracy", "log_loss", "ece")}
        print(f"{way:<14} {means['accuracy']:>9.3f} {means['log_loss']:>9.3f} {means['ece']:>7.3f}")
    told = {"ways": found, "ceilings": ceilings, "measured_at": datetime.now(UTC).isoformat()}
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(json.dumps(told | {"code_version": code_version()}, indent=2) + "\n")


if __name__ == "__main__":
    main()
