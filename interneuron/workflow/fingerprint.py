"""Fingerprints of code: what a script and all that it imports from here say, whatever they look like.

A script's fingerprint is a SHA-256 over the syntax trees of the script and of every module of `interneuron` (and every
neighbour in its folder) that it imports, directly or through others, at the top or inside functions. Comments,
docstrings and formatting are not in a syntax tree, or are taken out of it, so they do not count.

What cannot be followed is refused rather than missed: imports of computed names, and `interneuron` passed around as an
object.
"""

import ast
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interneuron.errors import InputError

PACKAGE = "interneuron"

# Modules that cannot change a result, and may change without any rerun: the lazy loader in `interneuron/__init__.py`
# (a test holds that it has nothing else), and the frame around scripts (log, progress, messages).
EXCLUDED = frozenset({PACKAGE, f"{PACKAGE}.workflow", f"{PACKAGE}.workflow.script"})

# Files that scripts read beside their code, by step.
EXTRA = {"report": ("interneuron/workflow/templates/report.html",)}

# Length of a fingerprint in hexadecimal digits: 64 bits.
LENGTH = 16

_DYNAMIC = frozenset({"import_module", "__import__"})
_FOREIGN = frozenset({"exec_module", "load_module", "run_module", "run_path", "spec_from_file_location"})


@dataclass(frozen=True)
class _Source:
    """One file: hash of its syntax tree, and the names of our modules that it imports."""

    digest: str
    imports: frozenset[str]


class Fingerprints:
    """Fingerprints of the scripts of the repository at `root`; every file is read and parsed once."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._sources: dict[Path, _Source] = {}
        self._files: dict[str, Path | None] = {}

    def of(self, step: str) -> str:
        """Fingerprint of the script of a step, and of the files beside the code that it reads (`EXTRA`).

        Raises InputError where a file is missing, is no Python, or imports what cannot be followed.
        """
        script = f"scripts/{step}.py"
        parts = self.parts(script)
        for path in EXTRA.get(step, ()):
            try:
                parts[path] = hashlib.sha256((self.root / path).read_bytes()).hexdigest()
            except OSError as error:
                raise InputError(f"{path}: cannot be read ({error.strerror}), and {script} needs it") from None
        return digest(parts)

    def parts(self, script: str) -> dict[str, str]:
        """Hash of each piece of code behind `script`: by path for the script, by dotted name for modules."""
        path = self.root / script
        found: dict[str, str] = {script: self._source(path, None).digest}
        open_ = sorted(self._source(path, None).imports)
        while open_:
            name = open_.pop()
            if name in found or name in EXCLUDED:
                continue
            file = self._file(name, path.parent)
            assert file is not None
            source = self._source(file, name if name.split(".")[0] == PACKAGE else None)
            found[name] = source.digest
            open_ += sorted(source.imports)
        return found

    def _file(self, module: str, folder: Path) -> Path | None:
        """File of one of our modules by its dotted name, or None: another library's."""
        top, *rest = module.split(".")
        base = self.root / PACKAGE if top == PACKAGE else folder / top
        key = f"{base}:{module}"
        if key not in self._files:
            place = base.joinpath(*rest)
            files = (place / "__init__.py", place.with_name(place.name + ".py"))
            self._files[key] = next((file for file in files if file.is_file()), None)
        return self._files[key]

    def _source(self, path: Path, module: str | None) -> _Source:
        if path not in self._sources:
            shown = path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)
            try:
                source = path.read_bytes()
                tree = ast.parse(source)
            except OSError as error:
                raise InputError(f"{shown}: cannot be read ({error.strerror})") from None
            except (SyntaxError, ValueError) as error:
                line = getattr(error, "lineno", None) or 0
                raise InputError(f"{shown}: line {line} is no Python ({getattr(error, 'msg', error)})") from None
            text, nodes = normalised(tree, docstrings=b"__doc__" in source)
            imports = frozenset(_Imports(self, nodes, path, shown, module).names())
            self._sources[path] = _Source(hashlib.sha256(text.encode()).hexdigest(), imports)
        return self._sources[path]


