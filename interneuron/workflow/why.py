"""What would run, and why: each job that is not up to date, with what changed since its results were made."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interneuron.errors import InputError
from interneuron.io import sha256
from interneuron.workflow.config import parsed
from interneuron.workflow.provenance import Folder
from interneuron.workflow.records import Record, read, settings_of

PROFILE = "profiles/default/profile.yaml"
MOST = 5  # changes of one kind that are told one by one
LONGEST = 120  # characters of a value


@dataclass(frozen=True)
class Job:
    """A job that would run: rule, wildcards, and its reasons, one sentence each."""

    rule: str
    wildcards: tuple[str, ...]
    reasons: tuple[str, ...]


def why(root: Path, configfiles: Iterable[Path] = (), config: Mapping[str, Any] | None = None) -> list[Job]:
    """The jobs that `snakemake` would run under `root`, in order; nothing is run or written.

    `configfiles` and `config` are those of `snakemake --configfile` and `--config`.
    """
    from snakemake.api import SnakemakeApi
    from snakemake.settings.types import (
        ConfigSettings,
        DAGSettings,
        OutputSettings,
        Quietness,
        RerunTrigger,
        ResourceSettings,
    )

    profile = parsed((root / PROFILE).read_text(encoding="utf-8"))
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL})) as api:
        workflow = api.workflow(
            ResourceSettings(cores=1),
            ConfigSettings(config=dict(config or {}), configfiles=[Path(path) for path in configfiles]),
            snakefile=root / "Snakefile",
            workdir=root,
        )
        triggers = frozenset(RerunTrigger.parse_choices_set(profile["rerun-triggers"]))
        dag = workflow.dag(
            DAGSettings(
                rerun_triggers=triggers,
                max_checksum_file_size=profile["max-checksum-file-size"],
                force_incomplete=profile["rerun-incomplete"],
            )
        )
        dag.execute_workflow(executor="dryrun")
        # Snakemake's own table of jobs: its interface only prints it.
        jobs = workflow._workflow.dag
        waiting = {job for job in jobs.needrun_jobs(exclude_finished=False) if job.output}
        folder, kept = Folder(root), read(root)
        known = _Known(
            root,
            {path: record["made"] for path, record in kept.results.items()} | folder.records(),
            folder.incomplete(),
            kept.codes | workflow._workflow.globals["PLAN"].code.known(),
            {str(path): _name(job) for job in waiting for path in job.output},
        )
        order = [job for level in jobs.toposorted() for job in sorted(level, key=_name) if job in waiting]
        return [Job(job.rule.name, tuple(map(str, job.wildcards)), tuple(_reasons(job, known))) for job in order]


def settings(pairs: Iterable[str]) -> dict[str, Any]:
    """What `--config` says, as Snakemake reads it. Raises InputError for what it doesn't take."""
    from snakemake.cli import parse_config

    try:
        return dict(parse_config(list(pairs)))
    except ValueError as error:
        raise InputError(f"--config {' '.join(pairs)}: {error}") from None


@dataclass(frozen=True)
class _Known:
    """What is known of the results: records by path, unfinished ones, parts of codes, and the waiting job of each."""

    root: Path
    records: Mapping[str, Record]
    incomplete: Mapping[str, bool]
    codes: Mapping[str, Mapping[str, str]]
    made_by: Mapping[str, tuple[str, ...]]


def text(jobs: list[Job]) -> str:
    """The jobs for a terminal: those of one rule with the same reasons together."""
    if not jobs:
        return "Nothing would run: everything is there and up to date."
    groups: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        groups.setdefault((job.rule, *job.wildcards[:-1], *job.reasons), []).append(job)
    lines = [f"{len(jobs):,} job{'s' * (len(jobs) != 1)} would run:"]
    for group in groups.values():
        lines += _together([(job.rule, *job.wildcards) for job in group])
        lines += [f"  {reason}" for reason in group[0].reasons]
    return "\n".join(lines)


