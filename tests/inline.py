"""The workflow without Snakemake: what the rules say, their jobs run one after another in this process.

For tests that go through many small studies, each to its last file: a job costs what its script does, and no start.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any

from snakemake.io import apply_wildcards
from snakemake.iocontainers import InputFiles, Log, OutputFiles, Wildcards
from synthetic import script

from interneuron.workflow import config
from interneuron.workflow.plan import Plan

ROOT = Path(__file__).resolve().parent.parent


class _NoCode:
    """In the place of fingerprints, which cost more than the small jobs and decide nothing here."""

    def of(self, step: str, names: Any) -> str:
        return "code"

    def definition(self, module: str, name: str) -> str:
        return "code"


def plan_of(project: config.Project) -> Plan:
    plan = Plan.__new__(Plan)
    plan.project, plan.lock, plan.code = project, None, _NoCode()
    return plan


@cache
def _rules() -> dict[str, str]:
    """The text of every rule."""
    text = "\n".join(path.read_text() for path in sorted((ROOT / "rules").glob("*.smk")))
    return dict(re.findall(r"^rule (\w+):\n(.*?)(?=^rule |\Z)", text, re.M | re.S))


@cache
def _arguments(rule: str, name: str) -> CodeType:
    """What a rule says of its `input`, `output` or `params`, as the arguments of a call that hands them back."""
    found = re.search(rf"^    {name}:\n((?:        .*\n)+)", _rules()[rule], re.M)
    return compile(f"(lambda *args, **kwargs: (list(args), kwargs))({found[1] if found else ''})", rule, "eval")


class Rules:
    """Inputs, outputs and params of every rule in `rules/`, for the jobs of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.rules = plan, _rules()

    def _section(self, rule: str, name: str) -> tuple[list[Any], dict[str, Any]]:
        names = {"PLAN": self.plan, "unpack": _Unpacked, "report": lambda path, **kwargs: path}
        return eval(_arguments(rule, name), names)

    def jobs(self) -> Iterator[tuple[str, Wildcards]]:
        for rule in self.rules:
            for job in self.plan.jobs(rule):
                yield rule, Wildcards(fromdict=job)

    def outputs(self, rule: str, wildcards: Wildcards) -> dict[str, str]:
        """By name, or by number where they have none."""
        positional, named = self._section(rule, "output")
        found = {**dict(enumerate(positional)), **named}
        return {name: apply_wildcards(path, dict(wildcards.items())) for name, path in found.items()}

    def inputs(self, rule: str, wildcards: Wildcards) -> dict[str, Any]:
        positional, named = self._section(rule, "input")
        for value in positional:
            named |= value.function(wildcards)

        def made(value: Any) -> Any:
            value = value(wildcards) if callable(value) else value
            return apply_wildcards(value, dict(wildcards.items())) if isinstance(value, str) else value

        return {name: made(value) for name, value in named.items()}

    def settings(self, rule: str, wildcards: Wildcards) -> dict[str, Any]:
        return self._section(rule, "params")[1]["settings"](wildcards)


class _Unpacked:
    """A function that gives inputs by name."""

    def __init__(self, function: Any) -> None:
        self.function = function


def run(project: config.Project) -> list[str]:
    """Make all files of a config in the folder that this process is in; those that are there stay. Names of rules."""
    rules = Rules(plan_of(project))
    makers = {path: job for job in rules.jobs() for path in rules.outputs(*job).values()}
    done: list[str] = []

    def make(path: str) -> None:
        if Path(path).is_file():
            return
        rule, wildcards = makers[path]
        inputs = rules.inputs(rule, wildcards)
        for value in inputs.values():
            for file in [value] if isinstance(value, str) else value:
                make(file)
        outputs = rules.outputs(rule, wildcards)
        job = SimpleNamespace(
            rule=rule,
            input=_named(InputFiles, inputs),
            output=_named(OutputFiles, outputs),
            params=SimpleNamespace(settings=rules.settings(rule, wildcards)),
            wildcards=wildcards,
            threads=1,
            log=Log([f"logs/{rule}.log"]),
        )
        done.append(rule)
        script(rule).main(job)
        assert all(Path(output).is_file() for output in outputs.values()), rule

    for path in makers:
        make(path)
    return done


def _named(kind: Any, files: dict[Any, Any]) -> Any:
    """Files as Snakemake hands them to a script: in order, and by name."""
    found = kind()
    for name, value in files.items():
        start = len(found)
        found.extend([value] if isinstance(value, str) else value)
        if isinstance(name, str):
            found._set_name(name, start, None if isinstance(value, str) else len(found))
    return found
