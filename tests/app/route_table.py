"""What every route demands, written down by hand, and a real row for every path parameter.

A new route needs one line in ROUTES; a new path parameter one factory in EXAMPLES. `test_route_matrix.py` compares the
table with what the code declares and then asks every route as everybody.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.accounts.permissions import Permission, Role
from app.accounts.tables import ApiToken, Audience, InboxItem, Letter, Link, LinkKind, SignIn, User
from app.annotations.tables import Annotation, Rework, ReworkState
from app.completions.tables import Generation
from app.datasets.tables import Dataset
from app.evaluation.tables import Evaluation
from app.loop.tables import Schedule, Trigger
from app.playground.tables import Play
from app.projects.rules import Sampling
from app.projects.tables import Batch, Guidelines, Project, Protocol
from app.prompts.forms import Report as ImportReport
from app.prompts.rules import of_user
from app.prompts.tables import Import
from app.quality.tables import Contest, Inquiry, Ruling
from app.tasks.tables import Report, Slot
from app.training.tables import Method, Run
from tests import make

P = Permission
ANYBODY, SIGNED_IN, IN_PERSON = "anybody", "signed in", "in person"

# "METHOD /path": the permission it demands, or one of the three words above.
ROUTES: dict[str, P | str] = {
    "GET /health": ANYBODY,
    # oversight: questions and rulings, today
    "POST /projects/{project}/annotate/{task}/question": P.annotate,
    "GET /projects/{project}/questions/mine": P.annotation_own,
    "GET /projects/{project}/questions": P.question_answer,
    "GET /projects/{project}/questions/{inquiry}": P.question_answer,
    "POST /projects/{project}/questions/{inquiry}": P.question_answer,
    "POST /projects/{project}/questions/{inquiry}/ruling": P.annotation_review,
    "GET /projects/{project}/rulings": P.project_read,
    "POST /projects/{project}/rulings/{ruling}/retire": P.annotation_review,
    "POST /api/v1/tasks/{task}/question": P.annotate,
    "GET /api/v1/projects/{project}/questions": P.question_answer,
    "POST /api/v1/projects/{project}/questions/{inquiry}/answer": P.question_answer,
    "POST /api/v1/projects/{project}/questions/{inquiry}/ruling": P.annotation_review,
    "GET /api/v1/projects/{project}/rulings": P.project_read,
    "DELETE /api/v1/projects/{project}/rulings/{ruling}": P.annotation_review,
    "GET /projects/{project}/consent/withdraw": P.annotation_own,
    "POST /projects/{project}/consent/withdraw": P.annotate,
    "POST /projects/{project}/consent/again": P.annotate,
    "GET /projects/{project}/members/{member}/withdraw": P.member_manage,
    "POST /projects/{project}/members/{member}/withdraw": P.member_manage,
    "GET /projects/{project}/guidelines/versions": P.progress_read,
    "GET /today": IN_PERSON,
    "GET /projects/{project}/today": P.progress_read,
    "GET /api/v1/projects/{project}/today": P.progress_read,
    # accounts
    "GET /sign-in": ANYBODY,
    "POST /sign-in": ANYBODY,
    "POST /sign-out": ANYBODY,
    "POST /language": ANYBODY,
    "GET /sign-in/{link}": ANYBODY,
    "POST /sign-in/{link}": ANYBODY,
    "GET /forgot": ANYBODY,
    "POST /forgot": ANYBODY,
    "GET /reset/{link}": ANYBODY,
    "POST /reset/{link}": ANYBODY,
    "GET /invitations/{link}": ANYBODY,
    "POST /invitations/{link}": ANYBODY,
    "GET /account": IN_PERSON,
    "POST /account": IN_PERSON,
    "POST /account/password": IN_PERSON,
    "POST /account/sign-ins/{sign_in}/end": IN_PERSON,
    "POST /account/sign-ins/end-others": IN_PERSON,
    "GET /account/keys": IN_PERSON,
    "POST /account/keys": IN_PERSON,
    "GET /account/tokens": IN_PERSON,
    "POST /account/tokens": IN_PERSON,
    "POST /account/tokens/{token}/revoke": IN_PERSON,
    "GET /people": P.installation_manage,
    "POST /people/invitations": P.installation_manage,
    "POST /people/invitations/{invitation}/withdraw": P.installation_manage,
    "POST /people/{person}/reset": P.installation_manage,
    "POST /people/{person}/disable": P.installation_manage,
    "POST /people/{person}/enable": P.installation_manage,
    "POST /people/{person}/admin": P.installation_manage,
    "GET /projects/{project}/audiences": P.member_manage,
    "POST /projects/{project}/audiences": P.member_manage,
    "POST /projects/{project}/audiences/{audience}": P.member_manage,
    "POST /projects/{project}/audiences/{audience}/retire": P.member_manage,
    "GET /api/v1/projects/{project}/audiences": P.member_read,
    "POST /api/v1/projects/{project}/audiences": P.member_manage,
    "PUT /api/v1/projects/{project}/audiences/{audience}": P.member_manage,
    "DELETE /api/v1/projects/{project}/audiences/{audience}": P.member_manage,
    "GET /api/v1/projects/{project}/members": P.member_read,
    "PUT /api/v1/projects/{project}/members/{member}": P.member_manage,
    "GET /projects/{project}/members": P.member_list,
    "POST /projects/{project}/members/invitations": P.member_manage,
    "POST /projects/{project}/members/invitations/{invitation}/withdraw": P.member_manage,
    "POST /projects/{project}/members/{member}": P.member_manage,
    "POST /projects/{project}/members/{member}/pause": P.member_manage,
    "POST /api/v1/sign-in": ANYBODY,
    "GET /api/v1/me": SIGNED_IN,
    "GET /api/v1/tokens": IN_PERSON,
    "POST /api/v1/tokens": IN_PERSON,
    "DELETE /api/v1/tokens/{token}": IN_PERSON,
    # later chapters
    "GET /projects/{project}/datasets": P.dataset_read,
    "POST /projects/{project}/datasets": P.dataset_edit,
    "GET /projects/{project}/datasets/import": P.dataset_edit,
    "POST /projects/{project}/datasets/import": P.dataset_edit,
    "GET /datasets/{dataset}": P.dataset_read,
    "GET /projects/{project}/formulas": P.dataset_read,
    "POST /projects/{project}/formulas": P.dataset_edit,
    "GET /api/v1/projects/{project}/formulas": P.dataset_read,
    "POST /api/v1/projects/{project}/formulas": P.dataset_edit,
    "POST /api/v1/projects/{project}/formulas/try": P.dataset_read,
    "GET /projects/{project}/runs": P.run_read,
    "GET /projects/{project}/runs/new": P.run_edit,
    "POST /projects/{project}/runs": P.run_edit,
    "GET /runs/{run}": P.run_read,
    "POST /runs/{run}/cancel": P.run_edit,
    "GET /projects/{project}/evaluations": P.evaluation_read,
    "POST /projects/{project}/evaluations": P.evaluation_edit,
    "GET /evaluations/{evaluation}": P.evaluation_read,
    "POST /evaluations/{evaluation}/cancel": P.evaluation_edit,
    "GET /projects/{project}/schedules": P.schedule_read,
    "POST /projects/{project}/schedules": P.schedule_edit,
    "POST /schedules/{schedule}/switch": P.schedule_edit,
    "GET /schedules/{schedule}/edit": P.schedule_edit,
    "POST /schedules/{schedule}": P.schedule_edit,
    "POST /api/v1/projects/{project}/invitations": P.member_manage,
    "POST /api/v1/invitations/{link}": ANYBODY,
    "GET /api/v1/projects/{project}/datasets": P.dataset_read,
    "POST /api/v1/projects/{project}/datasets": P.dataset_edit,
    "POST /api/v1/projects/{project}/datasets/import": P.dataset_edit,
    "GET /api/v1/datasets/{dataset}": P.dataset_read,
    "GET /api/v1/datasets/{dataset}/records": P.dataset_read,
    "GET /api/v1/projects/{project}/runs": P.run_read,
    "POST /api/v1/projects/{project}/runs/reward": P.run_edit,
    "POST /api/v1/projects/{project}/runs/ppo": P.run_edit,
    "POST /api/v1/projects/{project}/runs/sft": P.run_edit,
    "POST /api/v1/projects/{project}/runs/dpo": P.run_edit,
    "GET /api/v1/runs/{run}": P.run_read,
    "GET /api/v1/runs/{run}/metrics": P.run_read,
    "GET /api/v1/runs/{run}/samples": P.run_read,
    "GET /api/v1/runs/{run}/optimisation": P.run_read,
    "POST /api/v1/runs/{run}/cancel": P.run_edit,
    "GET /api/v1/projects/{project}/evaluations": P.evaluation_read,
    "POST /api/v1/projects/{project}/evaluations": P.evaluation_edit,
    "GET /api/v1/evaluations/{evaluation}": P.evaluation_read,
    "POST /api/v1/evaluations/{evaluation}/cancel": P.evaluation_edit,
    "GET /api/v1/projects/{project}/schedules": P.schedule_read,
    "POST /api/v1/projects/{project}/schedules": P.schedule_edit,
    "GET /api/v1/schedules/{schedule}": P.schedule_read,
    "PUT /api/v1/schedules/{schedule}": P.schedule_edit,
    "GET /": ANYBODY,
    "GET /projects": SIGNED_IN,
    "GET /projects/new": P.project_create,
    "POST /projects/new": P.project_create,
    "GET /projects/new/try": P.project_create,
    "POST /projects/new/try": P.project_create,
    "POST /projects": P.project_create,
    "GET /projects/{project}/try": P.project_edit,
    "POST /projects/{project}/try": P.project_edit,
    "GET /projects/{project}": P.project_read,
    "GET /api/v1/projects/{project}/overview": P.progress_read,
    "GET /projects/{project}/rounds": P.progress_read,
    "POST /projects/{project}/rounds": P.project_edit,
    "GET /projects/{project}/rounds/new": P.project_edit,
    "GET /projects/{project}/rounds/{batch}": P.progress_read,
    "POST /projects/{project}/rounds/{batch}": P.project_edit,
    "GET /projects/{project}/rounds/{batch}/edit": P.project_edit,
    "POST /projects/{project}/rounds/{batch}/state": P.project_edit,
    "POST /projects/{project}/rounds/{batch}/remove": P.project_edit,
    "GET /api/v1/projects/{project}/batches": P.progress_read,
    "POST /api/v1/projects/{project}/batches": P.project_edit,
    "GET /api/v1/projects/{project}/batches/{batch}": P.progress_read,
    "PUT /api/v1/projects/{project}/batches/{batch}": P.project_edit,
    "DELETE /api/v1/projects/{project}/batches/{batch}": P.project_edit,
    "POST /api/v1/projects/{project}/batches/{batch}/state": P.project_edit,
    "GET /projects/{project}/settings": P.project_edit,
    "POST /projects/{project}/settings": P.project_edit,
    "GET /projects/{project}/guidelines": P.project_read,
    "GET /projects/{project}/settings/guidelines": P.project_edit,
    "POST /projects/{project}/settings/guidelines": P.project_edit,
    "GET /projects/{project}/settings/care": P.project_edit,
    "POST /projects/{project}/settings/care": P.project_edit,
    "GET /projects/{project}/care": P.annotate,
    "POST /projects/{project}/care": P.annotate,
    "POST /projects/{project}/prompts/care": P.prompt_edit,
    "GET /projects/{project}/reports": P.annotation_review,
    "GET /reports/{report}": P.annotation_review,
    "POST /reports/{report}": P.annotation_review,
    "GET /api/v1/projects/{project}/care": P.annotate,
    "PUT /api/v1/projects/{project}/care": P.project_edit,
    "PUT /api/v1/projects/{project}/care/mine": P.annotate,
    "POST /api/v1/projects/{project}/prompts/care": P.prompt_edit,
    "POST /api/v1/tasks/{task}/report": P.annotate,
    "GET /api/v1/projects/{project}/reports": P.annotation_review,
    "POST /api/v1/reports/{report}/close": P.annotation_review,
    "GET /projects/{project}/settings/protocol": P.project_edit,
    "POST /projects/{project}/settings/protocol": P.project_edit,
    "GET /projects/{project}/prompts": P.prompt_read,
    "GET /projects/{project}/prompts/import": P.prompt_edit,
    "POST /projects/{project}/prompts/import": P.prompt_edit,
    "GET /projects/{project}/imports/{record}": P.prompt_read,
    "GET /prompts/{prompt}": P.prompt_read,
    "POST /prompts/{prompt}": P.prompt_edit,
    "GET /projects/{project}/media": P.prompt_read,
    "POST /projects/{project}/media": P.prompt_edit,
    "GET /projects/{project}/media/{sha256}": P.media_read,
    "POST /media/{medium}/again": P.prompt_edit,
    "GET /api/v1/projects/{project}/media": P.prompt_read,
    "POST /api/v1/projects/{project}/media": P.prompt_edit,
    "GET /api/v1/projects/{project}/media/{sha256}": P.media_read,
    "GET /api/v1/media/{medium}": P.prompt_read,
    "POST /api/v1/media/{medium}/again": P.prompt_edit,
    "GET /projects/{project}/checkpoints": P.checkpoint_read,
    "GET /projects/{project}/checkpoints/new": P.checkpoint_edit,
    "POST /projects/{project}/checkpoints": P.checkpoint_edit,
    "GET /projects/{project}/checkpoints/{checkpoint}": P.checkpoint_read,
    "POST /projects/{project}/checkpoints/{checkpoint}/serve": P.checkpoint_edit,
    "POST /projects/{project}/checkpoints/{checkpoint}/check": P.checkpoint_edit,
    "GET /projects/{project}/completions": P.completion_read,
    "GET /projects/{project}/completions/new": P.completion_edit,
    "POST /projects/{project}/completions": P.completion_edit,
    "GET /projects/{project}/completions/import": P.completion_edit,
    "POST /projects/{project}/completions/import": P.completion_edit,
    "GET /generations/{generation}": P.completion_read,
    "POST /generations/{generation}/cancel": P.completion_edit,
    "GET /api/v1/projects": SIGNED_IN,
    "POST /api/v1/projects": P.project_create,
    "GET /api/v1/projects/{project}": P.project_read,
    "PATCH /api/v1/projects/{project}": P.project_edit,
    "PUT /api/v1/projects/{project}/protocol": P.project_edit,
    "GET /api/v1/projects/{project}/guidelines": P.project_read,
    "POST /api/v1/projects/{project}/guidelines/read": P.annotate,
    "PUT /api/v1/projects/{project}/guidelines": P.project_edit,
    "GET /api/v1/projects/{project}/prompts": P.prompt_read,
    "POST /api/v1/projects/{project}/prompts": P.prompt_edit,
    "GET /api/v1/projects/{project}/imports/{record}": P.prompt_read,
    "GET /api/v1/prompts/{prompt}": P.prompt_read,
    "PATCH /api/v1/prompts/{prompt}": P.prompt_edit,
    "GET /api/v1/projects/{project}/checkpoints": P.checkpoint_read,
    "POST /api/v1/projects/{project}/checkpoints": P.checkpoint_edit,
    "GET /api/v1/projects/{project}/checkpoints/{checkpoint}": P.checkpoint_read,
    "POST /api/v1/projects/{project}/checkpoints/{checkpoint}/serve": P.checkpoint_edit,
    "POST /api/v1/projects/{project}/checkpoints/{checkpoint}/check": P.checkpoint_edit,
    "GET /api/v1/projects/{project}/completions": P.completion_read,
    "POST /api/v1/projects/{project}/completions": P.completion_edit,
    "GET /api/v1/completions/{completion}": P.completion_read,
    "GET /api/v1/projects/{project}/generations": P.completion_read,
    "POST /api/v1/projects/{project}/generations": P.completion_edit,
    "GET /api/v1/generations/{generation}": P.completion_read,
    "POST /api/v1/generations/{generation}/cancel": P.completion_edit,
    "GET /projects/{project}/checks": P.annotate,
    "POST /projects/{project}/checks/{prompt}": P.annotate,
    "POST /projects/{project}/checks/{prompt}/return": P.annotate,
    "GET /api/v1/projects/{project}/checks": P.annotate,
    "POST /api/v1/projects/{project}/checks/{prompt}": P.annotate,
    "POST /api/v1/projects/{project}/checks/{prompt}/return": P.annotate,
    "GET /projects/{project}/annotate": P.annotate,
    "GET /projects/{project}/annotate/next": P.annotate,
    "GET /projects/{project}/annotate/{task}/source": P.annotate,
    "GET /projects/{project}/annotate/back": P.annotate,
    "GET /projects/{project}/annotate/answers/{annotation}": P.annotate,
    "POST /projects/{project}/annotate/{task}": P.annotate,
    "POST /projects/{project}/annotate/answers/{annotation}": P.annotate,
    "POST /projects/{project}/annotate/{task}/skip": P.annotate,
    "POST /projects/{project}/annotate/{task}/report": P.annotate,
    "POST /projects/{project}/annotate/{task}/release": P.annotate,
    "POST /projects/{project}/annotate/{task}/draft": P.annotate,
    "POST /projects/{project}/annotate/answers/{annotation}/draft": P.annotate,
    "POST /projects/{project}/annotate/texts/preview": P.annotate,
    "POST /projects/{project}/annotate/texts/near": P.annotate,
    "GET /projects/{project}/annotate/{task}/turns": P.annotate,
    "POST /projects/{project}/annotate/{task}/turns": P.annotate,
    "POST /projects/{project}/annotate/{task}/turns/{number}": P.annotate,
    "POST /projects/{project}/annotate/{task}/turns/{number}/again": P.annotate,
    "POST /projects/{project}/annotate/{task}/turns/{number}/anew": P.annotate,
    "GET /projects/{project}/answers": P.annotation_own,
    "GET /projects/{project}/answers/{annotation}": P.annotation_own,
    "POST /projects/{project}/answers/{annotation}/withdraw": P.annotation_own,
    "POST /projects/{project}/answers/{annotation}/remarks": P.annotation_own,
    "GET /projects/{project}/annotations": P.annotation_read,
    "GET /projects/{project}/annotations/{annotation}": P.annotation_read,
    "POST /projects/{project}/annotations/{annotation}/return": P.annotation_review,
    "POST /projects/{project}/annotations/{annotation}/remarks": P.annotation_review,
    "GET /inbox": IN_PERSON,
    "GET /inbox/{letter}": IN_PERSON,
    "POST /inbox/{letter}/reply": IN_PERSON,
    "GET /projects/{project}/annotators": P.member_list,
    "GET /projects/{project}/annotators/change": P.member_manage,
    "POST /projects/{project}/annotators/change": P.member_manage,
    "GET /projects/{project}/annotators/{member}": P.member_list,
    "GET /projects/{project}/annotators/{member}/signs/{sign}": P.annotation_read,
    "GET /projects/{project}/annotators/signs": P.member_list,
    "GET /projects/{project}/annotators/quotas": P.member_list,
    "POST /projects/{project}/annotators/quotas": P.project_edit,
    "GET /projects/{project}/annotators/quotas/history": P.member_list,
    "GET /api/v1/projects/{project}/quotas": P.member_list,
    "PUT /api/v1/projects/{project}/quotas": P.project_edit,
    "POST /api/v1/projects/{project}/quotas/effect": P.project_edit,
    "GET /api/v1/projects/{project}/annotators": P.member_list,
    "POST /api/v1/projects/{project}/annotators/changes": P.member_manage,
    "GET /api/v1/projects/{project}/annotators/{member}": P.member_list,
    "GET /me": IN_PERSON,
    "GET /projects/{project}/about-me": P.annotation_own,
    "POST /projects/{project}/about-me": P.annotation_own,
    "POST /projects/{project}/about-me/delete": P.annotation_own,
    "GET /projects/{project}/settings/about-you": P.project_edit,
    "POST /projects/{project}/settings/about-you": P.project_edit,
    "GET /api/v1/projects/{project}/about-raters": P.member_manage,
    "GET /projects/{project}/me": P.annotation_own,
    "GET /log": P.installation_manage,
    "GET /log.jsonl": P.installation_manage,
    "GET /projects/{project}/log": P.log_read,
    "GET /projects/{project}/log.jsonl": P.log_read,
    "GET /projects/{project}/quality": P.progress_read,
    "GET /api/v1/projects/{project}/quality": P.progress_read,
    "GET /api/v1/projects/{project}/adjudications": P.annotation_read,
    "PUT /api/v1/tasks/{task}/adjudication": P.annotation_review,
    "DELETE /api/v1/tasks/{task}/adjudication": P.annotation_review,
    "POST /api/v1/annotations/{annotation}/accept": P.annotation_review,
    "GET /api/v1/projects/{project}/contests": P.annotation_review,
    "POST /api/v1/projects/{project}/contests/{contest}": P.annotation_review,
    "POST /api/v1/projects/{project}/known-answers": P.annotation_review,
    "GET /api/v1/projects/{project}/entrance": P.annotation_review,
    "PUT /api/v1/projects/{project}/entrance": P.project_edit,
    "DELETE /api/v1/projects/{project}/entrance": P.project_edit,
    "POST /api/v1/projects/{project}/entrance/let-in": P.member_manage,
    "PUT /api/v1/projects/{project}/scores": P.completion_edit,
    "GET /projects/{project}/leaderboard": P.evaluation_read,
    "GET /api/v1/projects/{project}/leaderboard": P.evaluation_read,
    # playground
    "GET /projects/{project}/playground": P.completion_edit,
    "POST /projects/{project}/playground": P.completion_edit,
    "GET /projects/{project}/playground/{play}": P.completion_edit,
    "POST /projects/{project}/playground/{play}/tasks": P.task_edit,
    "GET /api/v1/projects/{project}/playground": P.completion_edit,
    "POST /api/v1/projects/{project}/playground": P.completion_edit,
    "GET /api/v1/projects/{project}/playground/{play}": P.completion_edit,
    "POST /api/v1/projects/{project}/playground/{play}/tasks": P.task_edit,
    "GET /projects/{project}/tasks": P.task_read,
    "GET /api/v1/projects/{project}/tasks/found": P.annotation_read,
    "GET /api/v1/tasks/{task}/history": P.annotation_read,
    "GET /projects/{project}/tasks/{task}": P.task_read,
    "POST /projects/{project}/tasks/{task}/settled": P.annotation_review,
    "POST /projects/{project}/tasks/{task}/settled/open": P.annotation_review,
    "POST /projects/{project}/annotations/{annotation}/accept": P.annotation_review,
    "GET /projects/{project}/review": P.annotation_review,
    "GET /projects/{project}/review/next": P.annotation_review,
    "GET /projects/{project}/review/contests": P.annotation_review,
    "GET /projects/{project}/review/gold": P.annotation_review,
    "POST /projects/{project}/review/gold/many": P.annotation_review,
    "POST /projects/{project}/review/entrance": P.project_edit,
    "POST /projects/{project}/review/entrance/off": P.project_edit,
    "POST /projects/{project}/review/entrance/let-in": P.member_manage,
    "POST /projects/{project}/review/contests/{contest}": P.annotation_review,
    "POST /projects/{project}/tasks/{task}/argued": P.annotation_review,
    "POST /projects/{project}/tasks/{task}/argued/drop": P.annotation_review,
    "POST /projects/{project}/answers/{annotation}/contest": P.annotation_own,
    "POST /inbox/read": IN_PERSON,
    "POST /projects/{project}/guidelines/read": P.project_read,
    "POST /projects/{project}/guidelines/onward": P.annotate,
    "GET /projects/{project}/consent": P.annotation_own,
    "POST /projects/{project}/consent": P.annotate,
    "POST /projects/{project}/consent/decline": P.annotate,
    "GET /projects/{project}/settings/consent": P.project_edit,
    "POST /projects/{project}/settings/consent": P.project_edit,
    "POST /projects/{project}/pause": P.project_edit,
    "PUT /api/v1/projects/{project}/consent": P.project_edit,
    "GET /api/v1/projects/{project}/consent": P.annotate,
    "POST /api/v1/projects/{project}/consent": P.annotate,
    "POST /projects/{project}/annotations/{annotation}/set-aside": P.annotation_review,
    "POST /api/v1/projects/{project}/tasks/next": P.annotate,
    "POST /api/v1/tasks/{task}/skip": P.annotate,
    "POST /api/v1/tasks/{task}/release": P.annotate,
    "GET /api/v1/projects/{project}/tasks": P.task_read,
    "PUT /api/v1/tasks/{task}/k": P.task_edit,
    "PUT /api/v1/tasks/{task}/place": P.task_edit,
    "DELETE /api/v1/tasks/{task}/place": P.task_edit,
    "GET /projects/{project}/settings/hand-out": P.project_edit,
    "POST /projects/{project}/settings/hand-out": P.project_edit,
    "POST /projects/{project}/settings/hand-out/limits": P.project_edit,
    "GET /api/v1/projects/{project}/hand-out": P.task_read,
    "PUT /api/v1/projects/{project}/hand-out": P.project_edit,
    "GET /api/v1/projects/{project}/limits": P.task_read,
    "PUT /api/v1/projects/{project}/limits": P.project_edit,
    "GET /projects/{project}/rework": P.annotation_review,
    "POST /projects/{project}/rework": P.annotation_review,
    "POST /projects/{project}/rework/{rework}/undo": P.annotation_review,
    "GET /api/v1/projects/{project}/reworks": P.annotation_review,
    "GET /api/v1/projects/{project}/reworks/effect": P.annotation_review,
    "POST /api/v1/projects/{project}/reworks": P.annotation_review,
    "POST /api/v1/projects/{project}/reworks/{rework}/undo": P.annotation_review,
    "GET /projects/{project}/pay": P.pay_read,
    "GET /projects/{project}/pay/statement.csv": P.pay_read,
    "POST /projects/{project}/pay/rates": P.pay_edit,
    "POST /projects/{project}/pay/ledger": P.pay_edit,
    "GET /api/v1/projects/{project}/rates": P.pay_read,
    "POST /api/v1/projects/{project}/rates": P.pay_edit,
    "GET /api/v1/projects/{project}/ledger": P.pay_read,
    "POST /api/v1/projects/{project}/ledger": P.pay_edit,
    "GET /api/v1/projects/{project}/earned": P.pay_read,
    "GET /api/v1/projects/{project}/statement.csv": P.pay_read,
    "POST /api/v1/tasks/{task}/cancel": P.task_edit,
    "POST /api/v1/tasks/{task}/annotations": P.annotate,
    "PUT /api/v1/annotations/{annotation}": P.annotate,
    "DELETE /api/v1/annotations/{annotation}": P.annotate,
    "GET /api/v1/tasks/{task}/conversation": P.annotate,
    "POST /api/v1/tasks/{task}/turns": P.annotate,
    "POST /api/v1/tasks/{task}/turns/{number}/judgement": P.annotate,
    "POST /api/v1/tasks/{task}/turns/{number}/again": P.annotate,
    "POST /api/v1/tasks/{task}/turns/{number}/anew": P.annotate,
    "POST /api/v1/annotations/{annotation}/set-aside": P.annotation_review,
    "POST /api/v1/annotations/{annotation}/return": P.annotation_review,
    "GET /api/v1/projects/{project}/annotations": P.annotation_read,
    "GET /api/v1/projects/{project}/annotations.jsonl": P.annotation_read,
}

# Routes that see only what is committed (a stream's own snapshot), so a test's row is not there for them; or whose row
# must be in a certain state first. Allowed callers may get 404 here; the reason stands beside.
MAY_BE_ABSENT: dict[str, str] = {
    "GET /projects/{project}/annotate/{task}/source": "the example was not shown to the caller",
    "POST /people/invitations/{invitation}/withdraw": "the example is an invitation to a project, not to all",
    "GET /projects/{project}/annotate/{task}/turns": "the example is no conversation",
    "GET /api/v1/tasks/{task}/conversation": "the example is no conversation",
    "GET /projects/{project}/annotators/{member}/signs/{sign}": "there are no figures yet",
    "GET /projects/{project}/annotators/{member}": "the example is of no cohort, and leads see their own",
    "GET /api/v1/projects/{project}/annotators/{member}": "the example is of no cohort, and leads see their own",
    "GET /projects/{project}/questions/{inquiry}": "who asked is of no cohort, and leads answer their own",
}

# GET routes that write on purpose.
WRITES: dict[str, str] = {
    "GET /inbox/{letter}": "a message is read by opening it",
    "GET /projects/{project}/annotate": "opening the page hands out a task",
    "GET /projects/{project}/annotate/next": "asks for the next task",
    "GET /projects/{project}/questions/mine": "letters about questions are read by opening them",
    "GET /projects/{project}/answers/{annotation}": "letters about an answer are read by opening it",
    "GET /projects/{project}/annotations/{annotation}": "letters about an answer are read by opening it",
    "GET /projects/{project}/annotate/back": "locks the answer that may be changed, or hands out a task",
}

# Served by the framework: files and the description of the API.
PLAIN = {"/api/docs", "/api/v1/openapi.json", "/docs/oauth2-redirect", "/static"}


SAMPLING = Sampling().model_dump(mode="json")


async def added(session: AsyncSession, row: Any) -> str:
    session.add(row)
    await session.flush()
    return str(row.public_id)


async def default_of(session: AsyncSession, table: type[Any], project: Project) -> Any:
    return (await session.scalars(select(table).where(table.project_id == project.id).limit(1))).one()


async def a_project(session: AsyncSession, project: Project, caller: User) -> str:
    return str(project.public_id)


async def a_batch(session: AsyncSession, project: Project, caller: User) -> str:
    return str((await default_of(session, Batch, project)).public_id)


async def a_member(session: AsyncSession, project: Project, caller: User) -> str:
    member = await make.member(session, project, await make.user(session), Role.annotator)
    return str(member.pseudonym)


async def a_person(session: AsyncSession, project: Project, caller: User) -> str:
    return str((await make.user(session)).public_id)


async def a_sign_in(session: AsyncSession, project: Project, caller: User) -> str:
    values = {"token_hash": uuid4().bytes, "user_id": caller.id, "expires_at": func.now()}
    return await added(session, SignIn(**values))


async def a_token(session: AsyncSession, project: Project, caller: User) -> str:
    values = {"token_hash": uuid4().bytes, "hint": "hone_xxxx", "user_id": caller.id}
    return await added(session, ApiToken(name="example", **values))


async def a_link(session: AsyncSession, project: Project, caller: User) -> str:
    return "made-up"


async def an_invitation(session: AsyncSession, project: Project, caller: User) -> str:
    values = {"kind": LinkKind.invitation, "email": "somebody@example.org", "expires_at": func.now()}
    return await added(session, Link(token_hash=uuid4().bytes, project_id=project.id, **values))


async def a_letter(session: AsyncSession, project: Project, caller: User) -> str:
    about = {
        "project_id": project.id,
        "kind": Letter.message,
        "subject": "example",
        "text": "Hello.",
        "by_id": caller.id,
    }
    return await added(session, InboxItem(user_id=caller.id, **about))


async def a_sign(session: AsyncSession, project: Project, caller: User) -> str:
    return "fast"


async def a_prompt(session: AsyncSession, project: Project, caller: User) -> str:
    return str((await make.prompt(session, project)).public_id)


async def a_medium(session: AsyncSession, project: Project, caller: User) -> str:
    return str((await make.medium(session, project)).public_id)


async def a_file(session: AsyncSession, project: Project, caller: User) -> str:
    return str((await make.medium(session, project)).sha256)


async def an_import(session: AsyncSession, project: Project, caller: User) -> str:
    report = ImportReport().model_dump(mode="json")
    return await added(session, Import(project_id=project.id, name="example.jsonl", report=report))


async def a_checkpoint(session: AsyncSession, project: Project, caller: User) -> str:
    return str((await make.checkpoint(session, project_id=project.id)).public_id)


async def a_completion(session: AsyncSession, project: Project, caller: User) -> str:
    return str((await make.completion(session, await make.prompt(session, project))).public_id)


async def a_generation(session: AsyncSession, project: Project, caller: User) -> str:
    checkpoint = await make.checkpoint(session, project_id=project.id)
    values = {"checkpoint_id": checkpoint.id, "n": 2, "sampling": SAMPLING, "seed": 1, "wanted": 2}
    return await added(session, Generation(project_id=project.id, **values))


async def a_task(session: AsyncSession, project: Project, caller: User) -> str:
    return str((await make.task(session, project, await default_of(session, Batch, project))).public_id)


async def an_audience(session: AsyncSession, project: Project, caller: User) -> str:
    number = 1 + (await session.scalar(select(func.count()).select_from(Audience)) or 0)
    return await added(session, Audience(project_id=project.id, number=number, name=f"example {number}"))


async def a_rework(session: AsyncSession, project: Project, caller: User) -> str:
    values = {"selection": {}, "does": "reopen", "reason": "example", "through": 0, "by_id": caller.id}
    return await added(session, Rework(project_id=project.id, state=ReworkState.done, **values))


async def an_inquiry(session: AsyncSession, project: Project, caller: User) -> str:
    task = await make.task(session, project, await default_of(session, Batch, project))
    values = {"answer": "So.", "answered_at": func.now()}
    asker = await make.user(session)
    return await added(
        session, Inquiry(project_id=project.id, task_id=task.id, asker_id=asker.id, words="How?", **values)
    )


async def a_ruling(session: AsyncSession, project: Project, caller: User) -> str:
    asked = await session.scalar(
        select(Inquiry.id).where(Inquiry.public_id == await an_inquiry(session, project, caller))
    )
    values = {"question": "How?", "markdown": "So.", "html": "<p>So.</p>", "by_id": caller.id}
    return await added(session, Ruling(project_id=project.id, inquiry_id=asked, **values))


async def a_report(session: AsyncSession, project: Project, caller: User) -> str:
    task = await make.task(session, project, await default_of(session, Batch, project))
    return await added(session, Report(project_id=project.id, task_id=task.id, annotator_id=caller.id))


async def an_annotation(session: AsyncSession, project: Project, caller: User) -> str:
    """One of the caller's own."""
    task = await make.task(session, project, await default_of(session, Batch, project))
    slot = (await session.scalars(select(Slot).where(Slot.task_id == task.id))).one()
    protocol = await default_of(session, Protocol, project)
    guidelines = await default_of(session, Guidelines, project)
    values = {
        "task_id": task.id,
        "slot_id": slot.id,
        "annotator_id": caller.id,
        "idempotency_key": task.public_id,
        "body_hash": b"",
        "kind": "comparison",
        "body": {"kind": "comparison", "outcome": "tie"},
        "sides": [0, 1],
        "protocol_id": protocol.id,
        "guidelines_id": guidelines.id,
    }
    return await added(session, Annotation(project_id=project.id, **values))


