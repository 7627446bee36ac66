"""What changed between two versions of the guidelines, block by block."""

import re

from app.markup import blocks_of
from app.projects.changes import changes

OLD = "# Aim\n\nBe fair.\n\n- short\n- true\n- kind\n\n```\ncode\n\nmore\n```\n"


def states(old: str, new: str) -> list[tuple[str, str]]:
    return [(one.state, " ".join(re.sub("<[^>]+>", " ", one.html).split())) for one in changes(old, new)]


def test_blocks_are_paragraphs_headings_entries_of_lists_and_whole_code() -> None:
    assert [one.text for one in blocks_of(OLD)] == [
        "# Aim",
        "Be fair.",
        "- short",
        "- true",
        "- kind",
        "```\ncode\n\nmore\n```",
    ]
    assert blocks_of("") == []


def test_only_what_changed_is_marked_and_what_is_gone_stands_in_its_place() -> None:
    new = OLD.replace("- true\n", "- true, with a source\n").replace("Be fair.\n\n", "") + "\nThe end.\n"
    assert states(OLD, new) == [
        ("same", "Aim"),
        ("gone", "Be fair."),
        ("same", "short"),
        ("gone", "true"),
        ("new", "true, with a source"),
        ("same", "kind code more"),
        ("new", "The end."),
    ]
    assert states(OLD, OLD) == [("same", "Aim Be fair. short true kind code more")]


def test_nested_lists_and_numbers_stay_with_their_entry() -> None:
    text = "1. one\n   - inner\n2. two\n\n> quoted\n>\n> twice\n"
    assert [one.text for one in blocks_of(text)] == ["1. one\n   - inner", "2. two", "> quoted\n>\n> twice"]
    assert '<ol start="2"' in changes("1. one\n2. two", "1. one\n2. three")[-1].html.replace(' dir="ltr"', "")
