"""What happens to prompts: files of them come in, and single ones are tagged or retired."""

from app.prompts.actions.editing import note_care_sets, retire_prompt, tag_prompt
from app.prompts.actions.importing import import_prompts, take_in_settled
from app.prompts.actions.placing import place_words
from app.prompts.actions.writing import keep_written, let_through, prompts_of_cards

__all__ = [
    "import_prompts",
    "keep_written",
    "let_through",
    "note_care_sets",
    "place_words",
    "prompts_of_cards",
    "retire_prompt",
    "tag_prompt",
    "take_in_settled",
]
