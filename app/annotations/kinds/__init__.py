"""What people and programs may say about a task: a tagged union by `kind`, a file each."""

from app.annotations.kinds.base import (
    LETTERS,
    AgainstTheProtocol,
    BodyForm,
    Choice,
    Fields,
    NotOneOfThese,
    OnScreen,
)
from app.annotations.kinds.combined import CombinedForm, KeptCombined
from app.annotations.kinds.comparison import ComparisonBody, KeptComparison
from app.annotations.kinds.conversation import ConversationForm, KeptConversation, KeptReply, KeptTurn, Led
from app.annotations.kinds.demonstration import DemonstrationForm, KeptDemonstration
from app.annotations.kinds.prompt import KeptPrompt, PromptForm, prompt_in
from app.annotations.kinds.questions import KeptQuestions, QuestionsForm
from app.annotations.kinds.ranking import KeptRanking, RankingForm
from app.annotations.kinds.rating import KeptRating, RatingForm
from app.annotations.kinds.rewrite import KeptRewrite, RewriteForm
from app.annotations.kinds.union import (
    Body,
    blocks_of,
    fields_from,
    fields_of,
    from_fields,
    in_words,
    read_kept,
    to_keep,
)

__all__ = [
    "LETTERS",
    "AgainstTheProtocol",
    "Body",
    "BodyForm",
    "Choice",
    "CombinedForm",
    "ComparisonBody",
    "ConversationForm",
    "DemonstrationForm",
    "Fields",
    "KeptCombined",
    "KeptComparison",
    "KeptConversation",
    "KeptDemonstration",
    "KeptPrompt",
    "KeptQuestions",
    "KeptRanking",
    "KeptRating",
    "KeptReply",
    "KeptRewrite",
    "KeptTurn",
    "Led",
    "NotOneOfThese",
    "OnScreen",
    "PromptForm",
    "QuestionsForm",
    "RankingForm",
    "RatingForm",
    "RewriteForm",
    "blocks_of",
    "fields_from",
    "fields_of",
    "from_fields",
    "in_words",
    "prompt_in",
    "read_kept",
    "to_keep",
]
