"""What the demo's loop sets differently from the trainers' defaults, and why. Free of torch."""

from app.training.configs import DPOConfig, PPOConfig, RewardConfig


def reward_config() -> RewardConfig:
    """The bundled checkpoint has read what people say to answers, so what they would say to this one is in its states
    already; six hundred votes are enough to weigh it, and too few to teach the layers below anything new."""
    return RewardConfig(read="next", depth=0, members=6, lr=3e-3, weight_decay=2.0, epochs=25, patience=8)


def ppo_config() -> PPOConfig:
    """Fewer and longer strides than the default, since the demo is to be over in minutes; and a leash of some six
    nats: a reward model of six hundred votes sees tone better than whether all was said, and is fooled far beyond (true
    win rate 0.85 to 0.90 at 6 nats, 0.73 at 10). It has hardly met answers that say a thing twice, so that costs."""
    return PPOConfig(
        steps=40,
        epochs=2,
        lr=2e-3,
        kl_coef=0.04,
        kl_target=6.0,
        kl_budget=10.0,
        length_penalty=1.0,
        repetition_cost=8.0,
    )


def rloo(config: PPOConfig) -> PPOConfig:
    """The same with four answers to a prompt, each beside the others, and no critic. Without one it strays further at
    the same price of a nat (10.4 nats with seed 22, of 10 that it may), so that is half as high again."""
    told = {"advantage": "rloo", "samples_per_prompt": 4, "kl_coef": 1.5 * config.kl_coef}
    return PPOConfig.model_validate(config.model_dump() | told)


def dpo_config() -> DPOConfig:
    """People's pairs are few, so the reward model adds half as many; four passes over both, near the start (beta 0.3),
    and their last weights, since held-out votes are bought for measuring alone. Without a price on length the answers
    become half as long again: whole ones are liked, and longer."""
    return DPOConfig(epochs=4, lr=1e-3, beta=0.3, length_coef=0.03, keep="last")
