"""A page with every part once, for tests to draw and for eyes to look at."""

import math
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace

from jinja2 import ChoiceLoader, Environment, FileSystemLoader

from app.markup import render_markdown, render_source

TEXT = """Water it the day before, then tip the pot.

- Water **first**
- Loosen with `fingers`

> quick

| pot | size |
|:----|-----:|
| a   |    1 |

```python
repot(fern)
```"""


def add_to(env: Environment) -> None:
    """Let `env` find guide.html beside its own templates."""
    assert env.loader is not None
    env.loader = ChoiceLoader([env.loader, FileSystemLoader(Path(__file__).parent)])


def context(attacks: str = "") -> dict[str, object]:
    """What the guide's parts show, apart from what every page has."""
    falling = [(step * 10, 0.3 + 0.65 * math.exp(-step / 30) + 0.03 * math.sin(step * 1.7)) for step in range(100)]
    return {
        "curve": falling,
        "curve2": [(step * 100, 0.35 + 0.55 * math.exp(-step / 3)) for step in range(10)],
        "days": [date(2026, 11, day) for day in range(17, 22)],
        "when": datetime(2026, 11, 21, 4, 12, tzinfo=UTC),
        "project": SimpleNamespace(name="Helpful assistant", public_id="x"),
        "rendered": render_markdown(TEXT) + attacks,
        "source": render_source(TEXT),
    }
