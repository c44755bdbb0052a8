"""The pages, in a real browser: what they show, to whom, and that they ask nobody else for anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import psycopg
import pytest
import sqlalchemy as sa
from lxml import etree
from playwright.sync_api import Browser, Page, sync_playwright
from psycopg import sql

from catalog.db import Database

ROWS = "SELECT TOP 30 obs_publisher_did, target_name, s_ra, s_dec, access_url FROM ivoa.obscore WHERE s_ra IS NOT NULL"
MARKS = {
    "waiting": ("yellow hourglass", "path", "fill"),
    "transferring": ("blue circle", "circle", "fill"),
    "archived": ("green check mark", "path", "stroke"),
    "failed": ("red cross", "path", "stroke"),
}
HUES = {"yellow": (40, 65), "blue": (200, 230), "green": (120, 150), "red": (0, 10)}


@pytest.fixture(scope="module")  # it keeps an event loop running, which other tests do not bear
def browser(find_program: Callable[[str], str]) -> Iterator[Browser]:
    """Chromium with an empty profile."""
    program = find_program("chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Browser, service: Any) -> Iterator[Page]:
    """A page of the browser, which must neither complain nor ask anybody else."""
    context = browser.new_context(base_url=service.url, viewport={"width": 1200, "height": 900})
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    opened.on("pageerror", lambda error: complaints.append(f"error: {error}"))
    opened.on("request", lambda request: None if allowed(request.url, service) else complaints.append(request.url))
    yield opened
    context.close()
    assert complaints == []


def allowed(url: str, service: Any) -> bool:
    return url.startswith((f"{service.url}/", "data:"))


def address(query: str) -> str:
    return f"/query?{urlencode({'QUERY': query})}"


# --- the first page ------------------------------------------------------------------------------------------


def test_the_first_page_has_a_title_a_heading_and_the_address_to_give_to_tools(page: Page, service: Any) -> None:
    page.goto("/")
    assert page.title() == "FYST raw data catalog"
    assert page.get_by_role("heading", level=1).inner_text() == "FYST raw data catalog"
    assert page.locator("html").get_attribute("lang") == "en"
    assert "synthetic" in page.get_by_role("banner").inner_text()
    assert page.get_by_text(service.tap, exact=True).is_visible()


def test_the_states_are_counted_as_the_database_counts_them(page: Page, service: Any) -> None:
    with Database(service.database_url) as database, database.engine.connect() as connection:
        schema = "ops." if database.dialect == "postgresql" else ""
        rows = connection.execute(sa.text(f"SELECT state, COUNT(*) FROM {schema}raw_data_package GROUP BY state"))
        counts = {row[0]: row[1] for row in rows}
    page.goto("/")
    cards = page.locator(".states li")
    shown = {}
    for card in cards.all():
        number, state = re.findall(r"([\d,]+)\s+(\w+):", card.inner_text())[0]
        shown[state] = int(number.replace(",", ""))
    assert list(shown) == list(MARKS)
    assert {state: count for state, count in shown.items() if count} == counts
    assert f"{sum(counts.values())} packages" in page.get_by_role("main").inner_text()


@pytest.mark.parametrize("state", MARKS)
def test_every_state_has_its_mark_its_colour_and_its_words(page: Page, state: str) -> None:
    words, shape, paint = MARKS[state]
    page.goto("/")
    mark = page.locator(".states").get_by_role("img", name=words, exact=True)
    assert mark.is_visible()
    card = page.locator(".states li").filter(has=page.locator(f"svg.{state}"))
    assert f"{state}:" in card.inner_text()
    colour = mark.locator(shape).first.evaluate(f"element => getComputedStyle(element).{paint}")
    low, high = HUES[words.split()[0]]
    assert low <= hue(*channels(colour)[:3]) <= high


def test_the_example_runs_from_the_page(page: Page) -> None:
    page.goto("/")
    assert "ivoa.obscore" in page.get_by_label("ADQL").input_value()
    page.get_by_role("button", name="Run").click()
    assert page.url.split("?")[0].endswith("/query")
    assert page.locator("tbody tr").count() > 5
    assert page.get_by_role("columnheader", name="s_ra [deg]").is_visible()


def test_every_link_of_the_page_leads_somewhere(page: Page, service: Any) -> None:
    page.goto("/")
    links = [link.get_attribute("href") for link in page.get_by_role("link").all()]
    assert len(links) > 15
    with httpx.Client(base_url=service.url, timeout=60) as client:
        for link in links:
            assert client.get(f"/{link}").status_code == 200, link


def test_the_other_ways_in_are_named_images_only_where_there_are_some(
    service: Any, sky_url: str, start: Callable[..., Any]
) -> None:
    with start(sky_url) as other:
        for running, has_images in ((service, False), (other, True)):
            text = httpx.get(running.url, timeout=60).text
            assert f"<code>{running.url}/scs/query</code>" in text
            assert f"catalog get --service {running.url} DID" in text
            assert (f"<code>{running.url}/sia2/query</code>" in text) is has_images
            assert ('href="sia2/capabilities"' in text) is has_images
            found = httpx.get(f"{running.url}/sia2/capabilities", timeout=60).status_code
            assert found == (200 if has_images else 404)


def test_columns_of_a_table_are_described_for_people(page: Page) -> None:
    page.goto("/")
    page.locator('dt:has(code:text-is("ivoa.obscore")) a.note').click()
    assert page.get_by_role("columnheader", name="description").is_visible()
    row = page.locator("tbody tr", has=page.get_by_role("cell", name="em_min", exact=True))
    assert "Shortest vacuum wavelength covered." in row.inner_text()
    assert row.locator("td").last.evaluate("cell => cell.scrollWidth <= cell.clientWidth")


# --- a query -------------------------------------------------------------------------------------------------


def test_rows_are_shown_with_units_links_and_ways_to_get_them_all(page: Page, service: Any) -> None:
    page.goto(address(ROWS))
    assert page.title() == "Query: FYST raw data catalog"
    assert page.get_by_label("ADQL").input_value() == ROWS
    assert page.locator("tbody tr").count() == 30
    assert page.get_by_text("30 rows.").is_visible()
    first = page.locator("tbody tr").first
    assert first.locator("td").nth(2).get_attribute("class") == "number"
    assert re.match(r"http://127\.0\.0\.1:\d+/", first.get_by_role("link").get_attribute("href") or "")
    for name, start in {
        "votable": b"<?xml",
        "csv": b"obs_publisher_did,",
        "fits": b"SIMPLE",
        "parquet": b"PAR1",
    }.items():
        link = page.get_by_role("link", name=name, exact=True).get_attribute("href")
        answer = httpx.get(f"{service.url}/{link}", timeout=60)
        assert answer.content.startswith(start)


def test_more_rows_than_one_looks_at_are_cut_and_it_is_said(page: Page) -> None:
    page.goto(address("SELECT obs_id FROM ivoa.obscore"))
    assert page.locator("tbody tr").count() == 50  # what this service hands out at most
    assert page.get_by_text("The first 50 rows; there are more.").is_visible()


def test_no_rows_and_one_row_are_said_in_words(page: Page) -> None:
    page.goto(address("SELECT obs_id FROM ivoa.obscore WHERE s_dec > 89.99"))
    assert page.get_by_text("0 rows.").is_visible()
    page.goto(address("SELECT TOP 1 obs_id, NULL AS nothing FROM ivoa.obscore"))
    assert page.get_by_text("1 row.").is_visible()
    assert page.locator("tbody td").nth(1).inner_text() == ""


def test_without_a_query_there_is_the_form(page: Page) -> None:
    page.goto("/query")
    assert "ivoa.obscore" in page.get_by_label("ADQL").input_value()
    assert page.get_by_text("Answer").count() == 0


def test_a_mistake_is_pointed_out_and_the_proposal_runs(browser: Browser, service: Any) -> None:
    page = browser.new_page(base_url=service.url)
    answer = page.goto(address("SELECT TOP 5 s_raa FROM ivoa.obscore"))
    assert answer is not None
    assert answer.status == 400
    alert = page.get_by_role("alert").inner_text().splitlines()
    caret = next(number for number, line in enumerate(alert) if set(line.strip()) == {"^"})
    assert alert[caret - 1][alert[caret].index("^") :].startswith("s_raa")
    page.get_by_role("link", name="Run the proposed query").click()
    assert page.locator("tbody tr").count() == 5
    page.close()


def test_what_strangers_write_is_shown_and_not_obeyed(page: Page) -> None:
    evil = "<script>console.log(1)</script><img src=x onerror=console.log(2)>\"'&"
    page.goto(address(f"SELECT TOP 1 '{evil.replace(chr(39), chr(39) * 2)}' AS a FROM ivoa.obscore"))
    assert page.locator("tbody td").inner_text() == evil
    assert page.locator("script, img").count() == 0
    page.goto(address("SELECT TOP 1 'javascript:console.log(3)' AS a FROM ivoa.obscore"))
    assert page.locator("tbody a").count() == 0


def test_a_query_that_takes_too_long_is_said_on_the_page(hasty: Any) -> None:
    long = "SELECT COUNT(*) AS n FROM fyst.files AS a, fyst.files AS b, fyst.files AS c, fyst.files AS d"
    answer = httpx.get(f"{hasty.url}{address(long)}", timeout=60)
    assert answer.status_code == 408
    assert "within 1 s" in answer.text
    assert long in answer.text


# --- for everybody -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/query", address(ROWS), "/tap/examples"])
def test_pages_are_well_formed_and_forbid_what_they_do_not_need(service: Any, path: str) -> None:
    answer = httpx.get(f"{service.url}{path}", timeout=60)
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    root = etree.fromstring(answer.content)
    assert not root.findall(".//{*}script")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", address(ROWS), address("SELECT x FROM y"), "/tap/examples"])
def test_text_stands_out_from_its_ground(browser: Browser, service: Any, path: str, scheme: Any) -> None:
    page = browser.new_page(base_url=service.url, color_scheme=scheme)
    page.goto(path)
    found = page.evaluate(
        """() => [...document.querySelectorAll('body *')]
            .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
            .map(e => {
                let ground = e;
                const clear = g => /^(rgba\\(0, 0, 0, 0\\)|transparent)$/.test(getComputedStyle(g).backgroundColor);
                while (ground.parentElement && clear(ground)) ground = ground.parentElement;
                return [e.tagName, getComputedStyle(e).color, getComputedStyle(ground).backgroundColor];
            })"""
    )
    assert len(found) >= 8
    poor = {(tag, ink, ground) for tag, ink, ground in found if contrast(ink, ground) < 4.5}
    page.close()
    assert poor == set()


@pytest.mark.parametrize("path", ["/", address(ROWS), address("SELECT x FROM y"), "/tap/examples"])
def test_a_small_screen_shows_everything_without_sideways_scrolling(
    browser: Browser, service: Any, path: str, tmp_path: Path
) -> None:
    page = browser.new_page(base_url=service.url, viewport={"width": 375, "height": 667})
    page.goto(path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    sizes = page.evaluate(
        "[...document.querySelectorAll('p, li, dd, td')].map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(sizes, default=16) >= 14
    for mark in page.locator(".mark").all():
        box = mark.bounding_box()
        assert box is not None
        assert 0 <= box["x"] <= 375 - box["width"]
        assert box["width"] >= 24
    assert page.screenshot(path=tmp_path / "narrow.png", full_page=True)
    page.close()


def test_the_keyboard_reaches_everything_and_shows_where_it_is(page: Page) -> None:
    page.goto("/")
    count = page.locator("a, button, textarea, [tabindex='0']").count()
    visited = []
    for _ in range(count):
        page.keyboard.press("Tab")
        tag, width, style = page.evaluate(
            "(() => { const e = document.activeElement, s = getComputedStyle(e);"
            " return [e.tagName, parseFloat(s.outlineWidth), s.outlineStyle]; })()"
        )
        visited.append(tag)
        assert style != "none", tag
        assert width >= 2, tag
    assert len(visited) == count
    assert {"TEXTAREA", "BUTTON", "A", "PRE"} <= set(visited)


def test_the_form_is_sent_by_the_keyboard_alone(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.tagName") == "TEXTAREA"
    page.keyboard.press("Control+a")
    page.keyboard.type("SELECT TOP 2 obs_id FROM ivoa.obscore")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url("**/query?*")
    assert page.locator("tbody tr").count() == 2


def test_nothing_needs_javascript(browser: Browser, service: Any) -> None:
    context = browser.new_context(base_url=service.url, java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    page.get_by_role("button", name="Run").click()
    assert page.locator("tbody tr").count() > 5
    context.close()


def test_pages_say_so_while_the_database_is_gone(own_url: str, start: Callable[..., Any]) -> None:
    with start(own_url) as service:
        if own_url.startswith("sqlite"):
            path = Path(own_url.removeprefix("sqlite:///"))
            path.rename(path.with_suffix(".away"))
        else:
            name = own_url.rpartition("/")[2]
            with psycopg.connect(own_url.replace("+psycopg", "").replace(name, "postgres"), autocommit=True) as server:
                server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
                server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            first = httpx.get(service.url, timeout=30)  # on SQLite a connection keeps the file that it has
            assert first.status_code == 503
            assert "cannot be counted now: the database does not answer" in first.text
            assert etree.fromstring(first.content) is not None
        answer = httpx.get(f"{service.url}{address(ROWS)}", timeout=30)
        assert answer.status_code == 503
        assert re.search("the database (file|does not answer)", answer.text)


# --- colours -------------------------------------------------------------------------------------------------


def channels(colour: str) -> list[float]:
    """Red, green and blue of a CSS colour, each from 0 to 255."""
    return [float(number) for number in re.findall(r"[\d.]+", colour)]


def hue(red: float, green: float, blue: float) -> float:
    """Hue in degrees."""
    most, least = max(red, green, blue), min(red, green, blue)
    spread = (most - least) or 1
    if most == red:
        return ((green - blue) / spread * 60) % 360
    return (blue - red) / spread * 60 + 120 if most == green else (red - green) / spread * 60 + 240


def luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    shares = [value / 255 for value in channels(colour)[:3]]
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio (WCAG 2.2); 4.5 is what text needs."""
    bright, dim = sorted((luminance(one), luminance(other)), reverse=True)
    return (bright + 0.05) / (dim + 0.05)
