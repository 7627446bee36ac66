"""What happens to annotations, by verb."""

from app.annotations.actions.answering import AlreadyAnswered, KeyUsed, Saved
from app.annotations.actions.checking import ToCheck, WorkRests, accept_prompt, next_to_check, return_prompt
from app.annotations.actions.conversing import ask_again, judge_anew, judge_turn, place_openings, send_message
from app.annotations.actions.drafting import Draft, save_draft, save_edit_draft
from app.annotations.actions.editing import EditedMeanwhile, EditWindowOver, edit, set_aside, withdraw
from app.annotations.actions.prompting import PromptIsHere, settle_prompt
from app.annotations.actions.returning import answer_back, reply, return_answer
from app.annotations.actions.submitting import submit

__all__ = [
    "AlreadyAnswered",
    "Draft",
    "EditWindowOver",
    "EditedMeanwhile",
    "KeyUsed",
    "PromptIsHere",
    "Saved",
    "ToCheck",
    "WorkRests",
    "accept_prompt",
    "answer_back",
    "ask_again",
    "edit",
    "judge_anew",
    "judge_turn",
    "next_to_check",
    "place_openings",
    "reply",
    "return_answer",
    "return_prompt",
    "save_draft",
    "save_edit_draft",
    "send_message",
    "set_aside",
    "settle_prompt",
    "submit",
    "withdraw",
]
