"""A root knows its component: all roots that are near to each other, over groups. Splits go by it."""

from collections import defaultdict
from typing import Any

import sqlalchemy as sa
from alembic import op

from app.prompts.rooting import Stand, components
from app.prompts.rules import first_user_turn, turn_of, words_of

revision = "0007"
down_revision = "0003"
branch_labels = None
depends_on = None

# Roots that share a band with another one of their project; all others are components of their own.
CANDIDATES = sa.text("""
    WITH shared AS (
        SELECT r.project_id, band FROM roots r CROSS JOIN unnest(r.bands) AS band
        GROUP BY r.project_id, band HAVING count(DISTINCT r.id) > 1
    )
    SELECT DISTINCT r.project_id, r.id, r.key, r.use, r.bands
    FROM roots r CROSS JOIN unnest(r.bands) AS of_root(band)
    JOIN shared s ON s.project_id = r.project_id AND s.band = of_root.band
    ORDER BY r.project_id, r.id
""")
TURNS = sa.text("SELECT root_id, messages FROM prompts WHERE root_id = ANY(:roots)")
JOIN = sa.text("UPDATE roots SET component = :component WHERE id = :id")


def upgrade() -> None:
    op.add_column("roots", sa.Column("component", sa.Text(), nullable=True))
    op.execute("UPDATE roots SET component = key")
    known: dict[int, list[Any]] = defaultdict(list)
    for row in op.get_bind().execute(CANDIDATES):
        known[row.project_id].append(row)
    for roots in known.values():
        join(roots)
    op.alter_column("roots", "component", nullable=False)
    op.create_index("ix_roots_project_id_component", "roots", ["project_id", "component"])


def join(roots: list[Any]) -> None:
    """Give the roots of one project, oldest first, the component that an import would have given them."""
    turns = defaultdict(set)
    for root_id, messages in op.get_bind().execute(TURNS, {"roots": [root.id for root in roots]}):
        turns[root_id].add(turn_of(words_of(first_user_turn(messages))))
    stands = [Stand(root.key, root.use, root.id, list(turns[root.id]), set(root.bands)) for root in roots]
    for stand, component in zip(stands, components(stands), strict=True):
        if component != stand.key:
            op.get_bind().execute(JOIN, {"component": component, "id": stand.id})


def downgrade() -> None:
    op.drop_index("ix_roots_project_id_component", "roots")
    op.drop_column("roots", "component")