class _Imports:
    """Our modules that one file imports."""

    def __init__(self, of: Fingerprints, nodes: list[ast.AST], path: Path, shown: str, module: str | None) -> None:
        self.of, self.nodes, self.folder, self.shown = of, nodes, path.parent, shown
        self.package = ""
        if module is not None:
            self.package = module if path.name == "__init__.py" else module.rpartition(".")[0]

    def names(self) -> Iterator[str]:
        bound: dict[str, str] = {}  # local name: the module of ours that it is bound to
        literal: set[ast.expr] = set()  # calls such as import_module("interneuron.nets"), which can be followed
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from self._module(alias.name, node)
                    top = alias.name.split(".")[0]
                    if top == PACKAGE:
                        bound[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom):
                yield from self._from(node, bound)
            elif isinstance(node, ast.Call) and _last_name(node.func) in _DYNAMIC:
                first = node.args[0] if len(node.args) == 1 and not node.keywords else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str) and first.value[:1] != ".":
                    literal.add(node.func)
                    yield from self._module(first.value, node)
        yield from self._attributes(bound, literal)

    def _from(self, node: ast.ImportFrom, bound: dict[str, str]) -> Iterator[str]:
        base = node.module or ""
        if node.level:
            parts = self.package.split(".")
            if not self.package or node.level > len(parts):
                raise self._refused(node, "a relative import that leads out of the package")
            base = ".".join(parts[: len(parts) - node.level + 1] + ([base] if base else []))
        yield from self._module(base, node)
        for alias in node.names:
            if alias.name in _FOREIGN or (alias.name in _DYNAMIC and alias.asname):
                raise self._refused(node, f"{alias.name}, which imports by name")
        if not self._is_ours(base):
            return
        for alias in node.names:
            if alias.name == "*" and base == PACKAGE:
                raise self._refused(node, f"from {PACKAGE} import *")
            name = f"{base}.{alias.name}"
            if self.of._file(name, self.folder) is not None:
                yield name
                if name.split(".")[0] == PACKAGE:
                    bound[alias.asname or alias.name] = name

    def _attributes(self, bound: dict[str, str], literal: set[ast.expr]) -> Iterator[str]:
        """Modules reached as attributes (`interneuron.nets.build`), which the lazy loader imports on the way."""
        inner: set[ast.expr] = set()
        for node in self.nodes:
            if isinstance(node, ast.Attribute):
                inner.add(node.value)
                if node not in inner:
                    yield from self._chain(node, bound)
            if isinstance(node, ast.Name) and bound.get(node.id) == PACKAGE and node not in inner:
                raise self._refused(
                    node, f"{node.id} is used as an object, where only {node.id}.<room> can be followed"
                )
            last = _last_name(node)
            if last in _FOREIGN or (last in _DYNAMIC and node not in literal):
                loader = self.shown == f"{PACKAGE}/__init__.py"
                if not loader:
                    raise self._refused(node, f"{last} with a name that is only known when it runs")

    def _chain(self, node: ast.Attribute, bound: dict[str, str]) -> Iterator[str]:
        names: list[str] = []
        start: ast.expr = node
        while isinstance(start, ast.Attribute):
            names.append(start.attr)
            start = start.value
        if not isinstance(start, ast.Name) or start.id not in bound:
            return
        module = bound[start.id]
        for name in reversed(names):
            module = f"{module}.{name}"
            if self.of._file(module, self.folder) is None:
                return
            yield module

    def _module(self, name: str, node: ast.AST) -> Iterator[str]:
        """`name` and the packages it lies in, where they are ours."""
        if not self._is_ours(name):
            return
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            part = ".".join(parts[:end])
            if self.of._file(part, self.folder) is None:
                raise self._refused(node, f"import of {name}, which does not exist")
            yield part

    def _is_ours(self, name: str) -> bool:
        top = name.split(".")[0]
        if top == PACKAGE:
            return True
        # Snakemake puts a script's own folder on the path: its neighbours can be imported. The library's rooms cannot.
        return not self.package and bool(top) and self.of._file(top, self.folder) is not None

    def _refused(self, node: ast.AST, what: str) -> InputError:
        line = getattr(node, "lineno", 0)
        return InputError(
            f"{self.shown}: line {line} has {what}: reruns could not follow it, so name modules in plain imports"
        )


def _last_name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def normalised(tree: ast.Module, docstrings: bool = False) -> tuple[str, list[ast.AST]]:
    """A syntax tree as text, without positions and docstrings, and its nodes, each before the nodes inside it.

    The text is the same under every supported Python, unlike `ast.dump`: fields come and go between versions (3.12
    added an empty `type_params`), so empty ones are left out. `docstrings` keeps docstrings, for code that reads them.
    """
    pieces: list[str] = []
    nodes: list[ast.AST] = []
    _dump(tree, pieces.append, nodes.append, docstrings)
    return "".join(pieces), nodes


# Said by the place of the node that has it, or no part of what the code does.
_SKIPPED = frozenset({"ctx", "kind", "type_comment"})


def _dump(value: Any, write: Any, visit: Any, docstrings: bool) -> None:
    if isinstance(value, ast.AST):
        visit(value)
        write(type(value).__name__ + "(")
        for name in value._fields:
            if name in _SKIPPED:
                continue
            field: Any = getattr(value, name, None)
            if name == "body" and not docstrings and _has_docstring(value):
                field = field[1:]
            if field is None or field == []:
                continue
            write(name + "=")
            _dump(field, write, visit, docstrings)
            write(",")
        write(")")
    elif isinstance(value, list):
        write("[")
        for item in value:
            _dump(item, write, visit, docstrings)
            write(",")
        write("]")
    else:
        write(repr(value))


def _has_docstring(node: ast.AST) -> bool:
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not node.body:
        return False
    first = node.body[0]
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


def digest(value: Any) -> str:
    """Short SHA-256 of plain JSON data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:LENGTH]
