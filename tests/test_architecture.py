"""Who may import whom, where a transaction ends, and how long a file may be: the house rules as sentences that fail.

Each rule is a function over the modules of a tree; below the real tree, each is shown a toy tree that breaks it.
"""

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STORY = [
    "jobs",
    "accounts",
    "projects",
    "media",
    "prompts",
    "checkpoints",
    "completions",
    "tasks",
    "annotations",
    "quality",
    "preferences",
    "datasets",
    "training",
    "evaluation",
    "playground",
    "loop",
    "oversight",
]
LEAVES = ("routes", "api")
OPEN_TO_WORKERS = {
    "app.checkpoints.rules",
    "app.datasets.records",
    "app.preferences.formula",
    "app.preferences.groups",
    "app.training.configs",
    "app.translation",
    "app.version",
}
COMMITS = {"app/database.py", "workers/running.py"}
STATEMENTS = {"select", "insert", "update", "delete"}
HEAVY = ("torch", "transformers", "pyarrow", "scipy", "PIL", "numpy", "pandas", "workers")
LONGEST = 300


@dataclass(frozen=True)
class Module:
    path: str  # app/tasks/actions.py
    source: str

    @property
    def name(self) -> str:
        """app.tasks.actions; a package has the name of its folder."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source, self.path)

    @property
    def parts(self) -> list[str]:
        return self.name.split(".")

    @property
    def chapter(self) -> str | None:
        return chapter_of(self.name)

    @property
    def is_leaf(self) -> bool:
        return is_leaf(self.name)

    @cached_property
    def imports(self) -> list[str]:
        """Full names, `from a import b` as a.b: whether b is a module or a function, a is its beginning."""
        return [name for node in ast.walk(self.tree) for name in imported(node, self.name)]

    @cached_property
    def needs(self) -> list[str]:
        """Imports that happen: without those under `if TYPE_CHECKING`, which only name types."""
        named = {node for block in self.tree.body if is_for_types(block) for node in ast.walk(block)}
        return [name for node in ast.walk(self.tree) if node not in named for name in imported(node, self.name)]


def is_for_types(block: ast.stmt) -> bool:
    return isinstance(block, ast.If) and ast.unparse(block.test).endswith("TYPE_CHECKING")


def imported(node: ast.AST, importer: str) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        start = node.module or ""
        if node.level:
            start = ".".join([*importer.split(".")[: -node.level], *([node.module] if node.module else [])])
        return [f"{start}.{alias.name}" for alias in node.names]
    return []


def chapter_of(name: str) -> str | None:
    first, _, rest = name.partition(".")
    second = rest.partition(".")[0]
    return second if first == "app" and second in STORY else None


def is_leaf(name: str) -> bool:
    """app.tasks.routes, app.accounts.routes.people, app.tasks.api."""
    return chapter_of(name) is not None and name.split(".")[2:3] != [] and name.split(".")[2] in LEAVES


def within(name: str, *starts: str) -> bool:
    return any(name == start or name.startswith(start + ".") for start in starts)


def modules_below(root: Path) -> list[Module]:
    files = [path for folder in ("app", "workers") for path in sorted((root / folder).rglob("*.py"))]
    return [Module(path.relative_to(root).as_posix(), path.read_text()) for path in files]


# ---- the rules ------------------------------------------------------------------------------------------------------


def app_stays_light(modules: list[Module]) -> Iterator[str]:
    """Rule 1: app never imports torch, transformers, peft or workers."""
    for module in modules:
        for name in module.imports:
            if module.parts[0] == "app" and within(name, "torch", "transformers", "peft", "workers"):
                yield f"{module.path} imports {name}: app runs without it"


def story_goes_on(modules: list[Module]) -> Iterator[str]:
    """Rule 2: imports run backwards along the story."""
    for module in modules:
        if module.chapter is None or module.is_leaf:
            continue
        for name in module.imports:
            there = chapter_of(name)
            if there and STORY.index(there) > STORY.index(module.chapter):
                yield f"{module.path} looks ahead to {name}"


def imports_stand_on_top(modules: list[Module]) -> Iterator[str]:
    """Rule 2: no imports inside functions; only a `__main__` that is many programs loads the one that was asked for."""
    for module in modules:
        if module.path.endswith("__main__.py"):
            continue
        for function in ast.walk(module.tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.Import | ast.ImportFrom):
                        yield f"{module.path}:{node.lineno} imports inside {function.name}()"


def no_cycles(modules: list[Module]) -> Iterator[str]:
    """Rule 2: no two modules need each other, directly or around corners."""
    names = {module.name for module in modules}
    needs = {
        module.name: {target for name in module.needs if (target := module_behind(name, names)) is not None}
        - {module.name}
        for module in modules
    }
    done: set[str] = set()

    def walk(name: str, trail: tuple[str, ...]) -> Iterator[str]:
        if name in trail:
            yield "a circle of imports: " + " → ".join([*trail[trail.index(name) :], name])
        elif name not in done:
            for following in sorted(needs[name]):
                yield from walk(following, (*trail, name))
            done.add(name)

    for name in sorted(needs):
        yield from walk(name, ())


def module_behind(name: str, names: set[str]) -> str | None:
    """The module that an imported name lives in: itself, or what stands before its last dot."""
    if name in names:
        return name
    parent = name.rpartition(".")[0]
    return parent if parent in names else None


def leaves_hang_on_main(modules: list[Module]) -> Iterator[str]:
    """Rule 3: only main imports routes and api (a leaf may be several files that share)."""
    for module in modules:
        for name in module.imports:
            if (
                is_leaf(name)
                and module.name != "app.main"
                and not (module.is_leaf and module.chapter == chapter_of(name))
            ):
                yield f"{module.path} imports {name}: only app/main.py may"


def leaves_do_not_ask(modules: list[Module]) -> Iterator[str]:
    """Rule 3: no statements in routes; questions live in queries.py, what happens in actions.py."""
    for module in modules:
        for node in ast.walk(module.tree) if module.is_leaf else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in STATEMENTS:
                yield f"{module.path}:{node.lineno} has {node.func.id}( in a route"


def actions_draw_nothing(modules: list[Module]) -> Iterator[str]:
    """Rule 3: what is behind a route knows no pages."""
    for module in modules:
        for name in module.imports:
            if module.chapter and not module.is_leaf and within(name, "app.pages", "app.main", "app.middleware"):
                yield f"{module.path} imports {name}: only routes draw pages"


def rules_are_arithmetic(modules: list[Module]) -> Iterator[str]:
    """rules.py: no database, no requests, nothing of the chapter's other files but forms."""
    for module in modules:
        if module.chapter is None or module.parts[2:3] != ["rules"]:
            continue
        for name in module.imports:
            inner = name.split(".")[2:3] if chapter_of(name) else []
            if within(name, "sqlalchemy", "psycopg", "fastapi", "starlette", "httpx", "app.database"):
                yield f"{module.path} imports {name}: rules are arithmetic"
            if inner and inner[0] in {"queries", "actions", "jobs", *LEAVES}:
                yield f"{module.path} imports {name}: rules are arithmetic"


