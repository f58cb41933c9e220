"""Fingerprints change with the code behind a script, and with nothing else."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from interneuron.errors import InputError
from interneuron.workflow import fingerprint
from interneuron.workflow.fingerprint import EXCLUDED, Fingerprints, digest, normalised

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted(path.stem for path in (ROOT / "scripts").glob("*.py"))

FILES = {
    "interneuron/__init__.py": "import importlib\n\ndef __getattr__(name):\n    return importlib.import_module(name)\n",
    "interneuron/errors.py": "class InputError(ValueError):\n    pass\n",
    "interneuron/nets.py": "from interneuron.errors import InputError\n\ndef build(x):\n    return x + 1\n",
    "interneuron/lesion.py": "def lesion(x):\n    from .nets import build\n    return build(x)\n",
    "interneuron/plots.py": "def draw(x):\n    return x\n",
    "interneuron/files/__init__.py": "from interneuron.files.tables import read\n",
    "interneuron/files/tables.py": "def read(path):\n    return path\n",
    "interneuron/files/download.py": "def fetch(path):\n    return path\n",
    "interneuron/workflow/__init__.py": "",
    "interneuron/workflow/script.py": "from interneuron.plots import draw\n",
    "scripts/a.py": '"""A."""\nfrom interneuron.workflow.script import step\n\ndef main(job):\n'
    "    from interneuron import lesion\n    return lesion.lesion(job)\n",
}


class Repository:
    """A small repository that fingerprints are taken in."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        (self.root / name).write_text(text)

    def replace(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text()
        assert old in text
        self.write(name, text.replace(old, new))

    def script(self, body: str) -> None:
        self.write("scripts/a.py", body)

    def modules(self) -> set[str]:
        return set(Fingerprints(self.root).parts("scripts/a.py")) - {"scripts/a.py"}

    def taken(self) -> str:
        return Fingerprints(self.root).of("a")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_imports_are_followed_through_functions_and_modules(repository: Repository) -> None:
    assert repository.modules() == {"interneuron.lesion", "interneuron.nets", "interneuron.errors"}


@pytest.mark.parametrize("name", ["scripts/a.py", *(f"interneuron/{name}.py" for name in ("lesion", "nets", "errors"))])
def test_code_behind_the_script_counts(repository: Repository, name: str) -> None:
    before = repository.taken()
    repository.write(name, FILES[name] + "\nX = 1\n")
    assert repository.taken() != before


@pytest.mark.parametrize("name", [f"interneuron/{name}.py" for name in ("plots", "files/tables", "workflow/script")])
def test_code_not_behind_the_script_does_not_count(repository: Repository, name: str) -> None:
    before = repository.taken()
    repository.write(name, FILES[name] + "\nX = 1\n")
    assert repository.taken() == before


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return x + 1", "return x + 1  # one more"),
        ("return x + 1", "return (x\n        + 1)"),
        ("def build(x):\n", 'def build(x):\n    """Build."""\n'),
        ("def build", "\n\n\ndef build"),
        ("from interneuron", '"""Nets."""\nfrom interneuron'),
    ],
)
def test_looks_do_not_count(repository: Repository, old: str, new: str) -> None:
    before = repository.taken()
    repository.replace("interneuron/nets.py", old, new)
    assert repository.taken() == before


@pytest.mark.parametrize(
    ("old", "new"), [("x + 1", "x + 2"), ("x + 1", "x + 1.0"), ("x + 1", "x + True"), ("x + 1", "1 + x")]
)
def test_any_change_of_meaning_counts(repository: Repository, old: str, new: str) -> None:
    before = repository.taken()
    repository.replace("interneuron/nets.py", old, new)
    assert repository.taken() != before


def test_docstrings_count_where_they_are_read(repository: Repository) -> None:
    repository.write("interneuron/nets.py", 'def build(x):\n    """One."""\n    return build.__doc__\n')
    before = repository.taken()
    repository.replace("interneuron/nets.py", "One", "Two")
    assert repository.taken() != before


