"""Rows of the ledger as people read them: statements by paper, readings of one statement, sentences on a study.

A row is a mapping of text, as `results/claims.tsv` and `docs/ledger.tsv` have it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf, nan
from statistics import quantiles

from interneuron.claims import (
    BEYOND,
    FAILS,
    HOLDS,
    IN_PART,
    NOT_COMPARABLE,
    PAPER,
    SOME_READINGS,
    WITHIN,
    group_verdict,
    parse,
    readings_verdict,
)

Row = Mapping[str, str]

# Of statements about a method, and of numbers read off one run; what cannot be compared may be either.
OF_METHODS = (HOLDS, IN_PART, SOME_READINGS, FAILS)
OF_RUNS = (WITHIN, BEYOND)
VERDICTS = (HOLDS, IN_PART, FAILS, WITHIN, BEYOND, NOT_COMPARABLE)  # of one row


@dataclass(frozen=True)
class Reading:
    """One reading of a statement: its parts, which are one verdict together."""

    name: str
    rows: tuple[Row, ...]

    @property
    def verdict(self) -> str:
        """What its comparable parts agree on, else *holds in part*."""
        return group_verdict(row["verdict"] for row in self.rows)


@dataclass(frozen=True)
class Statement:
    """What one source states, in all studies and readings that test it."""

    by: str
    name: str
    readings: tuple[Reading, ...]

    @property
    def rows(self) -> list[Row]:
        """All rows of all readings."""
        return [row for reading in self.readings for row in reading.rows]

    @property
    def verdict(self) -> str:
        """What its comparable readings agree on, else *in some readings*."""
        return readings_verdict(reading.verdict for reading in self.readings)

    @property
    def is_number(self) -> bool:
        """Whether it is numbers read off one run, and no statement about the method."""
        return not any(row["holds_if"] for row in self.rows) and self.verdict != NOT_COMPARABLE

    @property
    def why(self) -> list[str]:
        """Why it fails, as far as its rows say."""
        return list(dict.fromkeys(row["why"] for row in self.rows if row["why"]))


def statements(rows: Iterable[Row]) -> list[Statement]:
    """What papers state, in the order of the rows' papers and of their names in the rows.

    Rows belong together by the name of their source and their `statement`; among them, those of one study and one
    `reading` are one reading. A reading is named by what it takes, and by its study where that alone would be unclear.
    """
    found: dict[tuple[str, str], dict[tuple[str, str], list[Row]]] = {}
    for row in rows:
        if row["says"] == PAPER:
            of = found.setdefault((source(row), row["statement"] or row["group"] or row["claim"]), {})
            of.setdefault((row["study"], row["reading"]), []).append(row)
    papers = list(dict.fromkeys(by for by, _ in found))
    listed = []
    for (by, name), readings in sorted(found.items(), key=lambda item: papers.index(item[0][0])):
        times = Counter(taken for _, taken in readings)
        named = [
            Reading(taken if taken and times[taken] == 1 else f"{study}, {taken}" if taken else study, tuple(parts))
            for (study, taken), parts in readings.items()
        ]
        listed.append(Statement(by, name, tuple(named)))
    return listed


def source(row: Row) -> str:
    """The name of a row's source: of `hui2022, table 3.1` that is `hui2022`."""
    return row["source"].partition(",")[0].strip()


def own(rows: Iterable[Row]) -> list[Row]:
    """Rows of our own controls and questions."""
    return [row for row in rows if row["says"] != PAPER]


def counted(verdicts: Iterable[str], one: str, many: str) -> str:
    """`13 claims: 7 hold, 2 hold in part, 3 fail, 1 not comparable`; `one` and `many` name what is counted."""
    counts = Counter(verdicts)
    words = {
        HOLDS: ("holds", "hold"),
        IN_PART: ("holds in part", "hold in part"),
        SOME_READINGS: ("holds in some readings", "hold in some readings"),
        FAILS: ("fails", "fail"),
        WITHIN: ("within the seeds' range", "within the seeds' range"),
        BEYOND: ("beyond the seeds' range", "beyond the seeds' range"),
        NOT_COMPARABLE: (NOT_COMPARABLE, NOT_COMPARABLE),
    }
    parts = [f"{n} {words[verdict][n > 1]}" for verdict in words if (n := counts[verdict])]
    total = sum(counts.values())
    return f"{total} {one if total == 1 else many}: {', '.join(parts)}" if parts else f"no {many}"


# numbers for people


def number(value: str) -> str:
    """Three digits, or all of a whole number; nothing for nothing."""
    try:
        x = float(value)
    except ValueError:
        return value
    if x != x:
        return ""
    text = f"{x:,.0f}" if (x.is_integer() and abs(x) < 1e9) or abs(x) >= 1000 else f"{x:.3g}"
    return text.replace("-", "\N{MINUS SIGN}")


def measured(row: Row) -> str:
    """What was measured, with its interval: `4 [3, 5]`."""
    if not number(row["measured"]):
        return ""
    mark = "" if row["interval"] in ("", "95%") else f" {row['interval']}"
    return f"{number(row['measured'])} [{number(row['low'])}, {number(row['high'])}]{mark}"


def distance(row: Row) -> float:
    """How far what was measured is from what is stated, in interquartile ranges of the seeds.

    It is infinite where their range is 0. Of a range in the condition the nearer end counts; of a number read off one
    run, that number. Not a number where there is nothing to compare.
    """
    if not number(row["measured"]):
        return nan
    bounds = parse(row["holds_if"]).bounds if row["holds_if"] else (float(row["reported"]),)
    away = min(abs(float(row["measured"]) - bound) for bound in bounds)
    values = [float(value) for value in row["values"].split()] or [float(row["low"]), float(row["high"])]
    lower, _, upper = quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3
    return away / (upper - lower) if upper > lower else inf


def sentences(rows: Sequence[Row]) -> list[str]:
    """What came out of a study, in up to three sentences, from its rows alone.

    How the paper's statements and numbers came out; the failing statement that is missed by most, with what was
    measured and how it was tested; and how our own controls and questions came out.
    """
    found = []
    papers = statements(rows)
    seeds = max((int(row["n"] or 0) for row in rows), default=0)
    over = f"Over {seeds} seeds" if seeds > 1 else "In one run"
    methods = [statement.verdict for statement in papers if not statement.is_number]
    runs = [statement.verdict for statement in papers if statement.is_number]
    parts = [counted(methods, "statement of the paper", "statements of the paper")] if methods else []
    parts += [counted(runs, "number of a single run", "numbers of single runs")] if runs else []
    if parts:
        found.append(f"{over}: {'; '.join(parts)}.")
    if failing := [row for row in rows if row["says"] == PAPER and row["verdict"] == FAILS]:
        most = max(failing, key=distance)
        found.append(
            f"Furthest from what is stated: {most['states']} (measured {measured(most)}, tested as {most['holds_if']})."
        )
    if mine := own(rows):
        ours = counted((row["verdict"] for row in mine), "control or question", "controls and questions")
        found.append(f"Of our own {ours}.")
    return found
