"""Protocol presets: every value has its source, the page of them is up to date, and choosing one sets its values."""

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from app.annotations.kinds import OnScreen, blocks_of
from app.projects.actions import change_protocol, create_project
from app.projects.forms import NewProject
from app.projects.presets import PRESETS, Preset, values_of
from app.projects.presets.base import flowing
from app.projects.presets.table import PAGE, WORDS, with_table
from app.projects.protocols import (
    CombinedProtocol,
    ComparisonProtocol,
    ConversationProtocol,
    RankingProtocol,
    RatingProtocol,
    protocol_of,
)
from app.projects.purposes import PURPOSES
from app.projects.queries import default_batch, newest_guidelines, newest_protocol
from app.projects.rules import Recipe
from app.projects.tables import Protocol
from tests import make

every_preset = pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)


def part(preset: Preset, kind: type):
    """The part of this kind."""
    protocol = preset.protocol
    parts = protocol.parts if isinstance(protocol, CombinedProtocol) else (protocol,)
    return next(one for one in parts if isinstance(one, kind))


def test_there_is_one_for_each_study_that_was_asked_for() -> None:
    asked = "hh llama2 instructgpt summarize helpsteer2 helpsteer3 sparrow prism arena"
    assert list(PRESETS) == asked.split()


@every_preset
def test_every_value_has_a_source_and_no_source_stands_for_nothing(preset: Preset) -> None:
    said = values_of(preset)
    assert set(said) == set(preset.sources)
    assert set(said) <= set(WORDS)
    ours = {name for name, source in preset.sources.items() if source.startswith(("ours", "not"))}
    assert set(preset.checked) <= set(said) - ours
    assert all(len(source) > 10 for source in preset.sources.values())
    assert preset.protocol.preset == preset.key
    assert len(preset.guidelines) > 300


@every_preset
def test_a_preset_reads_back_from_what_is_stored(preset: Preset) -> None:
    stored = preset.protocol.as_json()
    assert protocol_of(stored) == preset.protocol
    assert protocol_of(protocol_of(stored).as_json()).gold_share == preset.protocol.gold_share


@every_preset
def test_the_annotate_page_can_draw_each_part(preset: Preset) -> None:
    shown = [OnScreen("ABCDEFGHI"[n], f"h{n}", "<p>text</p>") for n in range(preset.protocol.completions or 0)]
    _title, blocks = blocks_of(preset.protocol, shown)
    parts = preset.protocol.parts if isinstance(preset.protocol, CombinedProtocol) else (preset.protocol,)
    assert [block["kind"] for block in blocks] == [one.kind for one in parts]


def test_what_the_studies_are_known_for() -> None:
    """The figures of reference/annotation.md, section 3, once more by hand."""
    scales = {
        key: part(PRESETS[key], ComparisonProtocol).scale for key in PRESETS if key not in ("instructgpt", "prism")
    }
    assert scales == {
        "hh": 8,
        "llama2": 8,
        "summarize": 9,
        "helpsteer2": 6,
        "helpsteer3": 7,
        "sparrow": 2,
        "arena": 2,
    }
    assert {key: one.k for key, one in PRESETS.items() if one.k > 1} == {"helpsteer2": 3, "helpsteer3": 3}
    assert {key: one.protocol.completions for key, one in PRESETS.items() if one.protocol.completions != 2} == {
        "instructgpt": 4,
        "prism": 0,
    }
    assert not part(PRESETS["hh"], ComparisonProtocol).ties
    assert part(PRESETS["helpsteer2"], ComparisonProtocol).neither_valid
    assert [one.scale for one in part(PRESETS["helpsteer2"], RatingProtocol).criteria] == ["grade"] * 5
    assert len(part(PRESETS["instructgpt"], RatingProtocol).flags) == 11
    assert part(PRESETS["instructgpt"], RatingProtocol).criteria[0].most == 7
    assert part(PRESETS["instructgpt"], RankingProtocol).ties
    chat = part(PRESETS["prism"], ConversationProtocol)
    assert ([chat.answers_at(turn) for turn in (1, 2, 3)], chat.later, chat.asks) == ([4, 2, 2], "winner", "scores")
    slider = chat.asked_of(4).criteria[0]
    assert (slider.least, slider.most, slider.low, slider.high) == (1, 100, "terrible", "perfect")
    assert 0.1 <= PRESETS["summarize"].protocol.gold_share <= 0.2


def test_a_paragraph_of_guidelines_is_one_line_and_a_list_stays_a_list() -> None:
    assert flowing("One\ntwo.\n\n- a\n  b\n- c\n1. d\ne\n# f\n") == "One two.\n\n- a b\n- c\n1. d e\n# f\n"
    assert all(preset.guidelines == flowing(preset.guidelines) for preset in PRESETS.values())


def test_the_page_of_presets_is_up_to_date() -> None:
    written = PAGE.read_text()
    assert written == with_table(written), "run python -m app.projects.presets.table"
    assert all(f"`{key}`" in written for key in PRESETS)


@every_preset
async def test_choosing_one_sets_all_of_it(session: AsyncSession, preset: Preset) -> None:
    project = await create_project(session, NewProject(name="x", preset=preset.key), None)
    assert (await newest_protocol(session, project.id)).body == preset.protocol.as_json()
    batch = await default_batch(session, project.id)
    assert batch.k == preset.k
    assert Recipe.model_validate(batch.recipe).entries[0].same_checkpoint is not preset.mixed
    assert (await newest_guidelines(session, project.id)).markdown == preset.guidelines


def test_values_that_are_given_stand_before_the_presets() -> None:
    form = NewProject(name="x", preset="helpsteer2", k=1, guidelines="Ours.")
    assert (form.k, form.guidelines, form.protocol) == (1, "Ours.", PRESETS["helpsteer2"].protocol)


async def test_a_change_is_a_new_version_and_the_old_one_stays_as_it_was(session: AsyncSession) -> None:
    preset = PRESETS["summarize"]
    project = await create_project(session, NewProject(name="x", preset=preset.key), None)
    first = await newest_protocol(session, project.id)
    changed = protocol_of(preset.protocol.as_json() | {"gold_share": 0.2})
    second = await change_protocol(session, project.id, changed, None, seen=1)
    assert (second.version, second.body["gold_share"], second.body["preset"]) == (2, 0.2, "summarize")
    assert (await session.get_one(Protocol, first.id)).body == preset.protocol.as_json()


async def test_over_rest_a_preset_is_one_word(client: httpx.AsyncClient, session: AsyncSession) -> None:
    token = await make.api_token(session, await make.user(session, is_admin=True))
    client.headers["Authorization"] = f"Bearer {token}"
    made = await client.post("/api/v1/projects", json={"name": "x", "preset": "helpsteer2"})
    assert made.status_code == 201
    assert (made.json()["k"], made.json()["protocol"]["body"]["preset"]) == (3, "helpsteer2")
    refused = await client.post("/api/v1/projects", json={"name": "x", "preset": "helpster"})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "preset")
    assert "helpsteer2" in refused.text


def test_the_page_names_the_study_under_each_purpose() -> None:
    rows = PAGE.read_text().lower()
    for purpose in PURPOSES.values():
        assert f"| {purpose.name.lower()} | `{purpose.preset.key}` |" in rows
