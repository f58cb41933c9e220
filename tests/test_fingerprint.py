"""Fingerprints change with the code behind a script, and with nothing else."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import NEED_FILES, Workspace

from interneuron.errors import InputError
from interneuron.workflow import fingerprint, records
from interneuron.workflow.fingerprint import EXCLUDED, Fingerprints, digest, normalised

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = sorted(path.stem for path in (ROOT / "scripts").glob("*.py"))

FILES = {
    "interneuron/__init__.py": "import importlib\n\ndef __getattr__(name):\n    return importlib.import_module(name)\n",
    "interneuron/errors.py": "class InputError(ValueError):\n    pass\n",
    "interneuron/nets.py": "from interneuron.errors import InputError\n\ndef build(x):\n    return x + 1\n\n"
    "def load(x):\n    return x\n",
    "interneuron/lesion.py": "def lesion(x):\n    from .nets import build\n    return build(x)\n",
    "interneuron/plots.py": "def draw(x):\n    return x\n",
    "interneuron/files/__init__.py": "from interneuron.files.tables import read\n",
    "interneuron/files/tables.py": "def read(path):\n    return path\n",
    "interneuron/files/download.py": "def fetch(path):\n    return path\n",
    "interneuron/workflow/__init__.py": "",
    "interneuron/workflow/script.py": "from interneuron.plots import draw\n",
    "scripts/a.py": '"""A."""\nfrom interneuron.workflow.script import step\n\ndef main(job):\n'
    "    from interneuron import lesion\n    return lesion.lesion(job)\n\nstep(main, None)\n",
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

    def parts(self) -> set[str]:
        return set(Fingerprints(self.root).parts("a"))

    def modules(self) -> set[str]:
        """The modules among them, which are run as they are imported."""
        known = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in FILES} | {"b"}
        return self.parts() & known

    def taken(self) -> str:
        return Fingerprints(self.root).of("a")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_imports_are_followed_through_functions_and_modules(repository: Repository) -> None:
    assert repository.modules() == {"interneuron.lesion", "interneuron.nets", "interneuron.errors"}


REACHED = ["scripts/a.py", *(f"interneuron/{name}.py" for name in ("lesion", "nets", "errors"))]


@pytest.mark.parametrize("name", REACHED)
@pytest.mark.parametrize(
    "code", ["print(1)", "x = len('1')", "for x in '1': pass", "del load", "X: int = f()", "X[0] = 1"]
)
def test_what_importing_a_reached_module_runs_counts(repository: Repository, name: str, code: str) -> None:
    before = repository.taken()
    repository.write(name, FILES[name] + f"\n{code}\n")
    assert repository.taken() != before


@pytest.mark.parametrize("name", REACHED)
@pytest.mark.parametrize("code", ["X = 1", "def f():\n    return 1", "class C:\n    pass", "X, Y = 1, 2", "X: int = 1"])
def test_a_definition_that_nothing_reaches_does_not_count(repository: Repository, name: str, code: str) -> None:
    before = repository.taken()
    repository.write(name, FILES[name] + f"\n{code}\n")
    assert repository.taken() == before


@pytest.mark.parametrize("name", [f"interneuron/{name}.py" for name in ("plots", "files/tables", "workflow/script")])
def test_code_not_behind_the_script_does_not_count(repository: Repository, name: str) -> None:
    before = repository.taken()
    repository.write(name, FILES[name] + "\nprint(1)\n")
    assert repository.taken() == before


def test_a_function_counts_where_it_is_used_only(repository: Repository) -> None:
    before = repository.taken()
    repository.replace("interneuron/nets.py", "return x\n", "return x + 2\n")
    assert repository.taken() == before
    assert {"interneuron.nets.build", "interneuron.lesion.lesion"} <= repository.parts()
    assert "interneuron.nets.load" not in repository.parts()
    repository.replace("interneuron/lesion.py", "return build(x)", "from .nets import load\n    return build(load(x))")
    both = repository.taken()
    repository.replace("interneuron/nets.py", "return x + 2\n", "return x + 3\n")
    assert len({before, both, repository.taken()}) == 3


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from interneuron.nets import build as f, load as g", "from interneuron.nets import load as f, build as g"),
        ("import numpy as f, scipy as g", "import scipy as f, numpy as g"),
        ("f = 1\ng = 2", "f = 2\ng = 1"),
        ("f = 1\ng = f", "f = 1\ng = 1"),
        ("def f(x=1): pass\ng = 1", "def f(x=2): pass\ng = 1"),
        ("def g(x): return x\n@g\ndef f(): pass", "def g(x): return 1\n@g\ndef f(): pass"),
    ],
)
def test_what_a_used_name_stands_for_counts(repository: Repository, before: str, after: str) -> None:
    taken = []
    for bound in (before, after):
        repository.write("interneuron/lesion.py", f"{bound}\n\ndef lesion(x):\n    return f, g\n")
        taken.append(repository.taken())
    assert taken[0] != taken[1]


# where code stands


PLACED = {
    "interneuron/nets.py": "import math\nfrom interneuron.errors import InputError\n\nLIMIT = 3\n\n"
    "def half(x):\n    return x / 2\n\ndef build(x):\n    if x > LIMIT:\n        raise InputError(x)\n"
    "    return math.sqrt(half(x))\n\ndef load(x):\n    return x\n",
    "interneuron/lesion.py": "from interneuron.nets import build\nfrom interneuron import plots\n\n"
    "def lesion(x):\n    return plots.draw(build(x))\n",
}


def moved(repository: Repository, change: str) -> None:
    """Code that says the same, elsewhere."""
    nets, lesion = PLACED.values()
    half, build = "def half(x):\n    return x / 2\n\n", nets[nets.index("def build") : nets.index("def load")]
    head = "import math\nfrom interneuron.errors import InputError\n\n"
    files = {
        "move a function": {
            "interneuron/files/tables.py": FILES["interneuron/files/tables.py"] + half,
            "interneuron/nets.py": nets.replace(half, "").replace(
                "LIMIT", "from interneuron.files.tables import half\nLIMIT", 1
            ),
        },
        "move it under another import": {
            "interneuron/plots.py": FILES["interneuron/plots.py"] + half,
            "interneuron/nets.py": nets.replace(half, "")
            .replace("LIMIT", "from interneuron import plots\nLIMIT", 1)
            .replace("half(x)", "plots.half(x)"),
        },
        "rename a module": {
            "interneuron/networks.py": nets,
            "interneuron/lesion.py": lesion.replace("nets", "networks"),
        },
        "re-export": {
            "interneuron/networks.py": nets,
            "interneuron/nets.py": "from interneuron.networks import build, load\n",
        },
        "split a file": {
            "interneuron/limits.py": "LIMIT = 3\n",
            "interneuron/nets.py": head + "from interneuron.limits import LIMIT\n" + half + build,
            "interneuron/loading.py": "def load(x):\n    return x\n",
        },
        "hoist an import": {
            "interneuron/lesion.py": "def lesion(x):\n    from interneuron import plots\n"
            "    from interneuron.nets import build\n    return plots.draw(build(x))\n",
        },
        "hoist another library's": {
            "interneuron/nets.py": nets.replace("import math\n", "").replace("    if x", "    import math\n    if x")
        },
        "import what nothing uses": {
            "interneuron/nets.py": "import os\nimport interneuron.files\nfrom interneuron.files.download import fetch\n"
            + nets
        },
        "define something else of the same name": {
            "interneuron/plots.py": FILES["interneuron/plots.py"] + "LIMIT = 4\n"
        },
    }
    for name, text in files[change].items():
        repository.write(name, text)
    if change == "rename a module":
        (repository.root / "interneuron/nets.py").unlink()


@pytest.mark.parametrize(
    "change",
    [
        *("move a function", "move it under another import", "rename a module", "re-export", "split a file"),
        *("hoist an import", "hoist another library's", "import what nothing uses"),
        "define something else of the same name",
    ],
)
def test_where_code_stands_does_not_count(repository: Repository, change: str) -> None:
    for name, text in PLACED.items():
        repository.write(name, text)
    before = repository.taken()
    moved(repository, change)
    assert repository.taken() == before
    counts = {"x / 2": "x / 3", "LIMIT = 3": "LIMIT = 5", "> LIMIT": ">= LIMIT"}
    for path in (repository.root / "interneuron").rglob("*.py"):  # and wherever it stands, it counts
        text = path.read_text()
        for old in [old for old in counts if old in text]:
            path.write_text(text.replace(old, counts.pop(old)))
            assert repository.taken() != before
            path.write_text(text)
    assert not counts


def test_names_that_imports_give_do_not_count(repository: Repository) -> None:
    """`sqrt` of `math`, by whatever name; `math.sqrt` itself is written otherwise, and counts."""
    repository.script("from interneuron import nets\nfrom math import sqrt\ndef main(): nets.build(sqrt(2))\nmain()\n")
    before = repository.taken()
    repository.script(
        "from math import sqrt as r\nfrom interneuron.nets import build as b\ndef main(): b(r(2))\nmain()\n"
    )
    assert repository.taken() == before
    repository.script(
        "from cmath import sqrt as r\nfrom interneuron.nets import build as b\ndef main(): b(r(2))\nmain()\n"
    )
    assert repository.taken() != before


def test_definitions_that_swap_their_bodies_count_for_their_users(repository: Repository) -> None:
    repository.script("from interneuron.nets import f\ndef main(): return f(1)\nmain()\n")
    repository.write("interneuron/nets.py", "def f(x): return x\ndef g(x): return -x\ndef h(x): return f(x) + g(x)\n")
    before = repository.taken()
    repository.write("interneuron/nets.py", "def g(x): return x\ndef f(x): return -x\ndef h(x): return f(x) + g(x)\n")
    assert repository.taken() != before


def test_definitions_in_circles_are_told_apart(repository: Repository) -> None:
    """Four functions that say the same and call each other: in one circle of four, or in two of two."""
    repository.script("from interneuron.nets import START\ndef main(): return START\nmain()\n")
    one = {"f": "g", "g": "h", "h": "i", "i": "f"}
    two = {"f": "g", "g": "f", "h": "i", "i": "h"}
    taken = []
    for calls in (one, two):
        body = "".join(f"def {name}(x): return {called}(x) + {int(name == 'f')}\n" for name, called in calls.items())
        repository.write("interneuron/nets.py", body + "START = [f, g, h, i]\n")
        taken.append(repository.taken())
        repository.write("interneuron/nets.py", "START = [f, g, h, i]\n" + body)
        assert repository.taken() == taken[-1]
    assert taken[0] != taken[1]


def test_a_functions_own_variables_are_no_definitions(repository: Repository) -> None:
    """Unless it reads the definition first, in a default or a comprehension."""
    body = "rows = 1\ndef f(rows):\n    def g(): return rows\n    return g\ndef h(): return 2\n"
    repository.script("from interneuron.nets import f\ndef main(): return f(1)\nmain()\n")
    repository.write("interneuron/nets.py", body)
    before = repository.taken()
    repository.write("interneuron/nets.py", body.replace("rows = 1", "rows = 2"))
    assert repository.taken() == before
    for used in (
        "def f(x, y=rows): return x",
        "def f(x): return [rows for rows in x], rows",
        "def f(x):\n    global rows\n    rows += x",
    ):
        taken = []
        for value in (1, 2):
            repository.write("interneuron/nets.py", f"rows = {value}\n{used}\n")
            taken.append(repository.taken())
        assert taken[0] != taken[1], used


def test_a_change_deep_below_reaches_every_user(repository: Repository) -> None:
    chain = "".join(f"def f{i}(x): return f{i + 1}(x)\n" for i in range(30)) + "def f30(x): return {}\n"
    repository.script("from interneuron.nets import f0\ndef main(): return f0(1)\nmain()\n")
    repository.write("interneuron/nets.py", chain.format("x"))
    before = repository.taken()
    repository.write("interneuron/nets.py", chain.format("-x"))
    assert repository.taken() != before


@pytest.mark.parametrize(
    ("uses", "counts"),
    [
        ("from interneuron import nets\nnets.build", False),
        ("from interneuron import nets\nnets.load", True),
        ("from interneuron import nets\nf(nets)", True),
        ("from interneuron import nets\ngetattr(nets, 'l' + 'oad')", True),
        ("from interneuron import nets as n\nm = n\nm.load", True),
        ("import importlib\nimportlib.import_module('interneuron.nets')", True),
        ("from interneuron.nets import *", True),
        ("from b import n\nn.load", True),
        ("from b import n\nn.build", True),
        ("import b\nb.n.load", True),
        ("from b import load\nload", True),
        ("from b import build\nbuild", False),
        ("from interneuron.nets import load\nload", True),
        ("from interneuron.nets import build\nbuild", False),
    ],
)
def test_modules_as_objects_count_as_a_whole(repository: Repository, uses: str, counts: bool) -> None:
    repository.write("scripts/b.py", "from interneuron import nets as n\nfrom interneuron.nets import build, load\n")
    repository.script(uses + "\n")
    before = repository.taken()
    repository.replace("interneuron/nets.py", "return x\n", "return x + 2\n")
    assert (repository.taken() != before) is counts


REGISTRY = """
from interneuron.registry import Registry

