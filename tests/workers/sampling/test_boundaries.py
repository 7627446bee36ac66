import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]


def imported(file):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def test_sampling_knows_no_tables_and_of_the_application_only_two_contracts_and_how_sentences_are_marked():
    allowed = ("app.translation._", "app.training.configs", "app.datasets.records")
    for file in (ROOT / "workers" / "sampling").glob("*.py"):
        for name in imported(file):
            assert not name.startswith(("sqlalchemy", "psycopg")), f"{file.name} imports {name}"
            assert not name.startswith("app") or name.startswith(allowed), f"{file.name} imports {name}"


def test_the_client_of_endpoints_loads_no_torch():
    code = "import sys, workers.sampling.remote; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0