def workers_keep_apart(modules: list[Module]) -> Iterator[str]:
    """Rule 5: training and sampling take a few files from app and no SQL; handlers take no routes or pages."""
    for module in modules:
        if module.parts[0] != "workers":
            continue
        pure = within(module.name, "workers.training", "workers.sampling")
        for name in module.imports:
            if pure and within(name, "app") and not within(name, *OPEN_TO_WORKERS):
                yield f"{module.path} imports {name}: of app it may use {', '.join(sorted(OPEN_TO_WORKERS))}"
            if pure and within(name, "sqlalchemy", "psycopg", "procrastinate", "workers.handlers"):
                yield f"{module.path} imports {name}: this half works on files"
            if is_leaf(name) or within(name, "app.pages", "app.main"):
                yield f"{module.path} imports {name}: workers draw no pages"


def one_commit(modules: list[Module]) -> Iterator[str]:
    """Rule 6: .commit() and .begin() stand in app/database.py and the workers' job wrapper only."""
    for module in modules:
        if module.path in COMMITS:
            continue
        own = {name.rpartition(".")[2] for name in module.imports}  # a function `begin` of a module is none of these
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            is_module = isinstance(node.func.value, ast.Name) and node.func.value.id in own
            if node.func.attr in {"commit", "begin"} and not is_module:
                yield f"{module.path}:{node.lineno} calls .{node.func.attr}()"