def one():
    return 1

def two():
    return 2

THINGS = Registry("thing", {"one": one, "two": two, "both": (one, two)})

def thing(name):
    return THINGS[name]()
"""


@pytest.mark.parametrize(
    ("names", "changes", "counts"),
    [
        (["one"], ("return 1", "return 3"), True),
        (["one"], ("return 2", "return 3"), False),
        (["two"], ("return 2", "return 3"), True),
        ([], ("return 2", "return 3"), False),
        (["both"], ("return 2", "return 3"), True),
        (["one"], (', "both": (one, two)', ""), False),
        (["one"], ('"one": one, "two": two', '"one": two, "two": one'), True),
        (["one"], ("[name]()", "[name]"), True),
        (["one"], ('"thing"', '"matter"'), True),
        (["one"], ("[name]", '["two"]'), True),
    ],
)
def test_of_a_registry_the_named_entries_count(
    repository: Repository, names: list[str], changes: tuple[str, str], counts: bool
) -> None:
    repository.write("interneuron/registry.py", "class Registry:\n    pass\n")
    repository.write("interneuron/lesion.py", REGISTRY)
    repository.script("from interneuron.lesion import thing\nthing(input())\n")
    before = Fingerprints(repository.root).of("a", names)
    repository.replace("interneuron/lesion.py", *changes)
    assert (Fingerprints(repository.root).of("a", names) != before) is counts


def test_names_that_the_code_says_open_a_registry(repository: Repository) -> None:
    """In whichever order the name and the registry are found."""
    repository.write("interneuron/registry.py", "class Registry:\n    pass\n")
    repository.write("interneuron/lesion.py", REGISTRY)
    for body in ("x = thing('two')", "def main():\n    return 'two', thing\nmain()"):
        repository.script(f"from interneuron.lesion import thing\n{body}\n")
        assert {"interneuron.lesion.THINGS[two]", "interneuron.lesion.two"} <= repository.parts()
        assert "interneuron.lesion.one" not in repository.parts()


def test_a_plain_decorator_does_not_open_what_it_decorates(repository: Repository) -> None:
    plain = "def d(f):\n    def g():\n        return f()\n    return g\n"
    keeps = "KEPT = []\ndef d(f):\n    KEPT.append(f)\n    return f\n"
    for decorator, counts in ((plain, False), (keeps, True)):
        repository.write("interneuron/wrapping.py", decorator)
        for there in (decorator, "from interneuron.wrapping import d\n"):
            repository.write(
                "interneuron/lesion.py", f"{there}\ndef lesion(x):\n    pass\n\n@d\ndef other():\n    return 1\n"
            )
            before = repository.taken()
            repository.replace("interneuron/lesion.py", "return 1", "return 2")
            assert (repository.taken() != before) is counts


@pytest.mark.parametrize("base", ["", "(f())"])
def test_a_class_whose_definition_calls_ours_counts(repository: Repository, base: str) -> None:
    body = "pass" if base else "x = f()"
    repository.write(
        "interneuron/lesion.py",
        f"def f():\n    return type(1)\n\ndef lesion(x):\n    pass\n\nclass C{base}:\n    {body}\n",
    )
    assert "interneuron.lesion.f" in repository.parts()


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
        ("from interneuron.nets import *", {"interneuron.nets", "interneuron.errors"}),
        ("from interneuron.nets import build", {"interneuron.nets", "interneuron.errors"}),
        ("from interneuron import plots as p", {"interneuron.plots"}),
        ("import interneuron\ninterneuron.plots.draw(1)", {"interneuron.plots"}),
        ("import interneuron as i\ndef f():\n    return i.plots\nf()", {"interneuron.plots"}),
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
        "eval('1')",
        "exec(input())",
        "globals()['x'] = 1",
        "class C:\n    def __init_subclass__(cls): pass",
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
        text = normalised(ast.Module([tree], []), docstrings=True)
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
        # all names that the script has, since each import in its functions was run
        constants = [
            part.value for part in ast.walk(ast.parse((ROOT / path).read_text())) if isinstance(part, ast.Constant)
        ]
        names = {constant for constant in constants if isinstance(constant, str)}
        assert set(modules) - EXCLUDED <= set(fingerprints.parts(Path(path).stem, names)), path


def test_all_steps_have_a_fingerprint_of_their_own() -> None:
    assert len(SCRIPTS) >= 11
    taken = [Fingerprints(ROOT).of(script) for script in SCRIPTS]
    assert len(set(taken)) == len(taken)
    assert all(len(code) == fingerprint.LENGTH for code in taken)


# Loaded by every Python of the run: functions of ours note that they were called.
TRACE = """
import ast, atexit, builtins, os, sys
from importlib.machinery import PathFinder, SourceFileLoader

