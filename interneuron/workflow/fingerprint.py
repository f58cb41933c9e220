"""Fingerprints of code: what a script and all that it reaches here say, wherever it stands and whatever it looks like.

A script's fingerprint is a SHA-256 over the definitions (functions, classes, constants) that it reaches in
`interneuron` and in its own folder, directly or through others, and over the statements that run whenever one of these
modules is imported. Comments, docstrings and formatting are not in a syntax tree, or are taken out of it, so they do
not count; nor does a function that nothing reaches.

It is free of place. In the text of a definition a name of ours stands for the definition that it leads to, through
imports and re-exports, and a name of another library for what was imported. So moving a function, renaming a module,
hoisting an import and importing what nothing uses change no fingerprint. Each definition has a label: a hash of its
text, refined by the labels of the definitions that it names until no more are told apart, as colours are in graphs. The
fingerprint is that of the set of all labels reached.

It takes too much rather than too little: a name counts wherever it stands unless it is a function's own variable, a
class counts as a whole, and a module that is passed around as an object counts as a whole. What cannot be followed at
all is refused: imports of computed names, `eval` and its like, and `interneuron` itself as an object. Of a `Registry`,
an entry counts only if its name is said by the config (`names`) or by a string in the code that is reached.
"""

import ast
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from interneuron.errors import InputError

PACKAGE = "interneuron"

# Modules that cannot change a result, and may change without any rerun: the lazy loader in `interneuron/__init__.py`
# (a test holds that it has nothing else), and the frame around scripts (log, progress, messages, hashes of files).
EXCLUDED = frozenset({PACKAGE, f"{PACKAGE}.workflow", f"{PACKAGE}.workflow.script", f"{PACKAGE}.workflow.records"})

# Files that scripts read beside their code, by step.
EXTRA = {"report": ("interneuron/workflow/templates/report.html", "interneuron/workflow/templates/strip.svg")}

# Length of a fingerprint in hexadecimal digits: 64 bits.
LENGTH = 16

_DYNAMIC = frozenset({"import_module", "__import__"})
_FOREIGN = frozenset({"exec_module", "load_module", "run_module", "run_path", "spec_from_file_location"})
_EVALUATES = frozenset({"eval", "exec", "globals"})

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

Reference = tuple[str, str]  # a module of ours and a name in it; "" is the import alone, "*" everything in it


@dataclass
class _Piece:
    """One definition, one entry of a registry, or the statements that run when a module is imported."""

    text: str = ""
    targets: list[Reference] = field(default_factory=list)  # what the marks of the text stand for, in their order
    names: set[str] = field(default_factory=set)  # names of the module itself that it uses
    references: set[Reference] = field(default_factory=set)
    strings: set[str] = field(default_factory=set)

    @cached_property
    def digest(self) -> str:
        return _hash(self.text)

    def add(self, other: "_Piece") -> None:
        self.text += other.text
        self.targets += other.targets
        self.names |= other.names
        self.references |= other.references
        self.strings |= other.strings


@dataclass
class _Module:
    """One file in pieces: `start` is what importing it runs, the others are reached by name."""

    start: _Piece = field(default_factory=_Piece)
    imports: dict[str, set[Reference]] = field(default_factory=dict)  # names that imports bind to what is ours
    foreign: dict[str, str] = field(default_factory=dict)  # and to what is of other libraries, by its full name
    pieces: dict[str, _Piece] = field(default_factory=dict)
    entries: dict[str, dict[str, _Piece]] = field(default_factory=dict)  # of registries, by their names


class Fingerprints:
    """Fingerprints of the scripts of the repository at `root`; every file is read and parsed once."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self._trees: dict[Path, tuple[ast.Module, bytes]] = {}
        self._modules: dict[Path, _Module] = {}
        self._files: dict[tuple[str, Path], Path | None] = {}
        self._found: dict[tuple[str, frozenset[str]], tuple[str, dict[str, str]]] = {}

    def of(self, step: str, names: Iterable[str] = ()) -> str:
        """Fingerprint of the script of a step, and of the files beside the code that it reads (`EXTRA`).

        `names` are what the config says: of a registry only these entries count, and those that the code itself names.

        Raises InputError where a file is missing, is no Python, or has what cannot be followed.
        """
        return self._of(step, names)[0]

    def parts(self, step: str, names: Iterable[str] = ()) -> dict[str, str]:
        """Hash of the text of each piece behind the script of a step, by its name for people.

        `interneuron.nets.build` is a definition, `interneuron.nets._ARCHITECTURES[judge]` an entry of a registry,
        `interneuron.nets` what runs when the module is imported, and `scripts/train.py` the same of the script.
        """
        return self._of(step, names)[1]

    def _of(self, step: str, names: Iterable[str]) -> tuple[str, dict[str, str]]:
        script = f"scripts/{step}.py"
        key = script, frozenset(names)
        if key not in self._found:
            walk = _Walk(self, self.root / script, key[1])
            walk.run()
            extra = {}
            for path in EXTRA.get(step, ()):
                try:
                    extra[path] = _hash((self.root / path).read_text(encoding="utf-8"))
                except OSError as error:
                    raise InputError(f"{path}: cannot be read ({error.strerror}), and {script} needs it") from None
            self._found[key] = digest([walk.labels(), extra]), walk.parts() | extra
        return self._found[key]

    def definition(self, module: str, name: str) -> str:
        """Fingerprint of one definition of the library and all that it reaches."""
        walk = _Walk(self, self.root, frozenset())
        walk.run((module, name))
        return digest([walk.labels(), {}])

    def known(self) -> dict[str, dict[str, str]]:
        """The parts behind every fingerprint that was asked for."""
        return dict(self._found.values())

    def file(self, module: str, folder: Path) -> Path | None:
        """File of one of our modules by its dotted name, or None: another library's."""
        parts = module.split(".")
        key = module, self.root if parts[0] == PACKAGE else folder
        if key not in self._files:
            place = key[1].joinpath(*parts)
            files = (place / "__init__.py", place.with_name(place.name + ".py"))
            self._files[key] = next((file for file in files if file.is_file()), None)
        return self._files[key]

    def module(self, path: Path, name: str | None) -> _Module:
        """The file at `path` in pieces; `name` is its dotted name in the library, None outside of it."""
        if path not in self._modules:
            tree, source = self.tree(path)
            self._modules[path] = _Reader(self, path, self._shown(path), name, b"__doc__" in source).read(tree)
        return self._modules[path]

    def tree(self, path: Path) -> tuple[ast.Module, bytes]:
        """The file at `path` as a syntax tree, and its text."""
        if path not in self._trees:
            shown = self._shown(path)
            try:
                source = path.read_bytes()
                self._trees[path] = ast.parse(source), source
            except OSError as error:
                raise InputError(f"{shown}: cannot be read ({error.strerror})") from None
            except (SyntaxError, ValueError) as error:
                line = getattr(error, "lineno", None) or 0
                raise InputError(f"{shown}: line {line} is no Python ({getattr(error, 'msg', error)})") from None
        return self._trees[path]

    def _shown(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)


