"""The three floors: what each may import and do, and what it must say."""

import ast
import io
import json
import pickle
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from interneuron import citations
from interneuron.errors import InputError
from interneuron.workflow.config import yaml_text
from interneuron.workflow.plan import Plan

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = PROJECT["tool"]["interneuron"]["rooms"]

LIBRARY = sorted((ROOT / "interneuron").rglob("*.py"))
SCRIPTS = sorted((ROOT / "scripts").glob("*.py"))
RULES = [ROOT / "Snakefile", *sorted((ROOT / "rules").glob("*.smk"))]
CODE = [*LIBRARY, *SCRIPTS]
HEAVY = {"torch", "torchvision", "sklearn", "pandas", "matplotlib", "numba", "skimage", "PIL", "pyarrow", "scipy.stats"}


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def each_file(paths: list[Path]) -> pytest.MarkDecorator:
    assert len(paths) > 3
    return pytest.mark.parametrize("path", paths, ids=named)


def room_of(path: Path) -> str:
    return path.relative_to(ROOT / "interneuron").parts[0].removesuffix(".py")


def nodes(path: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(path.read_bytes())))


def imports(path: Path) -> Iterator[str]:
    """Modules that a file imports, anywhere in it."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{named(path)}: relative import"
            yield node.module or ""
            if node.module == "interneuron":
                yield from (f"interneuron.{alias.name}" for alias in node.names)


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Calls in a file, with the dotted name of what is called."""
    for node in nodes(path):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def rules() -> dict[str, dict[str, str]]:
    """The text of every directive of every rule; the docstring is that of no name."""
    found: dict[str, dict[str, str]] = {}
    for path in RULES:
        for name, body in re.findall(r"^(?:rule|checkpoint) (\w+):\n((?:    .*\n|\n)+)", path.read_text() + "\n", re.M):
            parts = re.split(r"^    (\w+):", "\n" + body, flags=re.M)
            found[name] = {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}
    return found


JOBS = {name: rule for name, rule in rules().items() if name != "all"}


# imports point down


@each_file(LIBRARY)
def test_the_library_knows_neither_scripts_nor_snakemake(path: Path) -> None:
    own = set(imports(path))
    if room_of(path) != "workflow":
        assert not [name for name in own if name.split(".")[0] in ("snakemake", "scripts")]
        assert not [name for name in own if name.startswith("interneuron.workflow")]


@each_file(LIBRARY)
def test_rooms_import_what_their_row_allows(path: Path) -> None:
    room = room_of(path)
    if room == "__init__":
        return
    assert room in ROOMS, f"pyproject.toml has no row for {room} in [tool.interneuron.rooms]"
    tops = {name.split(".")[0] for name in imports(path)}
    foreign = tops - set(sys.stdlib_module_names) - {"interneuron", "numpy", "scipy"}
    assert foreign <= set(ROOMS[room])


def test_every_row_is_a_room_that_uses_it() -> None:
    used: dict[str, set[str]] = {}
    for path in LIBRARY:
        used.setdefault(room_of(path), set()).update(name.split(".")[0] for name in imports(path))
    assert set(ROOMS) == set(used) - {"__init__"}
    for room, allowed in ROOMS.items():
        assert set(allowed) <= used[room], f"{room} does not use all of its row in pyproject.toml"


def test_the_package_is_a_lazy_loader_and_nothing_else() -> None:
    """Fingerprints leave `interneuron/__init__.py` out for that reason."""
    tree = ast.parse((ROOT / "interneuron/__init__.py").read_bytes())
    body = [ast.unparse(node).split("\n")[0] for node in tree.body[1:]]
    imported, version, rooms, getter, lister = body[:-4], *body[-4:]
    assert imported == ["import importlib", "from types import ModuleType"]
    assert version == f"__version__ = '{PROJECT['project']['version']}'"
    assert getter == "def __getattr__(name: str) -> ModuleType:"
    assert lister == "def __dir__() -> list[str]:"
    listed = set(ast.literal_eval(rooms.removeprefix("_ROOMS = ")))
    public = {room_of(path) for path in LIBRARY if not room_of(path).startswith("_")}
    assert listed == public - {"errors", "registry", "seeds", "workflow"}