class Noting(ast.NodeTransformer):
    def __init__(self, module):
        self.module, self.names = module, []

    def visit_ClassDef(self, node):
        self.names.append(node.name)
        self.generic_visit(node)
        self.names.pop()
        return node

    def visit_FunctionDef(self, node):
        if "njit" in "".join(map(ast.unparse, node.decorator_list)):
            return node  # compiled: it cannot note anything
        self.names.append(node.name)
        self.generic_visit(node)
        noted = ast.parse(f"noted_calls.add(({self.module!r}, {'.'.join(self.names)!r}))").body
        first = isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)
        node.body[first:first] = noted
        self.names.pop()
        return node

class Loader(SourceFileLoader):
    def get_code(self, name):
        path = self.get_filename(name)
        tree = ast.fix_missing_locations(Noting(name).visit(ast.parse(open(path).read())))
        return compile(tree, path, "exec")

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name.split(".")[0] != "interneuron":
            return None
        spec = PathFinder.find_spec(name, path, target)
        spec.loader = Loader(name, spec.loader.path)
        return spec

@atexit.register
def done():
    script = sys.argv[0]
    if ".snakemake/scripts/" in script:
        with open(os.path.join(os.environ["TRACE"], f"{script.split('.')[-2]}.{os.getpid()}"), "w") as file:
            file.writelines(f"{module}\\t{name}\\n" for module, name in sorted(noted_calls))

