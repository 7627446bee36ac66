from pathlib import Path

import pytest
from sqlalchemy import func, select

from app import database
from app.importing import CannotImport, Subject, bring, in_lines
from app.prompts.tables import Prompt
from tests import make


@pytest.mark.committed
async def test_a_file_comes_in_from_the_command_line_with_a_report(committed: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    file.write_text('{"prompt": "How tall is an oak?"}\n{"prompt": 5}\n')
    async with database.transaction() as session:
        await make.project(session, name="By hand")
    dry = await bring("By hand", file, Subject.prompts, dry_run=True)
    assert in_lines(dry)[-1].endswith("(nothing was kept: dry run)")
    done = await bring("By hand", file, Subject.prompts, dry_run=False)
    assert in_lines(done) == [
        "2: refused: prompt: this is not text",
        "1 new, 0 identical, 0 conflicting, 1 refused",
    ]
    async with database.transaction() as session:
        assert await session.scalar(select(func.count()).select_from(Prompt)) == 1
    with pytest.raises(CannotImport, match="No project is called “Nothing”"):
        await bring("Nothing", file, Subject.prompts, dry_run=False)
    with pytest.raises(CannotImport, match="No such file"):
        await bring("By hand", tmp_path / "absent", Subject.prompts, dry_run=False)