async def a_contest(session: AsyncSession, project: Project, caller: User) -> str:
    """About an answer of somebody else."""
    said = UUID(await an_annotation(session, project, await make.user(session)))
    about = await session.scalar(select(Annotation.id).where(Annotation.public_id == said))
    return await added(session, Contest(project_id=project.id, annotation_id=about, words="example"))


async def a_number(session: AsyncSession, project: Project, caller: User) -> str:
    return "1"


async def a_dataset(session: AsyncSession, project: Project, caller: User) -> str:
    return await added(session, Dataset(project_id=project.id, name="example", question={}))


async def a_run(session: AsyncSession, project: Project, caller: User) -> str:
    base = await make.checkpoint(session, project_id=project.id)
    values = {"name": "example", "method": Method.reward, "config": {}, "seed": 1, "base_id": base.id}
    return await added(session, Run(project_id=project.id, **values))


async def an_evaluation(session: AsyncSession, project: Project, caller: User) -> str:
    pair = [await make.checkpoint(session, project_id=project.id) for _one in range(2)]
    values = {
        "candidate_id": pair[0].id,
        "baseline_id": pair[1].id,
        "sampling": SAMPLING,
        "seed": 1,
        "prompts": 1,
        "k": 1,
    }
    return await added(session, Evaluation(project_id=project.id, **values))


async def a_play(session: AsyncSession, project: Project, caller: User) -> str:
    """One of the caller's own."""
    values = {"messages": of_user("Hello"), "sampling": SAMPLING, "seed": 1, "n": 1, "owner_id": caller.id}
    return await added(session, Play(project_id=project.id, **values))


async def a_schedule(session: AsyncSession, project: Project, caller: User) -> str:
    return await added(session, Schedule(project_id=project.id, name="example", trigger=Trigger.answers, every=500))


# Path parameter → a row of `project` that `caller` would reach if they may: its text in the address.
Example = Callable[[AsyncSession, Project, User], Awaitable[str]]
EXAMPLES: dict[str, Example] = {
    "project": a_project,
    "batch": a_batch,
    "member": a_member,
    "audience": an_audience,
    "person": a_person,
    "sign_in": a_sign_in,
    "token": a_token,
    "link": a_link,
    "invitation": an_invitation,
    "prompt": a_prompt,
    "medium": a_medium,
    "sha256": a_file,
    "import": an_import,
    "record": an_import,
    "checkpoint": a_checkpoint,
    "completion": a_completion,
    "generation": a_generation,
    "task": a_task,
    "annotation": an_annotation,
    "report": a_report,
    "contest": a_contest,
    "rework": a_rework,
    "inquiry": an_inquiry,
    "ruling": a_ruling,
    "number": a_number,
    "dataset": a_dataset,
    "run": a_run,
    "evaluation": an_evaluation,
    "play": a_play,
    "schedule": a_schedule,
    "letter": a_letter,
    "sign": a_sign,
}