class _Walk:
    """All pieces that one script, or one definition, reaches."""

    def __init__(self, of: Fingerprints, script: Path, names: frozenset[str]) -> None:
        self.of, self.script, self.strings = of, script, set(names)
        self.modules: dict[str, _Module] = {}
        self.found: dict[Reference, _Piece] = {}
        self.waiting: dict[str, list[tuple[str, str, _Piece]]] = {}  # entries of registries, by name
        self.open: list[tuple[str, str, bool]] = []  # module, name, and whether another module asks for it

    def run(self, first: Reference = ("", "")) -> None:
        """Find all that is reached from a definition, or from the start of the script."""
        self.open.append((*first, True))
        seen: set[tuple[str, str, bool]] = set()
        while self.open:
            asked = module, name, outside = self.open.pop()
            if asked in seen or module in EXCLUDED:
                continue
            seen.add(asked)
            content = self._module(module)
            for end in range(1, module.count(".") + 1):
                self.open.append((module.rsplit(".", end)[0], "", True))
            # Importing a module runs its statements, whatever is wanted of it.
            self._take(module, "", content.start)
            if outside:
                self.open += [(*reference, True) for reference in sorted(content.imports.get(name, ()))]
            for wanted in [*content.pieces, *content.entries] if name == "*" else [name]:
                if wanted in content.pieces:
                    self._take(module, wanted, content.pieces[wanted])
                for key, piece in content.entries.get(wanted, {}).items():
                    self.waiting.setdefault(key, []).append((module, f"{wanted}[{key}]", piece))
                    self._open_entries([key])

    def parts(self) -> dict[str, str]:
        """Hash of the text of each piece, by its name for people."""
        shown = self.script.relative_to(self.of.root).as_posix()
        return {
            ".".join(filter(None, (module or shown, name))): piece.digest
            for (module, name), piece in self.found.items()
        }

    def labels(self) -> list[str]:
        """The labels of all pieces, sorted, each once."""
        targets = {key: [self._resolved(target) for target in piece.targets] for key, piece in self.found.items()}
        labels = {key: piece.digest for key, piece in self.found.items() if piece.text}
        count = 0
        while len(set(labels.values())) > count:
            count = len(set(labels.values()))
            labels = {
                key: _hash(self.found[key].text + "".join(self._label(target, labels) for target in targets[key]))
                for key in labels
            }
        return sorted(set(labels.values()))

    def _label(self, target: Reference | str, labels: Mapping[Reference, str]) -> str:
        if isinstance(target, str):
            return target
        if target[1] == "*":  # a module as an object: whatever is in it, by name
            content = self._module(target[0])
            inside = [f"{name}={labels.get((target[0], name), '')}" for name in sorted(content.pieces)]
            return _hash("\n".join(inside))
        return labels.get(target, "")

    def _resolved(self, target: Reference) -> Reference | str:
        """The definition that a reference leads to, through imports; of another library's thing the full name."""
        seen: set[Reference] = set()
        while target not in seen:
            seen.add(target)
            module, name = target
            if name == "*" or module in EXCLUDED or (module and self.of.file(module, self.script.parent) is None):
                return target
            content = self._module(module)
            if name in content.pieces:
                return target
            if name in content.foreign:
                return content.foreign[name]
            leads_to = content.imports.get(name)
            if not leads_to:
                return target
            target = min(leads_to)
        return target

    def _module(self, name: str) -> _Module:
        if name not in self.modules:
            path = self.of.file(name, self.script.parent) if name else self.script
            assert path is not None
            self.modules[name] = self.of.module(path, name if name.split(".")[0] == PACKAGE else None)
        return self.modules[name]

    def _take(self, module: str, name: str, piece: _Piece) -> None:
        if (module, name) in self.found:
            return
        self.found[module, name] = piece
        self.open += [(*reference, True) for reference in sorted(piece.references)]
        self.open += [(module, used, False) for used in sorted(piece.names)]
        new = piece.strings - self.strings
        self.strings |= new
        self._open_entries(sorted(new))

    def _open_entries(self, names: Iterable[str]) -> None:
        for name in names:
            if name in self.strings:
                for module, entry, piece in self.waiting.pop(name, []):
                    self._take(module, entry, piece)