@pytest.mark.parametrize(
    ("body", "modules"),
    [
        ("import interneuron.nets", {"interneuron.nets", "interneuron.errors"}),
        ("import interneuron.nets as n", {"interneuron.nets", "interneuron.errors"}),
        ("from interneuron.nets import build", {"interneuron.nets", "interneuron.errors"}),
        ("from interneuron import plots as p", {"interneuron.plots"}),
        ("import interneuron\ninterneuron.plots.draw(1)", {"interneuron.plots"}),
        ("import interneuron as i\ndef f():\n    return i.plots", {"interneuron.plots"}),
        ("from interneuron import files", {"interneuron.files", "interneuron.files.tables"}),
        (
            "from interneuron import files as f\nf.download.fetch(1)",
            {"interneuron.files", "interneuron.files.tables", "interneuron.files.download"},
        ),
        (
            "from interneuron.files.download import fetch",
            {"interneuron.files", "interneuron.files.tables", "interneuron.files.download"},
        ),
        ("import importlib\nimportlib.import_module('interneuron.plots')", {"interneuron.plots"}),
        ("from b import x", {"b", "interneuron.plots"}),
        ("import numpy as np\nfrom os import path", set()),
    ],
)
def test_every_form_of_import_is_followed(repository: Repository, body: str, modules: set[str]) -> None:
    repository.write("scripts/b.py", "from interneuron.plots import draw as x\n")
    repository.script(body + "\n")
    assert repository.modules() == modules


@pytest.mark.parametrize(
    "body",
    [
        "import importlib\nname = 'x'\nimportlib.import_module(name)",
        "from importlib import import_module\nimport_module('inter' + 'neuron.nets')",
        "from importlib import import_module as load\nload('interneuron.nets')",
        "__import__(input())",
        "f = __import__",
        "import runpy\nrunpy.run_path('x.py')",
        "import interneuron\ngetattr(interneuron, 'nets')",
        "import interneuron as i\nj = i",
        "from interneuron import *",
        "import interneuron.absent",
        "from ..interneuron import nets",
        "def f(:",
    ],
)
@pytest.mark.parametrize("name", ["scripts/a.py", "interneuron/lesion.py"])
def test_what_cannot_be_followed_is_refused(repository: Repository, name: str, body: str) -> None:
    repository.write(name, body + "\n")
    with pytest.raises(InputError, match=rf"^{name}: line \d+ "):
        repository.taken()


def test_a_missing_script_is_refused(repository: Repository) -> None:
    with pytest.raises(InputError, match=r"scripts/absent\.py: cannot be read"):
        Fingerprints(repository.root).of("absent")


def test_extra_files_count(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    before = repository.taken()
    monkeypatch.setitem(fingerprint.EXTRA, "a", ("page.html",))
    with pytest.raises(InputError, match=r"page\.html: cannot be read"):
        repository.taken()
    repository.write("page.html", "one")
    one = repository.taken()
    repository.write("page.html", "two")
    assert len({before, one, repository.taken()}) == 3


def test_syntax_trees_differ_where_python_does() -> None:
    """Different code never has one text: compared with `ast.dump` over all files here."""
    files = [*sorted((ROOT / "interneuron").rglob("*.py")), *sorted((ROOT / "tests").glob("*.py"))]
    assert len(files) > 20
    trees = [statement for file in files for statement in ast.parse(file.read_bytes()).body]
    texts: dict[str, str] = {}
    for tree in trees:
        text, nodes = normalised(ast.Module([tree], []), docstrings=True)
        assert len(nodes) > 1
        assert texts.setdefault(text, ast.dump(tree)) == ast.dump(tree)
    assert len(texts) > 300


def test_digest_ignores_the_order_of_keys() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 2, "b": 1})


IMPORT_EACH = """
import ast, json, os, sys
import matplotlib, numba, pandas, torch  # once, for all the forks
for path in sys.argv[1:]:
    tree = ast.parse(open(path, "rb").read())
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    code = "\\n".join(ast.unparse(node) for node in found if getattr(node, "module", "") != "__future__")
    if os.fork() == 0:
        exec(code)
        print(json.dumps([path, [name for name in sys.modules if name.split(".")[0] == "interneuron"]]), flush=True)
        os._exit(0)
    assert os.wait()[1] == 0, path
"""


def test_fingerprints_cover_what_scripts_really_import() -> None:
    """Modules of ours that are in memory once a script and all imports inside its functions have run."""
    paths = [f"scripts/{name}.py" for name in SCRIPTS]
    command = [sys.executable, "-c", IMPORT_EACH, *paths]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = dict(json.loads(line) for line in done.stdout.splitlines())
    assert list(loaded) == paths
    fingerprints = Fingerprints(ROOT)
    for path, modules in loaded.items():
        assert "interneuron.workflow.script" in modules
        assert set(modules) - EXCLUDED <= set(fingerprints.parts(path)), path


def test_all_steps_have_a_fingerprint_of_their_own() -> None:
    assert len(SCRIPTS) >= 11
    taken = [Fingerprints(ROOT).of(script) for script in SCRIPTS]
    assert len(set(taken)) == len(taken)
    assert all(len(code) == fingerprint.LENGTH for code in taken)
