"""What the loop says at its end: the report, and each promise beside what was measured."""

from collections.abc import Mapping, Sequence
from typing import Any

from workers.demo.loop import control, measures
from workers.demo.loop.people import Given

MOST_TRAINING = 600  # votes that a reward model may learn from
LEAST_MEASURED = 500  # further votes, bought for measurement only

Answers = Mapping[str, measures.Answered]


def report_of(
    *,
    seed: int,
    method: str,
    seconds: dict[str, float],
    given: Sequence[Given],
    measured: Sequence[Given],
    votes: Mapping[str, int],
    reward: Mapping[str, Any],
    policy: Mapping[str, Any],
    kl: float,
    people: Mapping[str, Any],
    texts: tuple[Answers, Answers],
    shuffled: float,
    best_of_four: float,
    checkpoints: dict[str, str],
) -> dict[str, Any]:
    """measured: the answers on held-out roots. people: the evaluation's counts. texts: of the policy, of the base.
    kl: nats an answer between these two."""
    accuracy, best = reward["report"]["heldout"]["accuracy"], measures.ceiling_of(measured)
    return {
        "schema": {"name": "hone.loop", "version": 1},
        "seed": seed,
        "method": method,
        "labels": {
            "training": votes["train"],
            "measurement": votes["heldout"],
            "annotators": len({one.annotator for one in given}),
        },
        "seconds": seconds,
        "reward_model": {
            "accuracy_heldout": accuracy,
            "ceiling": best,
            "of_ceiling": accuracy / best,
            "length_only": reward["report"]["length_only"]["accuracy"],
        },
        "control": {"accuracy_heldout": shuffled, "shuffles": control.REPEATS},
        "policy": {
            "win_rate_vs_base": people["rate"],
            "win_rate_interval": [people["low"], people["high"]],
            "comparisons": people["wins"] + people["ties"] + people["losses"],
            "prompts": people["prompts"],
            "win_rate_true": measures.win_rate_true(*texts),
            "distinct_ratio": measures.distinct_ratio(*texts),
            "length_ratio": measures.length_ratio(*texts),
            "kl": kl,
            "kl_budget": policy["config"].get("kl_budget"),
        },
        "baseline": {"best_of_4_win_rate": best_of_four},
        "checkpoints": checkpoints,
    }


Bar = tuple[str, float, str, bool]  # what, its value, the bar in words, whether it is kept


def answers_kept(report: Mapping[str, Any]) -> list[Bar]:
    """What has to hold whatever was killed."""
    answers = report["faults"]["answers"]
    wrong = ("lost", "changed", "doubled", "unacknowledged")
    counted = [("answers acknowledged", answers["acknowledged"], "", True)]
    return counted + [(f"… {name}", answers[name], "0", answers[name] == 0) for name in wrong]


def bars(report: Mapping[str, Any]) -> list[Bar]:
    """Each promise beside what was measured."""
    labels, model, policy = report["labels"], report["reward_model"], report["policy"]
    above = model["accuracy_heldout"] - model["length_only"]
    shuffled, seconds = report["control"]["accuracy_heldout"], sum(report["seconds"].values())
    low, of_ceiling = policy["win_rate_interval"][0], model["of_ceiling"]
    measured, length = labels["measurement"], policy["length_ratio"]
    leash = policy["kl_budget"]  # a method without one promises nothing about it
    near = (f"≤ {leash}", policy["kl"] <= leash) if leash is not None else ("", True)
    in_time = ("< 600", seconds < 600) if not report["faults"]["kills"] else ("", True)
    return [
        ("labels for training", labels["training"], f"≤ {MOST_TRAINING}", labels["training"] <= MOST_TRAINING),
        ("votes for measurement", measured, f"≥ {LEAST_MEASURED}", measured >= LEAST_MEASURED),
        ("ceiling of accuracy", model["ceiling"], "0.78 – 0.90", 0.78 <= model["ceiling"] <= 0.90),
        ("reward accuracy / ceiling", of_ceiling, "≥ 0.92", of_ceiling >= 0.92),
        ("… above length only", above, "≥ 0.08", above >= 0.08),
        ("… with outcomes shuffled", shuffled, "< 0.56", shuffled < 0.56),
        ("comparisons", policy["comparisons"], "≥ 400", policy["comparisons"] >= 400),
        ("held-out prompts", policy["prompts"], "≥ 100", policy["prompts"] >= 100),
        ("win rate against the base", policy["win_rate_vs_base"], "≥ 0.70", policy["win_rate_vs_base"] >= 0.70),
        ("… its lower end", low, "> 0.60", low > 0.60),
        ("… without noise", policy["win_rate_true"], "≥ 0.80", policy["win_rate_true"] >= 0.80),
        ("distinct answers, ratio", policy["distinct_ratio"], "≥ 0.7", policy["distinct_ratio"] >= 0.7),
        ("length, ratio", length, "0.7 – 1.4", 0.7 <= length <= 1.4),
        ("KL, nats per answer", policy["kl"], *near),
        ("best of four, for comparison", report["baseline"]["best_of_4_win_rate"], "", True),
        ("seconds in all", seconds, *in_time),
        *answers_kept(report),
    ]