def packages_are_empty(modules: list[Module]) -> Iterator[str]:
    """Importing one file of a chapter must not load its others; a folder split by verb may only name its verbs."""
    for module in modules:
        if not module.path.endswith("__init__.py"):
            continue
        only_names = all(isinstance(node, ast.ImportFrom | ast.Assign | ast.Expr) for node in module.tree.body)
        if module.source.strip() and not (only_names and module.chapter and len(module.parts) > 2):
            yield f"{module.path} is not empty"


def files_are_short(modules: list[Module]) -> Iterator[str]:
    """A file that passes 300 lines is split by verb."""
    for module in modules:
        lines = len(module.source.splitlines())
        if lines > LONGEST:
            yield f"{module.path} has {lines} lines; {LONGEST} are the most"


RULES: list[Callable[[list[Module]], Iterator[str]]] = [
    app_stays_light,
    story_goes_on,
    imports_stand_on_top,
    no_cycles,
    leaves_hang_on_main,
    leaves_do_not_ask,
    actions_draw_nothing,
    rules_are_arithmetic,
    workers_keep_apart,
    one_commit,
    packages_are_empty,
    files_are_short,
]


@pytest.fixture(scope="module")
def house() -> list[Module]:
    """Read and parsed once for all rules."""
    return modules_below(ROOT)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_its_rules(rule: Callable[[list[Module]], Iterator[str]], house: list[Module]) -> None:
    broken = list(rule(house))
    assert not broken, "\n".join(broken)


def loaded_by(statement: str) -> set[str]:
    """Top-level packages in memory after a statement, in a fresh interpreter."""
    code = f"import sys; {statement}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(done.stdout.split())


def test_the_web_loads_nothing_heavy() -> None:
    assert loaded_by("import app.main") & set(HEAVY) == set()


def test_what_training_takes_from_app_brings_no_database_along() -> None:
    loaded = loaded_by(f"import {', '.join(sorted(OPEN_TO_WORKERS))}")
    assert loaded & {"torch", "sqlalchemy", "psycopg", "fastapi", "procrastinate"} == set()


# ---- each rule seen red ---------------------------------------------------------------------------------------------

SOUND = {
    "app/__init__.py": "",
    "app/main.py": "from app.accounts.routes import people\nfrom app.tasks import api, routes\n",
    "app/database.py": "async def done(session):\n    await session.commit()\n",
    "app/accounts/tables.py": "from app import database\n",
    "app/accounts/routes/shared.py": "",
    "app/accounts/routes/people.py": "from app.accounts.routes import shared\nfrom app.tasks import queries\n",
    "app/tasks/tables.py": "from app.accounts.tables import User\n",
    "app/tasks/queries.py": "from sqlalchemy import select\nfrom app.tasks import tables\nFOUND = select(1)\n",
    "app/tasks/rules.py": "import math\nimport numpy\n",
    "app/tasks/routes.py": "from app.pages import respond\nfrom app.tasks import queries\n",
    "app/tasks/api.py": "from app.tasks.queries import FOUND\nCHOSEN = dict().update(a=1)\n",
    "app/training/configs.py": "",
    "app/annotations/actions/__init__.py": "from app.annotations.actions.keeping import keep\n",
    "app/annotations/actions/keeping.py": "from app import cluster\n\n\ndef keep():\n    cluster.begin()\n",
    "app/prompts/forms.py": "import typing\nif typing.TYPE_CHECKING:\n    from app.prompts.tables import x\n",
    "app/prompts/tables.py": "from app.prompts.forms import y\n",
    "workers/__main__.py": "def sample():\n    import torch\n",
    "workers/handlers/tasks.py": "from app.tasks import queries\n",
    "workers/training/ppo.py": "import torch\nfrom app.training.configs import PPOConfig\n",
    "workers/running.py": "def run(session):\n    session.begin()\n",
}

