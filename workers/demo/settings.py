"""What the demo's loop sets differently from the trainers' defaults, and why. Free of torch."""

from app.training.configs import PPOConfig, RewardConfig


def reward_config() -> RewardConfig:
    """The bundled checkpoint has read what people say to answers, so what they would say to this one is in its states
    already; six hundred votes are enough to weigh it, and too few to teach the layers below anything new."""
    return RewardConfig(read="next", depth=0, members=6, lr=3e-3, weight_decay=2.0, epochs=25, patience=8)


def ppo_config() -> PPOConfig:
    """Fewer and longer strides than the default: the demo is to be over in minutes."""
    return PPOConfig(steps=40, epochs=2, lr=2e-3, kl_coef=0.04, length_penalty=1.2)
