"""The page about runs: one file, that shows what was told and lets none of it become HTML."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from unigrpo.reports.charts import LARGEST, Line, chart, picture
from unigrpo.reports.page import is_ours, write_page
from unigrpo.reports.told import (
    Card,
    Comparison,
    Concern,
    Differences,
    Drawing,
    Fact,
    Grid,
    Group,
    Picture,
    Replay,
    Section,
    Step,
    Table,
    Told,
)

CHART = chart("Loss", [Line("sft/loss", ([1, 2, 3], [3.0, 2.0, 1.0]))], "nats")
EVIL = '<script>alert("x")</script>'
PIXEL = "data:image/png;base64,AAAA"


def section(**changed) -> Section:
    told = Told(facts=[Fact("sft/loss", "1", "3")], charts=[CHART], warnings=[Concern("look here", "do this")])
    found = {"title": "sft", "verb": "sft", "state": "done", "folder": "out/sft", "told": told} | changed
    return Section(**found)


def full(text: str) -> Section:
    """A section of everything that a page can show, all of it saying one thing."""
    card = Card(place=f"best {text}", reward=text, index=text, output=[("same", text), ("", text)],
                gold=[("missing", text)], parts={text: text}, notes={text: text}, faults={text: text})  # fmt: skip
    words = Replay(title=text, caption=text, steps=2, tokens=[(text, 1), (text, 2)])
    drawn = Replay(title=text, caption=text, steps=1, picture=PIXEL, codes=[0, 1, 1, 1], side=2)
    told = Told(
        facts=[Fact(text, text, text)],
        charts=[chart(text, [Line(text, ([1, 2], [0.0, 1.0]))], text)],
        more={text: [chart(text, [Line(text, ([1, 2], [0.0, 1.0]))], text)]},
        tables=[Table(text, [text, text], [[text, text]], text)],
        pictures=[Picture(text, PIXEL)],
        grids=[Grid(text, [text, text], [(text, [Drawing(PIXEL, text, text, text), None])])],
        steps=[Step(text, [Group(text, text, [card, card])])],
        replays=[words, drawn],
        warnings=[Concern(text, text)],
    )
    settings = [(text, text, text)]
    return section(title=text, verb=text, folder=text, time=text, ended=text, why=[text], settings=settings, told=told)


def compared(text: str) -> Comparison:
    table = Table(text, [text, text], [[text, text]], text)
    differ = [Differences(text, [text], [(text, [(text, True)])])]
    return Comparison(charts={text: [CHART]}, table=table, differences=differ, runs=[text])


def page(tmp_path, *sections: Section, beside: Comparison | None = None) -> str:
    write_page(tmp_path / "page.html", "A pipeline", sections, beside)
    return (tmp_path / "page.html").read_text()


class Tags(HTMLParser):
    """What a page is made of, if every tag is closed where it should be."""

    ALONE = ("meta", "img", "link", "input", "br")

    def __init__(self, text: str):
        super().__init__()
        self.open, self.seen, self.attributes = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in self.ALONE:
            self.open.append(tag)
        self.seen.append(tag)
        self.attributes += attrs

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def named(self, *names: str) -> list[str]:
        return [value for name, value in self.attributes if name in names]


def test_a_page_is_whole_html_that_asks_for_nothing_from_anywhere(tmp_path):
    tags = Tags(page(tmp_path, section(), full("words"), beside=compared("runs")))
    assert tags.open == []
    assert all(address.startswith(("#", "data:image/")) for address in tags.named("src", "href", "xlink:href"))
    assert not re.search(r"url\((?!#)", "".join(filter(None, tags.named("style"))))


def test_no_id_is_there_twice_and_all_that_are_referred_to_are_there(tmp_path):
    other = chart("Loss", [Line("sft/loss", ([1, 2, 3], [3.0, 2.0, 1.5]))], "nats")
    tags = Tags(page(tmp_path, section(), section(told=Told(charts=[other]))))
    ids = tags.named("id")
    assert len(ids) == len(set(ids))
    assert {address[1:] for address in tags.named("href", "xlink:href") if address[0] == "#"} <= set(ids)
    assert set(tags.named("aria-labelledby")) <= set(ids)


def test_the_overview_has_a_line_for_each_with_its_first_number(tmp_path):
    text = re.sub(r"\s+", " ", page(tmp_path, section(), section(title="rl", state="cut", told=Told())))
    assert '<a href="#run-1">sft</a>' in text
    assert "sft/loss 3 &rarr; 1" in text
    assert '<span class="state cut">cut</span>' in text
    assert 'look here <span class="do">do this</span>' in text


def test_text_of_runs_stays_text(tmp_path):
    evil, plain = (Tags(page(tmp_path, full(text), beside=compared(text))) for text in (EVIL, "plain"))
    assert evil.seen == plain.seen
    assert [name for name, _ in evil.attributes] == [name for name, _ in plain.attributes]
    assert plain.seen.count("script") == 1


def test_only_the_page_s_own_script_may_run(tmp_path):
    text = page(tmp_path, full("words"))
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def test_a_page_is_known_from_other_files(tmp_path):
    page(tmp_path, section())
    (tmp_path / "other.html").write_text("<html>mine</html>")
    assert is_ours(tmp_path / "page.html")
    assert not is_ours(tmp_path / "other.html")


def test_a_chart_says_its_title_units_and_last_values_and_is_the_same_again():
    line = Line("reward/mean", ([1, 2], [0.25, 0.5]), color=3)
    made = chart("Reward", [line], "mean of the step")
    assert all(f">{text}</text>" in made.svg for text in ("Reward", "step", "mean of the step"))
    assert 'aria-label="Reward. reward/mean ends at 0.5"' in made.svg
    assert "var(--c3)" in made.svg
    assert not re.findall(r"#[0-9a-f]{6}", made.svg)
    assert made == chart("Reward", [line], "mean of the step")


def test_a_long_line_is_thinned():
    steps = list(range(100_000))
    assert len(chart("Loss", [Line("a", (steps, [float(step % 97) for step in steps]))], "nats").svg) < 60_000


@pytest.mark.parametrize(("points", "marks"), [(39, ["plain"]), (40, ["faint", "smooth"])])
def test_a_long_line_is_drawn_with_its_moving_average(points, marks):
    made = chart("Loss", [Line("loss", (list(range(points)), [1.0] * points))], "nats")
    assert re.findall(r'class="(\w+)"', made.svg) == marks


def test_pictures_that_are_too_large_for_a_page_are_left_out(tmp_path):
    file = tmp_path / "a.png"
    assert picture("a", file) is None
    file.write_bytes(b"x" * (LARGEST + 1))
    assert picture("a", file) is None
    file.write_bytes(b"x")
    assert picture("a", file) == Picture("a", "data:image/png;base64,eA==")