def _name(job: Any) -> tuple[str, ...]:
    return (job.rule.name, *map(str, job.wildcards))


def _together(names: Iterable[tuple[str, ...]]) -> list[str]:
    """Names of jobs, those that differ in their last wildcard only in one: `cluster thesis-test 000-001, 002-003`."""
    last: dict[str, list[str]] = {}
    for name in names:
        last.setdefault(" ".join(name[:-1] or name), []).extend(name[1:][-1:])
    for each in last.values():
        if len(each) > MOST:
            each[MOST - 1 :] = [f"{len(each) - MOST + 1:,} more"]
    return [f"{first} {', '.join(each)}".rstrip() for first, each in last.items()]


def _reasons(job: Any, known: "_Known") -> Iterable[str]:
    outputs, inputs = list(map(str, job.output)), list(map(str, job.input))
    for path in outputs:
        if not (known.root / path).is_file():
            yield f"{path} {'has been removed' if path in known.records else 'has not been made yet'}"
        elif path in known.incomplete:
            unproved = known.incomplete[path]
            yield f"{path} " + (
                "has no record of what made it" if unproved else "was being made when a run was stopped"
            )
    recorded = [known.records[path] for path in outputs if path in known.records]
    if recorded:
        yield from _changed_settings(settings_of(recorded[0]) or {}, job.params.get("settings") or {}, known)
        yield from _changed_inputs(recorded[0], inputs, known)
    yield from _some("follows {}", _together(sorted({known.made_by[path] for path in inputs if path in known.made_by})))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _changed_settings(old: Mapping[str, Any], new: Mapping[str, Any], known: "_Known") -> Iterable[str]:
    old, new = _flat(old), _flat(new)
    code = old.pop("code", None), new.pop("code", None)
    changes = []
    for key in dict.fromkeys([*new, *old]):
        if key not in old:
            changes.append(f"{key} is new: {_short(new[key])}")
        elif key not in new:
            changes.append(f"{key} is gone: it was {_short(old[key])}")
        elif old[key] != new[key]:
            changes.append(f"{key} went from {_short(old[key])} to {_short(new[key])}")
    yield from _some("{}", changes)
    if code[0] == code[1]:
        return
    before, now = known.codes.get(str(code[0])), known.codes.get(str(code[1]), {})
    if before is None:
        yield "its code has changed (what it was is not recorded)"
        return
    yield from _some("{} has changed", [name for name in sorted(now) if name in before and before[name] != now[name]])
    yield from _some("{} is used now", _only(now, before))
    yield from _some("{} is not used any more", _only(before, now))


def _only(parts: Mapping[str, str], others: Mapping[str, str]) -> list[str]:
    """Names of parts that others lack; what says the same there under another module's name has only moved."""
    elsewhere = {(name.rpartition(".")[2], digest) for name, digest in others.items()}
    return sorted(
        name for name in parts.keys() - others.keys() if (name.rpartition(".")[2], parts[name]) not in elsewhere
    )


def _changed_inputs(made: Record, inputs: list[str], known: "_Known") -> Iterable[str]:
    old = set(made.get("input") or [])
    yield from _some("it reads {} now", sorted(set(inputs) - old))
    yield from _some("it does not read {} any more", sorted(old - set(inputs)))
    sums = made.get("input_checksums") or {}
    same = [path for path in sorted(old & set(inputs)) if path in sums and path not in known.made_by]
    changed = [path for path in same if sums[path] != f"sha256:{sha256(known.root / path)}"]
    yield from _some("{} has other bytes", changed)


def _some(sentence: str, things: list[str]) -> Iterable[str]:
    """A sentence for each thing, and one for those that are too many."""
    shown = things if len(things) <= MOST else things[: MOST - 1]
    yield from (sentence.format(thing) for thing in shown)
    if len(things) > len(shown):
        yield sentence.format(f"({len(things) - len(shown):,} more)")


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
