"""What a training run is told: one frozen class per method, and the run file that names its inputs.

Torch-free and SQL-free: the form on a page, the job, the trainer and the record beside the weights share these
classes. A field's description says unit and reason; pages show it as the field's help.
"""

from app.training.configs.files import METHODS, AnyRun, read_content, read_run
from app.training.configs.ppo import BestRun, PPOConfig, PPORun
from app.training.configs.reward import RewardConfig, RewardRun
from app.training.configs.rollouts import RolloutServer
from app.training.configs.shared import Config, Run, RunRefused, first_complaint
from app.training.configs.tuning import DPOConfig, DPORun, SFTConfig, SFTRun, TuningConfig

__all__ = [
    "METHODS",
    "AnyRun",
    "BestRun",
    "Config",
    "DPOConfig",
    "DPORun",
    "PPOConfig",
    "PPORun",
    "RewardConfig",
    "RewardRun",
    "RolloutServer",
    "Run",
    "RunRefused",
    "SFTConfig",
    "SFTRun",
    "TuningConfig",
    "first_complaint",
    "read_content",
    "read_run",
]
