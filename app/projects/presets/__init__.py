"""Protocol presets: published practice as data, a file for each study. Torch-free and SQL-free."""

from app.projects.presets.all import PRESETS
from app.projects.presets.base import Preset, values_of

__all__ = ["PRESETS", "Preset", "values_of"]
