"""What is asked of people: a tagged union by `kind`, a file each."""

from app.projects.protocols.combined import CombinedProtocol
from app.projects.protocols.comparison import ComparisonProtocol
from app.projects.protocols.conversation import ConversationProtocol, Opening
from app.projects.protocols.demonstration import DemonstrationProtocol
from app.projects.protocols.prompt import Card, PromptProtocol
from app.projects.protocols.questions import QuestionsProtocol
from app.projects.protocols.ranking import RankingProtocol
from app.projects.protocols.rating import RatingProtocol
from app.projects.protocols.rewrite import RewriteProtocol
from app.projects.protocols.union import ProtocolBody, protocol_of

__all__ = [
    "Card",
    "CombinedProtocol",
    "ComparisonProtocol",
    "ConversationProtocol",
    "DemonstrationProtocol",
    "Opening",
    "PromptProtocol",
    "ProtocolBody",
    "QuestionsProtocol",
    "RankingProtocol",
    "RatingProtocol",
    "RewriteProtocol",
    "protocol_of",
]
