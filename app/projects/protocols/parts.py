"""Every protocol that can stand alone or be a part of a combined one: a new kind is a line here."""

from typing import Annotated

from app.projects.protocols.comparison import ComparisonProtocol
from app.projects.protocols.conversation import ConversationProtocol
from app.projects.protocols.demonstration import DemonstrationProtocol
from app.projects.protocols.prompt import PromptProtocol
from app.projects.protocols.questions import QuestionsProtocol
from app.projects.protocols.ranking import RankingProtocol
from app.projects.protocols.rating import RatingProtocol
from app.projects.protocols.rewrite import RewriteProtocol
from app.unions import by_kind, tag

Single = (
    Annotated[ComparisonProtocol, tag("comparison")]
    | Annotated[QuestionsProtocol, tag("questions")]
    | Annotated[RankingProtocol, tag("ranking")]
    | Annotated[RatingProtocol, tag("rating")]
    | Annotated[RewriteProtocol, tag("rewrite")]
    | Annotated[DemonstrationProtocol, tag("demonstration")]
    | Annotated[PromptProtocol, tag("prompt")]
    | Annotated[ConversationProtocol, tag("conversation")]
)
PartProtocol = Annotated[Single, by_kind()]
