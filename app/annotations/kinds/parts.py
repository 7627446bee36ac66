"""Every kind that can stand alone or be a part of a combined one: a new kind is a line here."""

from typing import Annotated, get_args

from app.annotations.kinds.base import BodyForm
from app.annotations.kinds.comparison import ComparisonBody
from app.annotations.kinds.conversation import ConversationForm
from app.annotations.kinds.demonstration import DemonstrationForm
from app.annotations.kinds.prompt import PromptForm
from app.annotations.kinds.questions import QuestionsForm
from app.annotations.kinds.ranking import RankingForm
from app.annotations.kinds.rating import RatingForm
from app.annotations.kinds.rewrite import RewriteForm
from app.unions import by_kind, tag

Single = (
    Annotated[ComparisonBody, tag("comparison")]
    | Annotated[QuestionsForm, tag("questions")]
    | Annotated[RankingForm, tag("ranking")]
    | Annotated[RatingForm, tag("rating")]
    | Annotated[RewriteForm, tag("rewrite")]
    | Annotated[DemonstrationForm, tag("demonstration")]
    | Annotated[PromptForm, tag("prompt")]
    | Annotated[ConversationForm, tag("conversation")]
)
PartBody = Annotated[Single, by_kind()]
PARTS: dict[str, type[BodyForm]] = {
    get_args(one.__origin__.model_fields["kind"].annotation)[0]: one.__origin__ for one in get_args(Single)
}
