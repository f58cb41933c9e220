"""The picture of the ledger: for each claim a strip, on a scale of its own, of what is stated and what was measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from interneuron.claims import BEYOND, FAILS, HOLDS, IN_PART, NOT_COMPARABLE, SOME_READINGS, WITHIN, Condition, parse
from interneuron.workflow.statements import Statement, measured

# In the order of a summary: name, mark that stands beside the colour, class of the style sheet.
VERDICTS = {
    HOLDS: ("\N{CHECK MARK}", "holds"),
    IN_PART: ("\N{ALMOST EQUAL TO}", "part"),
    SOME_READINGS: ("\N{ALMOST EQUAL TO}", "part"),
    FAILS: ("\N{BALLOT X}", "fails"),
    WITHIN: ("\N{CHECK MARK}", "within"),
    BEYOND: ("\N{RIGHTWARDS ARROW}", "beyond"),
    NOT_COMPARABLE: ("\N{EN DASH}", "apart"),
}

LINE = 0.006  # half the width of a region that is one number, of the strip's width
MARGIN = 0.06


@dataclass(frozen=True)
class Strip:
    """Places along a strip, from 0 to 1: `region` where the claim holds, `seeds`, `interval`, and the statistic.

    Of a number read off one run there is no region, but that number, `reported`.
    """

    region: list[tuple[float, float]]
    reported: float | None
    seeds: list[float]
    interval: tuple[float, float]
    measured: float


def strip(row: Mapping[str, str]) -> Strip | None:
    """The strip of a row of the ledger; None where nothing was measured, or nothing is compared."""
    if row["measured"] in ("", "nan") or not (row["holds_if"] or row["verdict"] in (WITHIN, BEYOND)):
        return None
    condition = parse(row["holds_if"]) if row["holds_if"] else None
    reported = None if condition else float(row["reported"])
    measured, low, high = (float(row[key]) for key in ("measured", "low", "high"))
    shares = condition is not None and condition.statistic == "share"
    seeds = [] if shares else [float(value) for value in row["values"].split()]
    bounds = condition.bounds if condition else (float(row["reported"]),)
    shown = [measured, low, high, *seeds, *bounds, *((0.0, 1.0) if shares else ())]
    least, most = min(shown), max(shown)
    span = (most - least) or abs(most) or 1.0
    start, width = (least + most) / 2 - (0.5 + MARGIN) * span, (1 + 2 * MARGIN) * span

    def place(x: float) -> float:
        return round((x - start) / width, 4)

    return Strip(
        region=[] if condition is None else _region(condition, [place(bound) for bound in condition.bounds]),
        reported=None if reported is None else place(reported),
        seeds=[place(seed) for seed in seeds],
        interval=(place(low), place(high)),
        measured=place(measured),
    )


def _region(condition: Condition, bounds: list[float]) -> list[tuple[float, float]]:
    """Where the condition is true, as pairs of places."""
    first, last = bounds[0], bounds[-1]
    return {
        "<": [(0.0, first)],
        "<=": [(0.0, first)],
        ">": [(first, 1.0)],
        ">=": [(first, 1.0)],
        "==": [(first - LINE, first + LINE)],
        "!=": [(0.0, first - LINE), (first + LINE, 1.0)],
        "in": [(first - LINE, last + LINE)],
    }[condition.operator]


@dataclass(frozen=True)
class Line:
    """One line of the picture: where it leads, its name, what the pointer shows, strip, what was measured, verdict."""

    anchor: str
    name: str
    title: str
    strip: Strip | None
    measured: str
    verdict: str


def line(row: Mapping[str, str], anchor: str = "", name: str = "") -> Line:
    """The picture's line of one row of the ledger."""
    stated = row["holds_if"] or (f"reported {row['reported']}" if row["reported"] else "")
    title = f"{row['states']} ({stated})" if stated else row["states"]
    return Line(anchor, name or row["claim"], title, strip(row), measured(row), row["verdict"])


def picture(statements: Sequence[Statement]) -> str:
    """What papers state as one SVG: a group a paper, a line a row of the ledger, named by statement and reading."""
    groups: dict[str, list[Line]] = {}
    for statement in statements:
        for reading in statement.readings:
            for row in reading.rows:
                part = row["claim"] if len(reading.rows) > 1 else statement.name
                name = f"{part}, {reading.name}" if len(statement.readings) > 1 else part
                groups.setdefault(statement.by, []).append(line(row, name=name))
    return rendered("ledger.svg", groups=groups, verdicts=VERDICTS)


def rendered(template: str, **values: Any) -> str:
    """A template of this room with its values, all of them escaped; a value that is missing is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("interneuron.workflow"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(**values)