PLANTED = [
    ("app/tasks/rules.py", "import torch", app_stays_light, "imports torch"),
    ("app/tasks/jobs.py", "from workers.handlers import tasks", app_stays_light, "imports workers"),
    ("app/accounts/actions.py", "from app.tasks.tables import Task", story_goes_on, "looks ahead to app.tasks"),
    ("app/jobs/queue.py", "from app.accounts import tables", story_goes_on, "looks ahead to app.accounts"),
    ("app/accounts/actions.py", "from ..tasks import tables", story_goes_on, "looks ahead to app.tasks"),
    ("app/tasks/actions.py", "def act():\n    import json", imports_stand_on_top, "imports inside act()"),
    (
        "app/accounts/tables.py",
        "from app.tasks.tables import Task",
        no_cycles,
        "app.accounts.tables → app.tasks.tables",
    ),
    ("app/tasks/actions.py", "from app.accounts.routes.people import x", leaves_hang_on_main, "only app/main.py"),
    ("app/tasks/actions.py", "from app.tasks import api", leaves_hang_on_main, "only app/main.py"),
    ("app/accounts/api.py", "from app.tasks.routes import x", leaves_hang_on_main, "only app/main.py"),
    ("app/tasks/routes.py", "FOUND = select(1)", leaves_do_not_ask, "select( in a route"),
    ("app/tasks/actions.py", "from app.pages import respond", actions_draw_nothing, "only routes draw pages"),
    ("app/tasks/rules.py", "from sqlalchemy import select", rules_are_arithmetic, "rules are arithmetic"),
    ("app/tasks/rules.py", "from app.accounts.queries import x", rules_are_arithmetic, "rules are arithmetic"),
    ("workers/training/ppo.py", "from app.settings import x", workers_keep_apart, "of app it may use"),
    ("workers/sampling/engine.py", "import sqlalchemy", workers_keep_apart, "works on files"),
    ("workers/handlers/tasks.py", "from app.tasks.routes import x", workers_keep_apart, "draw no pages"),
    ("app/tasks/actions.py", "async def f(s):\n    await s.commit()", one_commit, "calls .commit()"),
    ("workers/handlers/tasks.py", "def f(s):\n    s.begin()", one_commit, "calls .begin()"),
    ("app/tasks/__init__.py", "from app.tasks import tables", packages_are_empty, "is not empty"),
    ("app/tasks/actions/__init__.py", "def act():\n    pass", packages_are_empty, "is not empty"),
    ("app/tasks/actions.py", "x = 1\n" * 300, files_are_short, "has 301 lines"),
]


def planted(root: Path, files: dict[str, str]) -> list[Module]:
    for path, source in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(source)
    return modules_below(root)


def test_a_sound_toy_tree_breaks_no_rule(tmp_path: Path) -> None:
    modules = planted(tmp_path, SOUND)
    assert [sentence for rule in RULES for sentence in rule(modules)] == []


@pytest.mark.parametrize(("path", "source", "rule", "sentence"), PLANTED)
def test_a_planted_fault_is_named(
    tmp_path: Path, path: str, source: str, rule: Callable[[list[Module]], Iterator[str]], sentence: str
) -> None:
    found = list(rule(planted(tmp_path, SOUND | {path: source + "\n"})))
    assert found
    assert all(sentence in one for one in found), found


def test_every_rule_was_seen_red() -> None:
    assert {rule for _path, _source, rule, _sentence in PLANTED} == set(RULES)
