"""Templates for new projects by purpose, each on a study's preset and with examples to try it with."""

from app.projects.purposes.all import PURPOSES, Purpose, start_of
from app.projects.purposes.examples import Example

__all__ = ["PURPOSES", "Example", "Purpose", "start_of"]
