"""What the demo's loop sets differently from the trainers' defaults, and why. Free of torch."""

from app.training.configs import PPOConfig, RewardConfig


def reward_config() -> RewardConfig:
    return RewardConfig()


def ppo_config() -> PPOConfig:
    return PPOConfig()