class _Reader:
    """Cuts one file into pieces."""

    def __init__(self, of: Fingerprints, path: Path, shown: str, module: str | None, docstrings: bool) -> None:
        self.of, self.folder, self.shown, self.docstrings = of, path.parent, shown, docstrings
        self.name, self.library = module or "", module is not None
        self.package = ""
        if module is not None:
            self.package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        self.loader = shown == f"{PACKAGE}/__init__.py"
        self.bound: dict[str, set[Reference]] = {}  # names that imports at the top bind to what is ours
        self.foreign: dict[str, str] = {}  # and to what is of other libraries, by its full name
        self.own: set[str] = set()  # names that the file defines
        self.ours: set[str] = set()  # `bound`, and the file's own functions and classes, but for plain decorators

    def read(self, tree: ast.Module) -> _Module:
        module = _Module(imports=self.bound, foreign=self.foreign)
        body = tree.body if self.docstrings or not _has_docstring(tree) else tree.body[1:]
        for statement in body:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                self._bind(statement, self.bound, self.foreign)
        self.ours = {name for name in self.bound if not self._wraps(name)}
        self.ours |= {node.name for node in body if isinstance(node, _DEFINITIONS) and not _wraps(node)}
        self.own = {name for statement in body for name in self._defines(statement)}
        for statement in body:
            if isinstance(statement, ast.Import | ast.ImportFrom):
                self._import(statement, module.start)
                continue
            names, registry = self._defines(statement), _registry(statement)
            if registry is not None:
                things = module.entries.setdefault(names[0], {})
                for key, value in registry:
                    entry = _Piece(f"entry {key!r} of ", [(self.name, names[0])])
                    entry.add(self._piece(value))
                    things[key] = entry
            if not names:
                module.start.add(self._piece(statement))
            for name in names:
                module.pieces.setdefault(name, _Piece()).add(self._piece(statement, registry is not None))
        return module

    def _defines(self, statement: ast.stmt) -> list[str]:
        return [] if self._runs_ours(statement) else _defined(statement)

    def _import(self, statement: ast.Import | ast.ImportFrom, start: _Piece) -> None:
        """What is ours is run by an import; all names at once, and what Python itself changes, are kept as they are."""
        start.references |= {(name, "") for name in self._modules(statement)}
        if isinstance(statement, ast.ImportFrom):
            if any(alias.name == "*" for alias in statement.names):
                start.references |= self.bound.get("*", set())
            if statement.module == "__future__" or (statement.names[0].name == "*" and "*" not in self.bound):
                start.add(_Piece(normalised(statement)))

    def _piece(self, node: ast.AST, shell: bool = False) -> _Piece:
        """What a node says and uses; of a registry's `shell` the entries are left out."""
        if shell:
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            assert isinstance(node.value, ast.Call)
            call = ast.Call(node.value.func, [*node.value.args[:1], ast.Dict([], [])], node.value.keywords)
            node = ast.Assign(node.targets if isinstance(node, ast.Assign) else [node.target], call)
        piece = _Piece()
        bound = {name: set(references) for name, references in self.bound.items()}
        foreign, inside = dict(self.foreign), set[str]()
        literal: set[ast.expr] = set()  # calls such as import_module("interneuron.nets"), which can be followed
        nodes = _inside(node, self.docstrings)
        for inner in nodes:
            if isinstance(inner, ast.Import | ast.ImportFrom):
                self._bind(inner, bound, foreign)
                inside |= {alias.asname or alias.name.split(".")[0] for alias in inner.names}
                piece.references |= {(name, "") for name in self._modules(inner)}
            elif isinstance(inner, ast.Call) and _last_name(inner.func) in _DYNAMIC:
                first = inner.args[0] if len(inner.args) == 1 and not inner.keywords else None
                if isinstance(first, ast.Constant) and isinstance(first.value, str) and first.value[:1] != ".":
                    literal.add(inner.func)
                    piece.references |= {(name, "*") for name in self._existing(first.value, inner)}
            elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                piece.strings.add(inner.value)
        for inner in nodes:
            if isinstance(inner, ast.Name) and inner.id in _EVALUATES:
                raise self._refused(inner, inner.id)
            if isinstance(inner, ast.FunctionDef) and inner.name == "__init_subclass__":
                raise self._refused(inner, "__init_subclass__, which runs for classes that other modules define")
            last = _last_name(inner)
            if (last in _FOREIGN or (last in _DYNAMIC and inner not in literal)) and not self.loader:
                raise self._refused(inner, f"{last} with a name that is only known when it runs")
        piece.text = _Text(self, piece, bound, foreign, inside).of(node)
        return piece

    def _runs_ours(self, statement: ast.stmt) -> bool:
        """Whether defining a function or class calls what is ours: decorators, defaults, the body of a class."""
        if not isinstance(statement, _DEFINITIONS):
            return False
        if any(_root(decorator) in self.ours for decorator in statement.decorator_list):
            return True
        if isinstance(statement, ast.ClassDef):
            parts = [*statement.bases, *statement.keywords, *statement.body]
        else:
            parts = [*statement.args.defaults, *(default for default in statement.args.kw_defaults if default)]
        open_: list[ast.AST] = list(parts)
        while open_:
            node = open_.pop()
            if isinstance(node, ast.Call) and _root(node.func) in self.ours:
                return True
            if isinstance(node, ast.stmt):
                if self._runs_ours(node):
                    return True
                if isinstance(node, _DEFINITIONS):
                    continue
            open_ += ast.iter_child_nodes(node)
        return False

    def _wraps(self, bound: str) -> bool:
        """Whether an imported name is a plain decorator of another of our modules."""
        definitions = []
        for module, name in self.bound[bound]:
            path = self.of.file(module, self.folder)
            body = self.of.tree(path)[0].body if path and name != "*" else []
            definitions.append([node for node in body if isinstance(node, _DEFINITIONS) and node.name == name])
        return all(len(nodes) == 1 and _wraps(nodes[0]) for nodes in definitions)

    def _bind(
        self, node: ast.Import | ast.ImportFrom, bound: dict[str, set[Reference]], foreign: dict[str, str]
    ) -> None:
        """Names that an import binds: to a module of ours (`*`), to a name in one, or to what another library has."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                name, what = alias.asname or top, alias.name if alias.asname else top
                if self._is_ours(alias.name):
                    bound.setdefault(name, set()).add((what, "*"))
                else:
                    foreign[name] = what
            return
        base = self._base(node)
        for alias in node.names:
            if alias.name in _FOREIGN or (alias.name in _DYNAMIC and alias.asname):
                raise self._refused(node, f"{alias.name}, which imports by name")
        if not self._is_ours(base):
            foreign |= {alias.asname or alias.name: f"{base}.{alias.name}" for alias in node.names}
            return
        for alias in node.names:
            if alias.name == "*" and base == PACKAGE:
                raise self._refused(node, f"from {PACKAGE} import *")
            inner = f"{base}.{alias.name}"
            is_module = self.of.file(inner, self.folder) is not None
            name = alias.asname or alias.name
            bound.setdefault(name, set()).add((inner, "*") if is_module else (base, alias.name))

    def _base(self, node: ast.ImportFrom) -> str:
        base = node.module or ""
        if node.level:
            parts = self.package.split(".")
            if not self.package or node.level > len(parts):
                raise self._refused(node, "a relative import that leads out of the package")
            base = ".".join(parts[: len(parts) - node.level + 1] + ([base] if base else []))
        return base

    def _modules(self, node: ast.Import | ast.ImportFrom) -> Iterator[str]:
        """Our modules that an import runs."""
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from self._existing(alias.name, node)
            return
        base = self._base(node)
        yield from self._existing(base, node)
        if self._is_ours(base):
            for alias in node.names:
                if self.of.file(f"{base}.{alias.name}", self.folder) is not None:
                    yield f"{base}.{alias.name}"

    def _existing(self, name: str, node: ast.AST) -> Iterator[str]:
        """`name` and the packages it lies in, where they are ours."""
        if not self._is_ours(name):
            return
        parts = name.split(".")
        for end in range(1, len(parts) + 1):
            part = ".".join(parts[:end])
            if self.of.file(part, self.folder) is None:
                raise self._refused(node, f"import of {name}, which does not exist")
            yield part

    def _is_ours(self, name: str) -> bool:
        top = name.split(".")[0]
        if top == PACKAGE:
            return True
        # Snakemake puts a script's own folder on the path: its neighbours can be imported. The library's rooms cannot.
        return not self.library and bool(top) and self.of.file(top, self.folder) is not None

    def _refused(self, node: ast.AST, what: str) -> InputError:
        line = getattr(node, "lineno", 0)
        return InputError(
            f"{self.shown}: line {line} has {what}: reruns could not follow it, so name modules in plain imports"
        )


def _defined(statement: ast.stmt) -> list[str]:
    """Names that a statement defines and does nothing else; none where running it may do more."""
    if isinstance(statement, _DEFINITIONS):
        return [statement.name]
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
        targets = [statement.target]
    else:
        return []
    names = [name for target in targets for name in _plain(target)]
    calls = any(isinstance(node, ast.Call | ast.Await | ast.Yield | ast.NamedExpr) for node in ast.walk(statement))
    known = all(isinstance(target, ast.Name | ast.Tuple) for target in targets)
    return names if known and (not calls or _registry(statement) is not None) else []


def _wraps(statement: ast.stmt) -> bool:
    """Whether a function does no more, when it is called, than define functions and return one: a plain decorator."""
    if not isinstance(statement, ast.FunctionDef) or statement.decorator_list:
        return False
    body = statement.body[1:] if _has_docstring(statement) else statement.body
    return all(
        (isinstance(node, ast.FunctionDef) and not node.args.defaults and not node.args.kw_defaults)
        or (isinstance(node, ast.Return) and isinstance(node.value, ast.Name | ast.Constant))
        for node in body
    )


def _plain(target: ast.expr | None) -> list[str]:
    """Names that an assignment to a target binds."""
    if isinstance(target, ast.Tuple | ast.List):
        return [name for element in target.elts for name in _plain(element)]
    if isinstance(target, ast.Starred):
        return _plain(target.value)
    return [target.id] if isinstance(target, ast.Name) else []


def _registry(statement: ast.stmt) -> list[tuple[str, ast.expr]] | None:
    """Entries of `NAME = Registry("what", {"name": thing, ...})`; None for any other statement."""
    value = getattr(statement, "value", None) if isinstance(statement, ast.Assign | ast.AnnAssign) else None
    if not isinstance(value, ast.Call) or _last_name(value.func) != "Registry" or len(value.args) != 2:
        return None
    things = value.args[1]
    if not isinstance(things, ast.Dict) or any(isinstance(node, ast.Call) for node in ast.walk(things)):
        return None
    entries = []
    for key, thing in zip(things.keys, things.values, strict=True):
        if not isinstance(key, ast.Constant) or not isinstance(key.value, str):
            return None
        entries.append((key.value, thing))
    return entries


def _root(node: ast.AST) -> str:
    """The name that a chain of attributes and calls starts from."""
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.value if isinstance(node, ast.Attribute) else node.func
    return node.id if isinstance(node, ast.Name) else ""


def _last_name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def normalised(tree: ast.AST, docstrings: bool = False) -> str:
    """A syntax tree as text, without positions and docstrings.

    The text is the same under every supported Python, unlike `ast.dump`: fields come and go between versions (3.12
    added an empty `type_params`), so empty ones are left out. `docstrings` keeps docstrings, for code that reads them.
    """
    return _Plain(docstrings).of(tree)


def _inside(tree: ast.AST, docstrings: bool) -> list[ast.AST]:
    """All nodes of a syntax tree, docstrings left out as they are from its text."""
    nodes, done = [tree], 0
    while done < len(nodes):
        node = nodes[done]
        done += 1
        for name in node._fields:
            value = getattr(node, name, None)
            if type(value) is list:
                skipped = name == "body" and not docstrings and _has_docstring(node)
                nodes += [item for item in value[skipped:] if isinstance(item, ast.AST)]
            elif isinstance(value, ast.AST):
                nodes.append(value)
    return nodes


# Said by the place of the node that has it, or no part of what the code does.
_SKIPPED = frozenset({"ctx", "kind", "type_comment"})


class _Plain:
    """Writes a syntax tree as text."""

    def __init__(self, docstrings: bool) -> None:
        self.docstrings = docstrings
        self.pieces: list[str] = []

    def of(self, tree: ast.AST) -> str:
        self.node(tree)
        return "".join(self.pieces)

    def node(self, node: ast.AST) -> None:
        """Write a node, field by field."""
        kind, write = type(node), self.pieces.append
        write(kind.__name__ + "(")
        for name in kind._fields:
            value: Any = getattr(node, name, None)
            if value is None or value == [] or name in _SKIPPED:
                continue
            if name == "body" and not self.docstrings and _has_docstring(node):
                value = value[1:]
                if not value:
                    continue
            write(name + "=")
            if type(value) is not list:
                self.field(node, name, value)
            else:
                write("[")
                for item in value:
                    self.field(node, name, item)
                write("]")
            write(",")
        write(")")

    def field(self, node: ast.AST, name: str, value: Any) -> None:
        """Write the value of a field of a node, or one of its values."""
        if isinstance(value, ast.AST):
            self.node(value)
        else:
            self.pieces.append(repr(value))
        self.pieces.append(",")


class _Text(_Plain):
    """Writes a definition so that its text is free of place, and gives its piece what it uses.

    A name that is ours becomes `@` and the definition's own name, with the definition among the piece's targets; a name
    of another library becomes `<its full name>`; imports are left out. A function's own variables stay as they are.
    """

    def __init__(
        self,
        reader: _Reader,
        piece: _Piece,
        bound: Mapping[str, set[Reference]],
        foreign: Mapping[str, str],
        imported: Set[str],
    ) -> None:
        super().__init__(reader.docstrings)
        self.reader, self.piece, self.bound, self.foreign, self.imported = reader, piece, bound, foreign, imported
        self.variables: list[set[str]] = []  # of the functions around the node
        self.of_functions: dict[ast.AST, set[str]] = {}

    def field(self, node: ast.AST, name: str, value: Any) -> None:
        if isinstance(value, ast.Import | ast.ImportFrom):
            return
        inner = name == "body" and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if inner:
            self.variables.append(self._variables(node))
        super().field(node, name, value)
        if inner:
            self.variables.pop()

    def _variables(self, function: Any) -> set[str]:
        if function not in self.of_functions:
            self.of_functions[function] = _variables(function) - self.imported
        return self.of_functions[function]

    def node(self, node: ast.AST) -> None:
        if isinstance(node, ast.Attribute) and self._chain(node):
            return
        if not isinstance(node, ast.Name) or any(node.id in variables for variables in self.variables):
            super().node(node)
            return
        name = node.id
        if not isinstance(node.ctx, ast.Load):
            self.piece.names |= {name} & self.reader.own
            super().node(node)
        elif name in self.bound:
            for module, what in sorted(self.bound[name]):
                if (module, what) == (PACKAGE, "*"):
                    refused = f"{name} is used as an object, where only {name}.<room> can be followed"
                    raise self.reader._refused(node, refused)
                self._mark(module, what)
        elif name in self.reader.own:
            self.piece.names.add(name)
            self._mark(self.reader.name, name)
        elif name in self.foreign:
            self.pieces.append(f"<{self.foreign[name]}>")
        else:
            super().node(node)

    def _mark(self, module: str, name: str) -> None:
        self.pieces.append(f"@{name}")
        self.piece.targets.append((module, name))
        if module != self.reader.name:
            self.piece.references.add((module, name))

    def _chain(self, node: ast.Attribute) -> bool:
        """Write what `interneuron.nets.build` leads to; False where the chain starts from no module of ours.

        The lazy loader imports rooms on the way.
        """
        names: list[str] = []
        start: ast.expr = node
        while isinstance(start, ast.Attribute):
            names.append(start.attr)
            start = start.value
        if not isinstance(start, ast.Name) or any(start.id in variables for variables in self.variables):
            return False
        modules = sorted(module for module, name in self.bound.get(start.id, ()) if name == "*")
        if not modules or len(modules) < len(self.bound[start.id]):
            return False
        for module in modules:
            rest = list(reversed(names))
            while rest and self.reader.of.file(f"{module}.{rest[0]}", self.reader.folder) is not None:
                module = f"{module}.{rest.pop(0)}"
                self.piece.references.add((module, ""))
            if not rest and module == PACKAGE:
                raise self.reader._refused(node, f"{start.id} is used as an object, where only a room can be followed")
            self._mark(module, rest.pop(0) if rest else "*")
            self.pieces += [f".{name}" for name in rest]
        return True


def _variables(function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> set[str]:
    """A function's own variables: its parameters, and what the statements of its body bind.

    What expressions and nested functions bind is not among them, so that such names count wherever they stand.
    """
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    found = {argument.arg for argument in every if argument is not None}
    shared: set[str] = set()
    open_: list[Any] = list(function.body) if isinstance(function.body, list) else []
    while open_:
        node = open_.pop()
        if isinstance(node, _DEFINITIONS):
            found.add(node.name)
            continue
        if isinstance(node, ast.Global | ast.Nonlocal):
            shared.update(node.names)
        elif isinstance(node, ast.ExceptHandler):
            found.add(node.name or "")
        targets = [getattr(node, "target", None), *getattr(node, "targets", ())]
        targets += [item.optional_vars for item in getattr(node, "items", ())]
        found.update(name for target in targets for name in _plain(target))
        for name in ("body", "orelse", "finalbody", "handlers", "cases"):
            open_ += getattr(node, name, ())
    return found - shared


def _has_docstring(node: ast.AST) -> bool:
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not node.body:
        return False
    first = node.body[0]
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


def strings(value: Any) -> set[str]:
    """All strings in plain data: the names by which the config can choose."""
    if isinstance(value, dict):
        return set().union(*map(strings, value.values()), map(str, value))
    if isinstance(value, list | tuple):
        return set().union(*map(strings, value))
    return {value} if isinstance(value, str) else set()


def digest(value: Any) -> str:
    """Short SHA-256 of plain JSON data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:LENGTH]


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]
