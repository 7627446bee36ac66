"""An answer that introduces itself by name is shown without the name: whoever judges must not know which model it is.

Only what is shown is covered. The stored text stays as it was written, and trainers and exports read that.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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
PLAIN = frozenset(
    "base chat demo instruct model policy reward bundled small large tiny final test assistant baseline best candidate"  # noqa: SIM905
    " checkpoint current first helpful human latest people person reference second student teacher writer".split()
)
JOINED = re.compile(r"[-_./:]")  # stands inside names, and not between words
LETTERS = re.compile(r"[^\W\d_]+")
PIECE = re.compile(r"[^\W\d_]{4,}")  # words of a model's name


def blinded(text: str, names: Iterable[str | None] = (), *, keep_places: bool = False) -> str:
    """The text as it is shown: names in a self-introduction covered, and the model's own name wherever it stands.

    names: of the model that wrote it (a checkpoint's name, the name its server knows it by). A name that could be a
    word (“Claude”, “North Star”) is covered wherever it begins with a capital; one that says nothing (“demo”) only
    where the text introduces itself. keep_places: covers are as long as what they cover, so that places in the text
    stay what they are.
    """
    own = {name.strip() for name in names if name and len(name.strip()) > 3}

    def cover(found: re.Match[str]) -> str:
        return COVER * (len(found.group()) if keep_places else LENGTH)

    def cover_if_name(found: re.Match[str]) -> str:
        return found.group() if found.group()[0].islower() else cover(found)

    whole = [re.escape(name) for name in own if is_no_word(name)]
    words = [re.escape(name) for name in own if not is_no_word(name) and telling(name)]
    pieces = [re.escape(one) for name in own for one in telling(name)]
    if whole:
        text = re.sub(any_of(whole), cover, text, flags=re.IGNORECASE)
    if words:
        text = re.sub(any_of(words), cover_if_name, text, flags=re.IGNORECASE)
    if INTRODUCES.search(text) is None:
        return text
    every = any_of([*sorted({*whole, *pieces}, key=len, reverse=True), KNOWN])
    named = re.compile(f"{every}|{UNPARTED}", re.IGNORECASE)
    shown, done = [], 0
    for begun in INTRODUCES.finditer(text):
        start, end = max(done, begun.start()), sentence_end(text, begun.end())
        if end <= start:
            continue
        shown += [text[done:start], named.sub(cover, text[start:end])]
        done = end
    return "".join((*shown, text[done:]))


def blinded_parts(parts: Sequence[Mapping[str, Any]], names: Iterable[str | None]) -> list[dict[str, Any]]:
    """Parts of a completion as they are shown, each as long as it was: their texts are read as one."""
    shown = blinded("\n\n".join(part["text"] for part in parts if "text" in part), names, keep_places=True)
    found, place = [], 0
    for part in parts:
        if "text" not in part:
            found.append(dict(part))
            continue
        end = place + len(part["text"])
        found.append({**part, "text": shown[place:end]})
        place = end + 2
    return found


def any_of(patterns: list[str]) -> str:
    """One of them as a word of its own."""
    return rf"(?<![^\W\d_])(?:{'|'.join(patterns)})(?![^\W\d_])"


def is_no_word(name: str) -> bool:
    """Whether a name can be nothing else: it has a figure beside its letters, or is joined (“model-a”)."""
    letters = LETTERS.findall(name)
    is_joined = JOINED.search(name.strip("-_./:")) and any(word.lower() not in PLAIN for word in letters)
    return bool(letters and (is_joined or re.search(r"\d", name)))


def telling(name: str) -> list[str]:
    """Words of a name that say whose it is."""
    return [one for one in PIECE.findall(name) if one.lower() not in PLAIN]


ENDS = re.compile(r"[.!?](?=\s|$)|[\n。！？]")


def sentence_end(text: str, start: int) -> int:
    """Where the sentence that goes on at `start` ends; no further than `REACH` characters on."""
    found = ENDS.search(text, start, min(len(text), start + REACH))
    return found.end() if found else min(len(text), start + REACH)
