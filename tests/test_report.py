import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from synthetic import claims_table, draw, page, script, write

from interneuron import io
from interneuron.errors import InputError
from interneuron.workflow.report import CAPTIONS, render
from interneuron.workflow.strips import VERDICTS

VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Elements of a page: tag, attributes and text; every tag must be closed in its order."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str], list[str]]] = []
        self.open: list[tuple[str, dict[str, str], list[str]]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = (tag, {key: value or "" for key, value in attrs}, list[str]())
        self.elements.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        for _, _, text in self.open:
            text.append(data)

    def of(self, tag: str, **attributes: str) -> list[tuple[dict[str, str], str]]:
        """Attributes and text of the elements with this tag and these attributes."""
        return [
            (attrs, " ".join("".join(text).split()))
            for name, attrs, text in self.elements
            if name == tag and all(attrs.get(key.rstrip("_")) == value for key, value in attributes.items())
        ]


def study(**changes: Any) -> dict[str, Any]:
    entry = {"title": "Tiny", "paper": "hui2022", "section": "1", "summary": "", "figures": [], "parameters": {}}
    return entry | changes


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    folder = tmp_path_factory.mktemp("report")
    paths = write(folder)
    figures = [draw(paths, folder / "figures" / name) for name in ("kl.png", "traversal.png", "traversal.gif")]
    text = page(paths, figures, folder / "report.html").read_text()
    return SimpleNamespace(paths=paths, figures=figures, text=text, page=Page(text), folder=folder)


def test_every_claim_has_a_row_with_its_verdict_and_numbers(report: SimpleNamespace) -> None:
    rows = {attrs["id"]: text for attrs, text in report.page.of("tr", class_="claim")}
    claims = io.load_table(report.paths.claims)
    assert list(rows) == [f"claim-tiny-{claim}" for claim in claims["claim"]]
    for claim, text in zip(claims.itertuples(), rows.values(), strict=True):
        assert text.startswith(f"{VERDICTS[str(claim.verdict)][0]} {claim.verdict} {claim.states}")
        for part in (claim.claim, claim.source, claim.reported, claim.holds_if, claim.note, claim.why, f" {claim.n}"):
            assert str(part) in text
        assert "nan" not in text.lower()
    assert "10 [8, 12] median in [9, 13] 10 80%" in rows["claim-tiny-t6-clusters-0"]
    assert "hui2022, section 3 · 3 draws" in rows["claim-tiny-t6-clusters-0"]
    assert "0.0812 [0.0712, 0.0912] (least, greatest) median < 0.5 2 100%" in rows["claim-tiny-t7-important"]
    assert "8 8 [5, 10] (range, 71%) 6" in rows["claim-tiny-t9-clusters"]
    assert "i-control · interneuron · control" in rows["claim-tiny-i-control"]


def test_the_picture_leads_from_a_strip_to_its_claim(report: SimpleNamespace) -> None:
    claims = io.load_table(report.paths.claims)
    links = [attrs for attrs, _ in report.page.of("a") if "title" in attrs]
    assert [link["href"] for link in links] == [f"#claim-tiny-{claim}" for claim in claims["claim"]]
    assert links[0]["title"] == "exactly one latent changes the image (median == 1)"
    strips = [attrs for attrs, _ in report.page.of("g") if attrs.get("class") == "strip"]
    assert len(strips) == (claims["verdict"] != "not comparable").sum()


def test_a_study_says_first_what_came_out(report: SimpleNamespace) -> None:
    (section,) = [text for attrs, text in report.page.of("section") if attrs["id"] == "tiny"]
    assert (
        "What came out. Over 10 seeds: 4 statements of the paper: 1 holds, 1 holds in some readings, 1 fails, 1 not "
        "comparable; 2 numbers of single runs: 1 within the seeds' range, 1 beyond the seeds' range. Furthest from "
        "what is stated: exactly one latent changes the image (measured 2 [2, 3], tested as median == 1). Of our own "
        "1 control or question: 1 holds."
    ) in section


def test_the_ledger_comes_first_with_its_counts_and_groups(report: SimpleNamespace) -> None:
    sections = [attrs["id"] for attrs, _ in report.page.of("section")]
    assert sections == ["ledger", "tiny", "reading"]
    counts = [text for _, text in report.page.of("ul", class_="counts")]
    assert counts == [
        "hui2022 ✓ holds: 1 ≈ in some readings: 1 ✗ fails: 1 ✓ within: 1 → beyond: 1 – not comparable: 1",
        "our controls and questions ✓ holds: 1",
    ]
    assert [text for _, text in report.page.of("tr", class_="group")] == ["t6: 1 holds, 1 holds in part"]


def test_figures_are_embedded_whole_with_anchor_and_caption(report: SimpleNamespace) -> None:
    anchors = [attrs["id"] for attrs, _ in report.page.of("figure")]
    assert anchors == ["tiny-kl", "tiny-traversal", "tiny-traversal-gif"]
    images = report.page.of("img")
    for (attrs, _), path, mime in zip(images, report.figures, ("png", "png", "gif"), strict=True):
        head, _, data = attrs["src"].partition(",")
        assert head == f"data:image/{mime};base64"
        assert base64.b64decode(data, validate=True) == path.read_bytes()
        assert attrs["alt"] == CAPTIONS[path.name]


def test_links_lead_to_anchors_of_the_page_and_nothing_is_loaded(report: SimpleNamespace) -> None:
    identifiers = [attrs["id"] for _, attrs, _ in report.page.elements if "id" in attrs]
    assert len(identifiers) == len(set(identifiers))
    links = [attrs["href"] for attrs, _ in report.page.of("a")]
    assert len(links) > 10
    assert {link.removeprefix("#") for link in links} <= set(identifiers)
    assert set(identifiers) - {link.removeprefix("#") for link in links} == set()
    assert {tag for tag, _, _ in report.page.elements} & {"script", "link", "iframe", "object", "base", "form"} == set()
    sources = [
        (key, value) for _, attrs, _ in report.page.elements for key, value in attrs.items() if key in ("src", "srcset")
    ]
    assert all(value.startswith("data:image/") for _, value in sources)
    (style,) = report.page.of("style")
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    (policy,) = report.page.of("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy[0]["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


def test_text_is_escaped(report: SimpleNamespace) -> None:
    assert "<script>" not in report.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in report.text
    assert "A tiny study of &lt;bars&gt;" in report.text
    assert "accuracy &lt; 0.5 &amp; &lt;b&gt;SSIM&lt;/b&gt;" in report.text
    quoted = claims_table()
    quoted["seeds"] = '0" onclick="x'
    shown = Page(render('<&"', quoted, {"tiny": study()}, {}))
    assert not [attrs for _, attrs, _ in shown.elements if "onclick" in attrs]
    assert shown.of("h1")[0][1] == '<&"'


def test_a_section_says_where_its_study_is_from_and_how_it_was_set(report: SimpleNamespace) -> None:
    (section,) = [text for attrs, text in report.page.of("section") if attrs["id"] == "tiny"]
    assert section.startswith("A tiny study of <bars> hui2022, chapter 3 What came out. Over 10 seeds:")
    assert "Bars turn, when a latent moves. Two & three < four." in section
    cells = [text for _, text in report.page.of("td")]
    for name, value in (("ace.alphas", "-1, 0, 1"), ("ace.draws", "16"), ("model", "vae-tiny")):
        assert cells[cells.index(name) + 1] == value


def test_parameters_are_flat_and_readable() -> None:
    readings = [{"reading": "A", "draws": 3}, {"reading": "B"}]
    parameters = {"cluster": {"readings": readings, "empty": {}, "on": True, "none": None, "list": []}}
    shown = Page(render("t", claims_table(), {"tiny": study(parameters=parameters)}, {}))
    cells = [text for _, text in shown.of("td")][-10:]
    assert dict(zip(cells[::2], cells[1::2], strict=True)) == {
        "cluster.readings": "reading A, draws 3; reading B",
        "cluster.empty": "{}",
        "cluster.on": "true",
        "cluster.none": "null",
        "cluster.list": "[]",
    }


def test_the_page_is_the_same_each_time_and_has_no_date(report: SimpleNamespace) -> None:
    again = page(report.paths, report.figures, report.folder / "again.html").read_text()
    assert again == report.text
    assert not re.search(r"\b20\d\d-\d\d-\d\d\b|\b\d\d:\d\d\b", re.sub(r'src="[^"]*"', "", report.text))


def test_a_study_without_claims_and_a_ledger_without_rows() -> None:
    shown = Page(render("t", claims_table().iloc[:0], {"tiny": study(), "other": study(title="Other")}, {}))
    assert [text for _, text in shown.of("tr", class_="study")] == ["Tiny tiny", "Other other"]
    assert [text for _, text in shown.of("td")] == ["No claims."] * 2
    assert shown.of("a", href="#ledger")[0][1] == "The ledger: 0 claims"


def test_the_captions_are_those_of_the_figures_there_are() -> None:
    assert set(CAPTIONS) == set(script("figures").FIGURES._things)


def test_bad_input_is_named_in_one_sentence() -> None:
    claims = claims_table()
    wrong = claims.assign(verdict="maybe")
    twice = pd.concat([claims, claims])
    cases: list[tuple[pd.DataFrame, dict[str, Any], dict[str, bytes], str]] = [
        (claims.drop(columns="share"), {"tiny": study()}, {}, "the ledger lacks share"),
        (claims, {"big": study()}, {}, "study 'tiny'; it takes big"),
        (wrong, {"tiny": study()}, {}, "verdict 'maybe'; it takes holds, holds in part"),
        (claims, {"tiny": study(figures=["a/kl.png"])}, {}, "a/kl.png, which was not given"),
        (claims, {"tiny": study(figures=["a/kl.svg"])}, {"a/kl.svg": b""}, "no picture that a page can hold"),
        (twice, {"tiny": study()}, {}, "named #claim-tiny-t1-active-latents"),
    ]
    for table, studies, pictures, sentence in cases:
        with pytest.raises(InputError, match=re.escape(sentence)):
            render("t", table, studies, pictures)


def test_nothing_is_left_of_a_report_that_failed(report: SimpleNamespace, tmp_path: Path) -> None:
    figures = [*report.figures, tmp_path / "missing.png"]
    with pytest.raises(FileNotFoundError):
        page(report.paths, figures, tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []
