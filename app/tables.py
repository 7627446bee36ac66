"""Every chapter's tables in story order, for Alembic, the application and the workers."""

from app import events, sealing
from app.accounts import tables as accounts
from app.annotations import tables as annotations
from app.checkpoints import tables as checkpoints
from app.completions import tables as completions
from app.database import Base
from app.datasets import tables as datasets
from app.evaluation import tables as evaluation
from app.jobs import tables as jobs
from app.loop import tables as loop
from app.media import tables as media
from app.playground import tables as playground
from app.projects import tables as projects
from app.prompts import tables as prompts
from app.quality import tables as quality
from app.tasks import tables as tasks
from app.training import tables as training

# named, so that whoever imports this module knows every table
CHAPTERS = (
    *(jobs, accounts, events, sealing, projects, media, prompts, checkpoints, completions, tasks, annotations, quality),
    *(datasets, training, evaluation, playground, loop),
)

metadata = Base.metadata
