"""What the policy said, and what everybody thought of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from workers.sampling.decoding import Head, Sampled, sample
from workers.training.actors import Actors
from workers.training.batches import micro_batches
from workers.training.drawn import Drawn, sampling_of
from workers.training.elsewhere import Server
from workers.training.judged import Rollout, merged, moved
from workers.training.judging import Judges
from workers.training.networks import Backbone, arithmetic
from workers.training.practice import Prompts, draw_prompts, seeds_of
from workers.training.processes import gathered, share, size, spread
from workers.training.sharding import even, whole
from workers.training.tensors import at_least_single, fill_right, mask_of, places_before

# the sampler's cache holds keys and values only, so it may be wider than a pass that keeps activations
CACHE_FACTOR = 4


def roll_out(
    actors: Actors,
    judges: Judges,
    prompts: Sequence[list[int]],
    seeds: Sequence[int],
    *,
    reference: bool = False,
) -> Rollout:
    """Sample an answer to each prompt and let everybody read it. reference: the reference answers, without a critic."""
    answers = draw(actors, list(prompts), list(seeds), 1, reference=reference)
    return judge(actors, judges, Drawn(list(prompts), answers, 0), 0, reference=reference)


def draw_ahead(actors: Actors, prompts: Prompts, step: int, seed: int, server: Server | None = None) -> list[Drawn]:
    """The answers of this step, and of those after it that the same sampling serves, drawn here or by a server."""
    config = actors.config
    steps = range(step, min(step + config.sample_every, config.steps + 1))
    count, n = config.prompts_per_step, config.samples_per_prompt
    chosen = [draw_prompts(prompts.practice, (one - 1) * count, count, seed) for one in steps]
    seeds = [number for one in steps for number in seeds_of(seed, one, count)]
    asked = [prompt for some in chosen for prompt in some]
    answers = server.draw(asked, seeds, n, step) if server else draw(actors, asked, seeds, n, reference=False)
    batches = [answers[first : first + config.batch] for first in range(0, len(answers), config.batch)]
    repeated = [[prompt for prompt in some for _ in range(n)] for some in chosen]
    return [Drawn(some, batch, step, server is not None) for some, batch in zip(repeated, batches, strict=True)]


def judge(actors: Actors, judges: Judges, drawn: Drawn, step: int, *, reference: bool = False) -> Rollout:
    """Let reference, critic, reward network and rules read answers, in each process a share of them.

    Log-probabilities are the sampler's own, taken as each token was drawn, and so are the values of a critic that
    shares the policy's trunk; where training runs in bf16, or the answers
    are a past policy's or a server's, they are read anew by the pass that training uses, since both must agree
    (statement 3).
    """
    if size() == 1 or len(drawn.answers) < size():
        return read_all(actors, judges, drawn, step, reference=reference)
    own = replace(drawn, prompts=share(drawn.prompts), answers=share(drawn.answers))
    rollout = read_all(actors, judges, own, step, reference=reference)
    return merged(gathered(moved(rollout, "cpu")), rollout.mask.device)


def read_all(actors: Actors, judges: Judges, drawn: Drawn, step: int, *, reference: bool) -> Rollout:
    answers = [answer.tokens for answer in drawn.answers]
    mask = mask_of([len(answer) for answer in answers], max(map(len, answers))).to(actors.policy.device)
    logprobs = fill_right([answer.logprobs for answer in drawn.answers], mask.shape[1]).to(mask.device)
    rounds = actors.config.precision == "bfloat16" or actors.config.base_precision != "float32"
    reread = rounds or drawn.version < step or drawn.elsewhere
    valued = not reread and all(answer.values for answer in drawn.answers)
    values = fill_right([answer.values for answer in drawn.answers], mask.shape[1]).to(mask.device) if valued else None
    rollout = Rollout(
        prompts=drawn.prompts,
        answers=answers,
        ended=torch.tensor([answer.finish_reason == "stop" for answer in drawn.answers]),
        mask=mask,
        behaviour=logprobs,
        versions=torch.full_like(mask, drawn.version, dtype=torch.long),
        logprobs=logprobs.clone(),
        ref_logprobs=torch.zeros_like(logprobs),
        values=torch.zeros_like(logprobs) if values is None else values,
        scores=judges.scores(drawn.prompts, finished(answers, actors), actors.opened.pad_id),
        ruled=judges.ruled(drawn.prompts, answers),
        reread=reread,
    )
    criticised = valued or reference or not actors.config.asks_critic
    fill = partial(fill_in, rollout, actors, reference=reference, anew=reread, criticised=criticised)
    actors.memory.within(actors.config.token_budget, fill)
    return rollout


def draw(actors: Actors, prompts: list[list[int]], seeds: list[int], n: int, *, reference: bool) -> list[Sampled]:
    """n answers per prompt from the whole distribution (no top-k, no top-p: statement 2), never greedy. Each process
    samples those to its share of the prompts."""
    backbone, adapter = (actors.reference, None) if reference else (actors.policy, actors.policy_adapter)
    config, opened = actors.config, actors.opened
    sampling = sampling_of(config)
    budget = actors.memory.budget(config.token_budget)

    def drawn_to(rows: Sequence[int]) -> list[list[Sampled]]:
        asked = [prompts[row] for row in rows]
        return sample(
            backbone.network,
            asked,
            sampling,
            n=n,
            seeds=[seeds[row] for row in rows],
            stop_ids=set(opened.stop_ids),
            pad_id=opened.pad_id,
            token_budget=max(CACHE_FACTOR * budget, max(map(len, asked)) + config.max_tokens),
            head=None if reference else critic_of(actors),
        )

    with whole(backbone), backbone.using(adapter), backbone.folded(adapter):
        drawn = spread(drawn_to, range(len(prompts)))
    return [answer for answers in drawn for answer in answers]


def critic_of(actors: Actors) -> Head | None:
    """What values the states that tokens are drawn from; None where the critic reads with a trunk of its own."""
    if not actors.config.asks_critic or actors.config.critic == "own":
        return None
    return lambda states: actors.value_head(at_least_single(states)).squeeze(-1).float()


def finished(answers: list[list[int]], actors: Actors) -> list[list[int]]:
    """Answers as people saw them, for the reward network: it has read ended ones only, so a cut one gets an end."""
    opened = actors.opened
    return [answer if answer[-1] in opened.stop_ids else [*answer, opened.eos_id] for answer in answers]


@torch.no_grad()
def fill_in(
    rollout: Rollout, actors: Actors, *, reference: bool = False, anew: bool = False, criticised: bool = False
) -> None:
    """Write the reference's log-probabilities into a fresh rollout, the critic's values unless it is `criticised`
    already, and the policy's own log-probabilities where they are to be read anew."""
    config = actors.config
    for part, _ in passes(rollout, range(len(rollout.answers)), actors):
        with arithmetic(config.precision, part.ids.device):
            part.put(rollout.ref_logprobs, part.read(actors.reference, None, config.temperature)[1])
            if not criticised:
                trunk = at_least_single(part.states(actors.critic, actors.critic_adapter))
                part.put(rollout.values, actors.value_head(trunk).squeeze(-1).float())
            if anew:
                adapter = None if reference else actors.policy_adapter
                part.put(rollout.logprobs, part.read(actors.policy, adapter, config.temperature)[1])


