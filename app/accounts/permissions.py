"""What may be done, and which role may do it. Routes, templates and tokens read this one map."""

from enum import StrEnum

from app.translation import _


class Permission(StrEnum):
    """`<resource>.<action>`; the scope is the installation for the first block, a project for the rest."""

    installation_manage = "installation.manage"  # users, invitations to the installation, shared checkpoints
    project_create = "project.create"

    project_read = "project.read"  # name, guidelines, numbers
    project_edit = "project.edit"  # settings, protocol, guidelines, batches
    member_read = "member.read"  # names and e-mail addresses
    member_manage = "member.manage"  # invite, change roles, pause
    cohort_read = "cohort.read"  # people of one's own cohort
    member_list = "member.list"  # who is here, as far as the two above show them; else pseudonyms
    prompt_read = "prompt.read"
    prompt_edit = "prompt.edit"  # import, tag, retire
    media_read = "media.read"  # the files that prompts and completions show
    completion_read = "completion.read"
    completion_edit = "completion.edit"  # generate, import
    checkpoint_read = "checkpoint.read"
    checkpoint_edit = "checkpoint.edit"  # register, serve
    task_read = "task.read"
    task_edit = "task.edit"  # make, cancel, reorder
    annotate = "annotation.make"
    annotation_own = "annotation.own"  # one's own history
    annotation_read = "annotation.read"  # everybody's, people as pseudonyms
    annotation_review = "annotation.review"
    question_answer = "question.answer"  # what people ask about tasks; leads of their own cohort
    progress_read = "progress.read"  # counts, no people
    dataset_read = "dataset.read"
    dataset_edit = "dataset.edit"  # freeze
    run_read = "run.read"
    run_edit = "run.edit"  # start, cancel
    evaluation_read = "evaluation.read"
    evaluation_edit = "evaluation.edit"
    schedule_read = "schedule.read"
    schedule_edit = "schedule.edit"
    log_read = "log.read"  # everything that happened, with names
    pay_read = "pay.read"  # rates, and what everybody earned
    pay_edit = "pay.edit"


class Role(StrEnum):
    """Per project; the admin of the installation stands outside and may everything."""

    manager = _("manager")
    engineer = _("engineer")
    reviewer = _("reviewer")
    lead = _("lead")
    annotator = _("annotator")
    viewer = _("viewer")


P = Permission

# What a token for one project never carries.
OF_INSTALLATION = frozenset({P.installation_manage, P.project_create})

_SEES_NUMBERS = {P.project_read, P.progress_read}
_ANNOTATES = {P.annotate, P.annotation_own, P.media_read}

ROLE_PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.manager: frozenset(set(P) - OF_INSTALLATION),
    Role.engineer: frozenset(
        _SEES_NUMBERS
        | _ANNOTATES
        | {P.prompt_read, P.prompt_edit, P.completion_read, P.completion_edit, P.checkpoint_read, P.checkpoint_edit}
        | {P.task_read, P.task_edit, P.annotation_read, P.dataset_read, P.dataset_edit, P.run_read, P.run_edit}
        | {P.evaluation_read, P.evaluation_edit, P.schedule_read, P.schedule_edit, P.member_list}
    ),
    Role.reviewer: frozenset(
        _SEES_NUMBERS
        | _ANNOTATES
        | {P.prompt_read, P.completion_read, P.task_read, P.annotation_read}
        | {P.annotation_review, P.question_answer, P.evaluation_read, P.member_list}
    ),
    Role.lead: frozenset(_SEES_NUMBERS | _ANNOTATES | {P.cohort_read, P.member_list, P.question_answer}),
    Role.annotator: frozenset({P.project_read} | _ANNOTATES),
    Role.viewer: frozenset(_SEES_NUMBERS | {P.evaluation_read}),
}
