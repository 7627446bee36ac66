"""An answer that introduces itself by name is shown without the name: whoever judges must not know which model it is.

Only what is shown is covered. The stored text stays as it was written, and trainers and exports read that.
"""

import re
from collections.abc import Iterable

COVER = "█"
LENGTH = 5  # of a cover where places in the text do not matter: its length tells nothing
REACH = 240  # characters behind “I am” in which a name belongs to it

# how somebody begins to say who they are, in the languages that models introduce themselves in
INTRODUCES = re.compile(
    r"\b(?:I am|I['’]m|I was (?:made|trained|built|created|developed)|my name(?: is|['’]s)|call me"
    r"|my (?:makers|creators)|as an? (?:AI|artificial|large|language|assistant|chatbot)"
    r"|(?:talking|chatting|speaking) (?:to|with)|ich bin|ich heiße|mein name ist|je suis|je m['’]appelle|soy|me llamo"
    r"|sono|mi chiamo|eu sou|ik ben|jestem|меня зовут|ben bir)\b|我是|我叫|私は|저는",
    re.IGNORECASE,
)
KNOWN = (
    r"chat ?gpt|gpt[- ]?\d[\w.-]*|gpt|openai|open ?assistant|claude|anthropic|gemini|gemma|bard|lamda|palm ?\d?"
    r"|deepmind|google(?: ai)?|llama[- ]?[\d.]*|meta ai|mistral(?: ai)?|mixtral|le chat|qwen[\d.]*|tongyi(?: qianwen)?"
    r"|alibaba(?: cloud)?|deepseek(?:[- ]?[vr]\d[\w.-]*)?|grok|xai|copilot|microsoft|bing(?: chat)?|sydney|cohere"
    r"|command[- ]r\+?|phi-\d[\w.-]*|vicuna|alpaca|falcon|kimi|moonshot(?: ai)?|ernie(?: bot)?|baidu|inflection|zephyr"
    r"|olmo|tulu|nemotron|nvidia|stablelm|stability ai|baichuan|chatglm|zhipu(?: ai)?|doubao|bytedance|hunyuan|yi-\d+b"
    r"|jamba|ai21(?: labs)?"
)
UNPARTED = r"文心一言|通义千问|豆包|混元|智谱|百度|阿里云"  # in scripts that part no words
# words of names that say nothing
PLAIN = frozenset("base chat demo instruct model policy reward bundled small large tiny final test".split())  # noqa: SIM905
PIECE = re.compile(r"[^\W\d_]{4,}")  # words of a model's name


def blinded(text: str, names: Iterable[str | None] = (), *, keep_places: bool = False) -> str:
    """The text as it is shown: names in a self-introduction covered, and the model's own name wherever it stands.

    names: of the model that wrote it (a checkpoint's name, the name its server knows it by). A name that is a plain
    word (“demo”) is covered only where the text introduces itself. keep_places: covers are as long as what they cover,
    so that places in the text stay what they are.
    """
    own = {name.strip() for name in names if name and len(name.strip()) > 3}
    cover = (lambda found: COVER * len(found.group())) if keep_places else (lambda _found: COVER * LENGTH)
    whole = [re.escape(name) for name in own if re.search(r"\d", name) and re.search(r"[^\W\d]", name)]
    pieces = [re.escape(one) for name in own for one in PIECE.findall(name) if one.lower() not in PLAIN]
    if whole:
        text = re.sub(any_of(whole), cover, text, flags=re.IGNORECASE)
    if INTRODUCES.search(text) is None:
        return text
    named = re.compile(any_of([*sorted({*whole, *pieces}, key=len, reverse=True), KNOWN]), re.IGNORECASE)
    shown, done = [], 0
    for begun in INTRODUCES.finditer(text):
        start, end = max(done, begun.start()), sentence_end(text, begun.end())
        if end <= start:
            continue
        shown += [text[done:start], named.sub(cover, text[start:end])]
        done = end
    return "".join((*shown, text[done:]))


def any_of(patterns: list[str]) -> str:
    """One of them as a word of its own."""
    return rf"(?<![^\W\d_])(?:{'|'.join(patterns)})(?![^\W\d_])|{UNPARTED}"


ENDS = re.compile(r"[.!?](?=\s|$)|[\n。！？]")


def sentence_end(text: str, start: int) -> int:
    """Where the sentence that goes on at `start` ends; no further than `REACH` characters on."""
    found = ENDS.search(text, start, min(len(text), start + REACH))
    return found.end() if found else min(len(text), start + REACH)