@dataclass(frozen=True)
class Part:
    """Some rows of a rollout as one forward pass sees them. What it returns is flat: real answer tokens only, (n,)."""

    rows: list[int]
    ids: Tensor  # (b, t), prompts with answers but for their last tokens, padding behind
    places: Tensor  # (n,), of b x t: where the answers' tokens are drawn from
    mask: Tensor  # (b, longest answer of these rows)
    tokens: Tensor  # (n,)

    @classmethod
    def of(cls, prompts: Sequence[list[int]], answers: Sequence[list[int]], *, rows: list[int], ids: Tensor) -> Part:
        """rows: of all prompts and answers those that `ids` holds, see `micro_batches`."""
        chosen = [answers[row] for row in rows]
        mask = mask_of([len(answer) for answer in chosen], max(map(len, chosen))).to(ids.device)
        tokens = torch.tensor([token for answer in chosen for token in answer], device=ids.device)
        return cls(rows, ids, places_before([len(prompts[row]) for row in rows], mask, ids.shape[1]), mask, tokens)

    def states(self, backbone: Backbone, adapter: str | None) -> Tensor:
        """(n, width): the states from which the answers' tokens were drawn."""
        with backbone.using(adapter):
            return backbone(lambda: backbone.states(self.ids, self.places))

    def read(
        self, backbone: Backbone, adapter: str | None, temperature: float, *, entropy: bool = False
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """States, and what is read of the tokens from them: log-probabilities (n,) and, if asked, entropies (n,)."""

        def read() -> tuple[Tensor, Tensor, Tensor | None]:
            states = backbone.states(self.ids, self.places)
            return states, *backbone.answer_logprobs(states, self.tokens, temperature, entropy=entropy)

        with backbone.using(adapter):
            return backbone(read)

    def flat(self, tensor: Tensor) -> Tensor:
        """(b, t) of the rollout → (n,)"""
        return tensor[self.rows][:, : self.mask.shape[1]][self.mask]

    def put(self, tensor: Tensor, flat: Tensor) -> None:
        """The reverse of `flat`."""
        block = torch.zeros(self.mask.shape, device=tensor.device).masked_scatter(self.mask, flat.float())
        tensor[self.rows, : self.mask.shape[1]] = block


def parts(rollout: Rollout, rows: Sequence[int], budget: int, pad: int) -> Iterator[Part]:
    """These rows in forward passes of similar length within a budget of padded tokens."""
    prompts, answers = [rollout.prompts[row] for row in rows], [rollout.answers[row] for row in rows]
    for chosen, ids in micro_batches(prompts, answers, budget, pad):
        ids = ids.to(rollout.mask.device)
        yield Part.of(rollout.prompts, rollout.answers, rows=[rows[place] for place in chosen], ids=ids)


def passes(rollout: Rollout, rows: Sequence[int], actors: Actors) -> Iterator[tuple[Part, bool]]:
    """The passes that this process makes to read these rows, and whether each counts."""

    def cut(rows: Sequence[int]) -> Iterator[Part]:
        for part in parts(rollout, rows, actors.memory.budget(actors.config.token_budget), actors.opened.pad_id):
            actors.memory.enter(part.ids.shape, part.ids.device)
            yield part

    return even(cut(rows), lambda: next(cut([0])), actors.policy)