def loaded(code: str) -> set[str]:
    """Modules in memory after `code`."""
    code = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_imports_no_room() -> None:
    own = {name for name in loaded("import interneuron") if name.startswith("interneuron")}
    assert own == {"interneuron"}


@pytest.mark.parametrize("room", ["plan", "command", "ledger", "config"])
def test_the_workflow_itself_is_light(room: str) -> None:
    found = loaded(f"import interneuron.workflow.{room}")
    assert f"interneuron.workflow.{room}" in found
    assert not found & HEAVY


def test_scripts_import_heavy_packages_in_main_only() -> None:
    found = loaded("import runpy, glob\nfor path in glob.glob('scripts/*.py'): runpy.run_path(path, run_name='script')")
    assert "interneuron.workflow.script" in found
    assert not found & HEAVY


@each_file(RULES)
def test_rules_import_nothing_heavy(path: Path) -> None:
    lines = re.findall(r"^\s*(?:import|from) +([\w.]+)", path.read_text(), re.M)
    allowed = (*sys.stdlib_module_names, "snakemake.utils", "interneuron.workflow")
    assert not [name for name in lines if not name.startswith(allowed)]


def test_touch_is_never_the_cure() -> None:
    """`snakemake --touch` blesses stale results."""
    for path in [*RULES, ROOT / "Makefile", ROOT / "README.md", ROOT / "dvc.yaml", ROOT / ".ci/run"]:
        assert "--touch" not in path.read_text(), named(path)


# rules


def test_the_snakefile_is_short() -> None:
    assert len((ROOT / "Snakefile").read_text().splitlines()) < 80


@each_file(RULES)
def test_rules_use_no_run_blocks_folders_or_touch(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"^\s+run:", text, re.M)
    assert not re.search(r"\bdirectory\(|--touch|\btouch\(|\bshell:", text)


def test_every_rule_has_one_script_of_its_name() -> None:
    assert len(JOBS) >= 11
    assert sorted(JOBS) == [path.stem for path in SCRIPTS]
    for name, rule in JOBS.items():
        assert ast.literal_eval(rule["script"].strip()) == f"../scripts/{name}.py"
        assert "shell" not in rule


@pytest.mark.parametrize("name", sorted(JOBS))
def test_every_rule_says_what_a_job_needs(name: str) -> None:
    rule = JOBS[name]
    assert re.search(r'^    """[A-Z].+\."""', rule[""], re.M | re.S), "a docstring"
    assert f'"logs/{name}/' in rule["log"]
    assert rule["threads"].strip() == "1"
    assert re.search(r"\bmem_mb=PLAN\.memory\(\d+\)", rule["resources"])
    assert re.search(r"\bruntime=PLAN\.runtime\(\d+\)", rule["resources"])
    assert re.fullmatch(r"\s*settings=PLAN\.\w+(\(\"\w+\"\))?,\s*", rule["params"]), "params are one dict, `settings`"
    wildcards = set(re.findall(r"\{(\w+)\}", rule["output"]))
    assert wildcards <= {"dataset", "file", "model", "study", "block", "figure"}
    assert set(re.findall(r"\{(\w+)\}", rule["log"])) == wildcards


@pytest.mark.parametrize("name", ["train", "activations", "ace", "cluster", "lesion"])
def test_heavy_rules_are_benchmarked(name: str) -> None:
    assert f'"logs/{name}/' in JOBS[name]["benchmark"]


def test_resources_grow_with_the_attempt() -> None:
    assert [Plan.memory(100)(None, attempt) for attempt in (1, 2, 3)] == [100, 200, 300]
    assert [Plan.runtime(7)(None, attempt) for attempt in (1, 2, 3)] == [7, 14, 21]


@each_file(SCRIPTS)
def test_scripts_are_main_and_a_step(path: Path) -> None:
    tree = ast.parse(path.read_bytes())
    assert ast.get_docstring(tree)
    assert "main" in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert ast.unparse(tree.body[-1]).splitlines() == ["if __name__ == '__main__':", "    step(main, snakemake)"]


@each_file(SCRIPTS)
def test_scripts_know_no_study(path: Path) -> None:
    names = {entry.stem for kind in ("studies", "models") for entry in (ROOT / "config" / kind).glob("*.yaml")}
    texts = {node.value for node in nodes(path) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    assert len(names) > 4
    assert not names & texts


# what no code does


@each_file(CODE)
def test_nothing_that_can_run_code_is_read(path: Path) -> None:
    unsafe = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    there = {name.split(".")[0] for name in imports(path)} & unsafe
    assert there <= ({"pickle"} if path == ROOT / "interneuron/citations.py" else set()), named(path)
    for name, call in calls(path):
        assert not name.startswith("pickle.") or name == "pickle.UnpicklingError", f"{named(path)}:{call.lineno}"
        assert name not in ("eval", "exec", "compile", "__import__"), f"{named(path)}:{call.lineno}"
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        assert keywords.get("allow_pickle", "False") == "False", f"{named(path)}:{call.lineno}"
        assert keywords.get("shell", "False") == "False", f"{named(path)}:{call.lineno}"
        if name == "torch.load":
            assert keywords.get("weights_only") == "True", f"{named(path)}:{call.lineno}"
        if name.startswith("yaml.") and "load" in name:
            assert keywords.get("Loader") == "_Loader", f"{named(path)}:{call.lineno}"


def test_the_reader_of_pickles_makes_nothing_but_plain_data() -> None:
    """The Planetoid files are pickles of Python 2."""
    assert citations._Unpickler.find_class is not pickle.Unpickler.find_class
    assert set(citations._KNOWN) == {
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy", "ndarray"),
        ("numpy", "dtype"),
        ("scipy.sparse.csr", "csr_matrix"),
        ("collections", "defaultdict"),
        ("__builtin__", "list"),
    }
    for module, name in (("os", "system"), ("builtins", "eval"), ("numpy", "load")):
        with pytest.raises(InputError, match=name):
            citations._Unpickler(io.BytesIO()).find_class(module, name)


def test_the_loader_of_yaml_is_safe() -> None:
    assert issubclass(yaml_text._Loader, yaml.SafeLoader | yaml.CSafeLoader)


@each_file(CODE)
def test_no_global_state_of_random_numbers(path: Path) -> None:
    # The look at a network puts what that draws of the caller's random numbers back, and draws none.
    keeps = named(path) == "interneuron/inspection.py"
    assert keeps or "random" not in set(imports(path)), "the module random"
    allowed = {"default_rng", "Generator", "SeedSequence", "PCG64", *(["get_state", "set_state"] if keeps else [])}
    for name, call in calls(path):
        where = f"{named(path)}:{call.lineno}: {name}"
        if name.startswith("python_random."):
            assert name in ("python_random.getstate", "python_random.setstate"), where
        if name.startswith(("np.random.", "numpy.random.")):
            assert name.split(".")[-1] in allowed, where
        if name.endswith("default_rng"):
            assert call.args, f"{where} without a seed"
        assert name not in ("torch.manual_seed", "torch.seed", "torch.random.manual_seed", "torch.cuda.manual_seed"), (
            where
        )
        if re.fullmatch(r"torch\.(rand|randn|randint|randperm|normal|bernoulli|multinomial)", name):
            assert "generator" in {keyword.arg for keyword in call.keywords}, f"{where} without a generator"


@each_file([path for path in LIBRARY if room_of(path) not in ("io", "data", "citations", "data_gsr", "workflow")])
def test_methods_touch_no_files(path: Path) -> None:
    forbidden = {"read_text", "read_bytes", "write_text", "write_bytes", "savefig", "to_csv", "to_parquet", "read_csv"}
    forbidden |= {"read_parquet", "save_file", "safe_open", "tofile", "fromfile", "mkdir", "unlink"}
    for name, call in calls(path):
        assert name not in ("open", "np.load", "np.save", "torch.load", "torch.save"), f"{named(path)}:{call.lineno}"
        assert name.split(".")[-1] not in forbidden, f"{named(path)}:{call.lineno}"
    assert not set(imports(path)) & {"interneuron.io", "interneuron.data", "yaml", "os", "pathlib"}


@each_file(LIBRARY)
def test_what_is_public_has_a_docstring(path: Path) -> None:
    tree = ast.parse(path.read_bytes())
    bodies = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_")]
    assert ast.get_docstring(tree), "the module"
    for node in (node for body in bodies for node in body):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            assert ast.get_docstring(node) or _is_obvious(node), f"{named(path)}:{node.lineno}: {node.name}"


def _is_obvious(node: ast.FunctionDef | ast.ClassDef) -> bool:
    """A module's `forward`, overridden methods, and the plan's many one-line answers."""
    return isinstance(node, ast.FunctionDef) and bool(node.args.args) and node.args.args[0].arg == "self"


@each_file([*CODE, *RULES])
def test_nothing_is_left_to_do(path: Path) -> None:
    assert not re.search(r"\b(TODO|FIXME|XXX|HACK)\b", path.read_text())


# config


@each_file(sorted((ROOT / "config").rglob("*.yaml")))
def test_the_schemas_that_editors_use_take_every_entry(path: Path) -> None:
    kind = {"datasets": "dataset", "models": "model", "studies": "study"}.get(path.parent.name, "config")
    schema = json.loads((ROOT / f"config/schemas/{kind}.json").read_text())
    validator = jsonschema.Draft202012Validator(schema)
    entry = yaml.load(path.read_text(), yaml_text._Loader)
    validator.validate(entry)
    assert not validator.is_valid(entry | {"unknown": 1})


def test_the_schema_of_studies_takes_what_the_model_takes() -> None:
    schema = json.loads((ROOT / "config/schemas/study.json").read_text())
    claim = {"id": "T1", "source": "p. 1", "states": "three", "reported": "3", "metric": "n", "holds_if": "median == 3"}
    validator = jsonschema.Draft202012Validator(schema)
    for entry in (
        {},
        {"cluster": {"preferences": {"count": 3}}},
        {"claims": [claim]},
        {"claims": [claim | {"reported": 3}]},
    ):
        assert validator.is_valid(entry), entry
    for key in ("id", "source", "states", "reported"):
        assert not validator.is_valid({"claims": [{name: claim[name] for name in claim if name != key}]})
    assert not validator.is_valid({"cluster": {"readings": [{"draws": 3}]}})


# what is installed


def locked() -> dict[str, Version]:
    lines = [line.strip() for line in (ROOT / "requirements.lock").read_text().splitlines()]
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert len(pins) > 50
    assert all(len(pin.specifier) == 1 and str(pin.specifier).startswith("==") for pin in pins)
    return {normal(pin.name): Version(str(pin.specifier)[2:]) for pin in pins}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lock_lies_within_the_ranges() -> None:
    pins = locked()
    project = PROJECT["project"]
    wanted = [Requirement(line) for line in [*project["dependencies"], *project["optional-dependencies"]["dev"]]]
    assert len(wanted) > 20
    for requirement in wanted:
        assert normal(requirement.name) in pins, requirement.name
        assert pins[normal(requirement.name)] in requirement.specifier, requirement
    assert not [name for name, version in pins.items() if version.local], (
        "builds such as +cpu are not for every machine"
    )


def test_the_environment_is_the_lock() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, pip, pips = environment["dependencies"]
    assert python == "python=3.11"
    assert pip == "pip"
    assert pips["pip"] == ["-r requirements.lock", "-e ."]


def test_what_the_library_imports_is_declared() -> None:
    """Every third-party package that our code imports is a dependency."""
    names = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml", "skimage": "scikit-image"}
    tops = {name.split(".")[0] for path in CODE for name in imports(path)}
    foreign = tops - set(sys.stdlib_module_names) - {"interneuron", "scripts"} - {path.stem for path in SCRIPTS}
    declared = {normal(Requirement(line).name) for line in PROJECT["project"]["dependencies"]}
    assert len(foreign) > 8
    assert {normal(names.get(name, name)) for name in foreign} <= declared
