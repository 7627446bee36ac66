"""The table of docs/protocols.md, made from the presets: `python -m app.projects.presets.table` writes it anew."""

from pathlib import Path

from app.projects.presets.all import PRESETS
from app.projects.presets.base import Preset, values_of

PAGE = Path(__file__).parents[3] / "docs" / "protocols.md"
BEGIN, END = "<!-- made by app.projects.presets.table -->\n", "<!-- until here -->\n"
WORDS = {
    "asked": "What is asked",
    "completions": "Answers a task",
    "scale": "Scale",
    "outcomes": "Beside a preference",
    "criteria": "Criteria",
    "flags": "Flags",
    "turns": "Turns",
    "cards": "Cards",
    "later": "After the first turn",
    "closing": "Closing questions",
    "order": "Order",
    "overlap": "People a task",
    "gold_share": "Share of known answers",
    "pairing": "Pairing",
    "guidelines": "Guidelines",
}


def section_of(preset: Preset) -> str:
    rows = [
        f"| {WORDS[name]} | {cell(value)} | {cell(preset.sources[name])} | {'yes' if name in preset.checked else '–'} |"
        for name, value in values_of(preset).items()
    ]
    differs = [f"- {said}" for said in preset.departs]
    head = [f"### `{preset.key}`: {preset.name}", "", f"{preset.study}. {preset.about}", ""]
    table = ["| value | here | source | checked |", "|---|---|---|---|", *rows, ""]
    return "\n".join([*head, *table, "What the study does that this preset does not:", "", *differs, ""])


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def overview() -> str:
    """One line a preset."""
    lines = ["| preset | asked | answers | scale, criteria | people | known |", "|---|---|---|---|---|---|"]
    for key, preset in PRESETS.items():
        said = values_of(preset)
        asked = "; ".join(said[name] for name in ("scale", "outcomes", "order", "criteria", "closing") if name in said)
        flags = f"; {len(said['flags'].split(', '))} flags" if "flags" in said else ""
        row = (f"`{key}`", said["asked"], said["completions"], asked + flags, said["overlap"], said["gold_share"])
        lines.append(f"| {' | '.join(map(cell, row))} |")
    return "\n".join([*lines, ""])


def made() -> str:
    return "\n".join([overview(), *(section_of(preset) for preset in PRESETS.values())])


def with_table(page: str) -> str:
    """The page with what stands between the marks made anew."""
    before, _begin, rest = page.partition(BEGIN)
    _old, _end, after = rest.partition(END)
    return f"{before}{BEGIN}\n{made()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(with_table(PAGE.read_text()))
