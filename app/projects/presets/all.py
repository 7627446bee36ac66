"""Every preset by its key, in the order they are offered."""

from app.projects.presets.arena import ARENA
from app.projects.presets.base import Preset
from app.projects.presets.helpsteer2 import HELPSTEER2
from app.projects.presets.helpsteer3 import HELPSTEER3
from app.projects.presets.hh import HH
from app.projects.presets.instructgpt import INSTRUCTGPT
from app.projects.presets.llama2 import LLAMA2
from app.projects.presets.prism import PRISM
from app.projects.presets.sparrow import SPARROW
from app.projects.presets.summarize import SUMMARIZE

PRESETS: dict[str, Preset] = {
    one.key: one for one in (HH, LLAMA2, INSTRUCTGPT, SUMMARIZE, HELPSTEER2, HELPSTEER3, SPARROW, PRISM, ARENA)
}
