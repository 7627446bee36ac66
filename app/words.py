"""`make words`: collects every sentence for people and brings the catalogues below locale/ up to date.

A sentence that is new stands in a catalogue without a translation, one that is gone leaves it; nothing is guessed from
similar ones. tests/app/test_words.py says what is missing.
"""

import re
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

from app.translation import LANGUAGES, SOURCE, po_file

ROOT = Path(__file__).resolve().parent.parent
SOURCES = (("app", "*.py"), ("workers", "*.py"), ("templates", "*.html"))
KEYWORDS: dict[str, tuple[int, ...] | None] = {"_": None, "ngettext": (1, 2)}
METHODS = {".py": "python", ".html": "jinja2"}
JINJA = {"extensions": "jinja2.ext.do", "silent": "false", "trim_blocks": "true", "lstrip_blocks": "true"}
NEEDED = (b"Language:", b"Plural-Forms:", b"MIME-Version:", b"Content-")
HEADER = re.compile(rb'^"([A-Z][A-Za-z-]+:)[^"]*"\n', re.MULTILINE)


def sentences_of(path: Path) -> Iterator[str | tuple[str, ...]]:
    """Every marked sentence of a file; those with a count as (one, many)."""
    method, options = METHODS[path.suffix], JINJA if path.suffix == ".html" else {}
    for _line, said, _comments, _context in extract_from_file(method, path, KEYWORDS, options=options):
        yield said


def collected() -> Catalog:
    """All sentences, in the order of their files, each with the files that say it."""
    found = Catalog(project="Hone", charset="utf-8", fuzzy=False)
    for folder, pattern in SOURCES:
        for path in sorted((ROOT / folder).rglob(pattern)):
            for said in sentences_of(path):
                found.add(said, locations=[(path.relative_to(ROOT).as_posix(), 1)])
    return found


def catalogue_with(language: str, all_sentences: Catalog) -> bytes:
    """The text of a language's catalogue with exactly these sentences; translations that are there stay."""
    file = po_file(language)
    there = read_po(BytesIO(file.read_bytes()), locale=language) if file.exists() else Catalog(locale=language)
    there.update(all_sentences, no_fuzzy_matching=True)
    there.obsolete.clear()
    there.fuzzy = False
    there.header_comment = f"# {LANGUAGES[language]}: what docs/words.md calls things. `make words` adds what is new."
    written = BytesIO()
    # no numbers of lines and no dates: a change elsewhere is no change here
    write_po(written, there, width=120, include_lineno=False, ignore_obsolete=True)
    head, gap, rest = written.getvalue().partition(b"\n\n")  # sentences may begin like a field of the head
    return HEADER.sub(lambda line: line[0] if line[1].startswith(NEEDED) else b"", head) + gap + rest


def main() -> None:
    all_sentences = collected()
    for language in LANGUAGES:
        if language != SOURCE:
            po_file(language).parent.mkdir(parents=True, exist_ok=True)
            written = catalogue_with(language, all_sentences)
            po_file(language).write_bytes(written)
            missing = [said for said in read_po(BytesIO(written)) if not any(said.string or ())]
            sys.stdout.write(f"{language}: {len(missing)} of {len(all_sentences)} sentences to translate\n")


if __name__ == "__main__":
    main()
