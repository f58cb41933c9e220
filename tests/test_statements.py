"""What papers state over studies and readings, sentences on a study, and the picture's strips."""

import re
from xml.etree import ElementTree

import pytest

from interneuron.claims import COLUMNS, judged
from interneuron.workflow import statements as st
from interneuron.workflow.strips import line, picture, strip


def row(claim: str = "T1", study: str = "s", values: str = "3 3 3 3 4 5", **entry: str) -> dict[str, str]:
    usual = {"says": "paper", "statement": claim, "source": "hui2022, p. 1", "states": "three clusters"}
    entry = usual | {"reported": "3", "holds_if": "median <= 3"} | entry
    cells = {"study": study, "claim": claim, "values": values} | judged(entry, values, len(values.split()))
    return {key: "" if (value := cells.get(key, "")) != value else str(value) for key in COLUMNS}


def test_rows_of_one_statement_belong_together_over_studies_and_readings() -> None:
    found = st.statements(
        [
            row("a", statement="T6"),
            row("b", statement="T6", holds_if="median <= 4"),
            row("c", study="t", statement="T6", reading="3 draws", holds_if="median <= 5"),
            row("d", source="tong2018, p. 2"),
            row("e", says="control", statement="T6"),
        ]
    )
    assert [(statement.by, statement.name) for statement in found] == [("hui2022", "T6"), ("tong2018", "d")]
    first = found[0]
    assert [(reading.name, reading.verdict) for reading in first.readings] == [
        ("s", "holds in part"),
        ("3 draws", "holds"),
    ]
    assert (first.verdict, len(first.rows)) == ("in some readings", 3)


def test_readings_with_the_same_name_are_told_apart_by_their_studies() -> None:
    (found,) = st.statements([row(reading="raw"), row(study="t", reading="raw"), row(study="u")])
    assert [reading.name for reading in found.readings] == ["s, raw", "t, raw", "u"]


def test_numbers_of_single_runs_are_told_from_statements() -> None:
    number, statement, neither = st.statements(
        [row("n", holds_if=""), row("s"), row("x", holds_if="", not_comparable="by eye")]
    )
    assert (number.is_number, statement.is_number, neither.is_number) == (True, False, False)
    assert (number.verdict, neither.verdict) == ("within", "not comparable")


def test_why_is_said_once() -> None:
    (found,) = st.statements([row("a", statement="T", why="no plateau"), row("b", statement="T", why="no plateau")])
    assert found.why == ["no plateau"]


def test_counts_are_a_sentence() -> None:
    verdicts = ["holds", "fails", "fails", "holds in part", "not comparable", "within", "beyond", "in some readings"]
    assert st.counted(verdicts, "claim", "claims") == (
        "8 claims: 1 holds, 1 holds in part, 1 holds in some readings, 2 fail, 1 within the seeds' range, "
        "1 beyond the seeds' range, 1 not comparable"
    )
    assert st.counted(["holds"], "claim", "claims") == "1 claim: 1 holds"
    assert st.counted([], "claim", "claims") == "no claims"


@pytest.mark.parametrize(
    ("value", "text"),
    [("", ""), ("nan", ""), ("3.0", "3"), ("0.123456", "0.123"), ("-0.5", "−0.5"), ("1234.5", "1,234"), ("x", "x")],
)
def test_numbers_have_three_digits(value: str, text: str) -> None:
    assert st.number(value) == text


def test_distance_is_in_interquartile_ranges() -> None:
    assert st.distance(row(values="1 2 3 4 5", holds_if="median >= 7")) == 2  # from the median, 3, by 4, over 4 - 2
    assert st.distance(row(values="1 2 3 4 5", holds_if="median in [7, 11]")) == 2
    assert st.distance(row(values="1 2 3 4 5", holds_if="", reported="4")) == 0.5
    assert st.distance(row(values="3 3 3", holds_if="median >= 7")) == float("inf")


def test_three_sentences_say_what_came_out() -> None:
    rows = [
        row("a"),
        row("near", states="nearly four", values="1 2 3 4 5", holds_if="median >= 4"),
        row("far", states="many", values="1 2 3 4 5 6", holds_if="median >= 40"),
        row("n", holds_if=""),
        row("q", says="question", source="interneuron"),
        row("c", says="control", holds_if="median > 9"),
    ]
    assert st.sentences(rows) == [
        "Over 6 seeds: 3 statements of the paper: 1 holds in part, 2 fail; 1 number of a single run: 1 within the "
        "seeds' range.",
        "Furthest from what is stated: many (measured 3.5 [1, 6], tested as median >= 40).",
        "Of our own 2 controls and questions: 1 holds in part, 1 fails.",
    ]
    assert st.sentences([row("q", says="question")]) == ["Of our own 1 control or question: 1 holds in part."]
    assert st.sentences([]) == []


# the picture


@pytest.mark.parametrize(
    ("holds_if", "true"),
    [
        ("median >= 4", [4, 5]),
        ("median < 4", [3]),
        ("median in [3, 4]", [3, 4]),
        ("median == 4", [4]),
        ("median != 4", [3, 5]),
    ],
)
def test_what_lies_in_the_region_is_what_meets_the_condition(holds_if: str, true: list[int]) -> None:
    found = strip(row(holds_if=holds_if))
    assert found is not None
    inside = {
        value
        for value, x in zip((3, 3, 3, 3, 4, 5), found.seeds, strict=True)
        if any(start <= x <= end and not (holds_if == "median < 4" and x == end) for start, end in found.region)
    }
    assert inside == set(true)
    assert found.interval[0] <= found.measured <= found.interval[1]
    assert all(0 <= x <= 1 for x in (*found.seeds, *found.interval, *(x for pair in found.region for x in pair)))


def test_a_number_of_one_run_is_a_place_and_a_share_has_no_seeds() -> None:
    number = strip(row(holds_if="", reported="9"))
    assert number is not None
    assert number.reported is not None
    assert (number.region, number.reported > max(number.seeds)) == ([], True)
    share = strip(row(values="1 1 0", holds_if="share >= 0.5"))
    assert share is not None
    assert (share.seeds, share.reported) == ([], None)
    same = strip(row(values="0 0 0", holds_if="median == 0"))
    assert same is not None
    assert same.measured == 0.5


def test_there_is_no_strip_where_nothing_was_measured() -> None:
    assert strip(row(values="")) is None
    assert strip(row(not_comparable="by eye")) is None
    assert line(row(values="3", holds_if="")).strip is None  # one seed has no range


def test_the_picture_has_a_line_a_row_and_says_what_it_is() -> None:
    rows = [row("T1", states="less < more"), row("a", statement="T6"), row("b", statement="T6", study="t")]
    root = ElementTree.fromstring(picture(st.statements(rows)))
    texts = ["".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert [text for text in texts if re.match("T[16]", text)] == ["T1", "T6, s", "T6, t"]
    titles = [element.text for element in root.iter("{http://www.w3.org/2000/svg}title")]
    assert titles[0] == "less < more (median <= 3)"
    assert len([g for g in root.iter("{http://www.w3.org/2000/svg}g") if g.get("class") == "strip"]) == 3
