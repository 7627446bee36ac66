"""What happens to projects, and between them and their people, by verb."""

from app.projects.actions.people import (
    ConsentChanged,
    agree,
    change_about_you,
    change_consent,
    note_consent,
    pause,
    read_guidelines,
)
from app.projects.actions.projects import (
    CategoryInUse,
    EditedMeanwhile,
    change_guidelines,
    change_protocol,
    comparison_protocol,
    count_projects,
    create_project,
    edit_care,
    edit_project,
    locked,
)

__all__ = [
    "CategoryInUse",
    "ConsentChanged",
    "EditedMeanwhile",
    "agree",
    "change_about_you",
    "change_consent",
    "change_guidelines",
    "change_protocol",
    "comparison_protocol",
    "count_projects",
    "create_project",
    "edit_care",
    "edit_project",
    "locked",
    "note_consent",
    "pause",
    "read_guidelines",
]
