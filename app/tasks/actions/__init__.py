"""What happens to tasks and their slots, by verb.

Every path locks in one order: the task's row (only where its state may change), the person's quota row, the slot, the
annotation. The claim takes slots with SKIP LOCKED and therefore waits for nobody; the sweep skips whoever is busy.
"""

from app.tasks.actions.arranging import arrange, look_from_the_beginning
from app.tasks.actions.caring import categorise, chosen_of, opt, opted, set_care
from app.tasks.actions.changing import Place, cancel_tasks, change_k, reopen_slot, reorder
from app.tasks.actions.claiming import ConsentNeeded, ReadingNeeded, Reason, Showing, ShownCompletion, Waiting, claim
from app.tasks.actions.ending import forget_lapses, release, renew, run_out, skip, sweep
from app.tasks.actions.limiting import (
    assign,
    edit_hand_out,
    edit_limits,
    grow_calibration,
    settle_places,
    unassign,
)
from app.tasks.actions.making import NewTask, make_tasks, open_tasks
from app.tasks.actions.prompting import ask_about_prompts
from app.tasks.actions.releasing import make_room_for, release_slots
from app.tasks.actions.reporting import ReportClosed, close_report, report
from app.tasks.actions.rounds import (
    MOVES,
    edit_round,
    freeze_rounds,
    has_room,
    make_round,
    move_round,
    pair_what_arrived,
    prompts_of_round,
    remove_draft,
    round_of,
    rounds_beside,
)
from app.tasks.actions.turning import tasks_to_turn, turn_slots
from app.tasks.actions.wishing import Wish

__all__ = [
    "MOVES",
    "ConsentNeeded",
    "NewTask",
    "Place",
    "ReadingNeeded",
    "Reason",
    "ReportClosed",
    "Showing",
    "ShownCompletion",
    "Waiting",
    "Wish",
    "arrange",
    "ask_about_prompts",
    "assign",
    "cancel_tasks",
    "categorise",
    "change_k",
    "chosen_of",
    "claim",
    "close_report",
    "edit_hand_out",
    "edit_limits",
    "edit_round",
    "forget_lapses",
    "freeze_rounds",
    "grow_calibration",
    "has_room",
    "look_from_the_beginning",
    "make_room_for",
    "make_round",
    "make_tasks",
    "move_round",
    "open_tasks",
    "opt",
    "opted",
    "pair_what_arrived",
    "prompts_of_round",
    "release",
    "release_slots",
    "remove_draft",
    "renew",
    "reopen_slot",
    "reorder",
    "report",
    "round_of",
    "rounds_beside",
    "run_out",
    "set_care",
    "settle_places",
    "skip",
    "sweep",
    "tasks_to_turn",
    "turn_slots",
    "unassign",
]