builtins.noted_calls = noted_calls = set()
sys.meta_path.insert(0, Finder)
"""


@pytest.mark.system
def test_fingerprints_cover_every_function_that_really_runs(workspace: Workspace, tmp_path: Path) -> None:
    """Each call of ours in a run of the whole workflow is to a piece of the fingerprint of its rule."""
    hook, trace = tmp_path / "hook", tmp_path / "trace"
    for folder in (hook, trace):
        folder.mkdir()
    (hook / "sitecustomize.py").write_text(TRACE)
    workspace.environment["PYTHONPATH"] += f":{hook}"
    workspace.snakemake(TRACE=str(trace))
    kept = records.read(workspace.folder)
    covered: dict[str, set[str]] = {}
    for record in kept.results.values():
        settings = records.settings_of(record["made"])
        assert settings is not None
        covered.setdefault(record["made"]["rule"], set()).update(kept.codes[settings["code"]])
    assert set(covered) == set(SCRIPTS) - NEED_FILES
    fingerprints, calls = Fingerprints(workspace.folder), 0
    for file in trace.iterdir():
        rule = file.name.split(".")[0]
        for line in file.read_text().splitlines():
            module, name = line.split("\t")
            top = name.split(".")[0]
            if module in EXCLUDED:
                continue
            calls += 1
            path = fingerprints.file(module, workspace.folder)
            assert path is not None
            by_name = top in fingerprints.module(path, module).pieces
            assert (f"{module}.{top}" if by_name else module) in covered[rule], f"{rule}: {module}.{name}"
    assert calls > 200
