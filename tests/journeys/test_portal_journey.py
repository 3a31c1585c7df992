"""A person does the main job in the portal, in a real browser, by keyboard and mouse, in both languages."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from node import Node
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect, sync_playwright

from hilum.portal.language import Language, load_language

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
AXE = "axe-core@4.14.1"
AXE_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
PAGES = ("/record", "/record/results", "/measurements", "/sharing", "/who-looked?who=all")
"""Pages that every look-around visits; those behind them are reached by clicking."""
NOT_SEALED = (
    "Not yet sealed. Until then you rely on this node: it has written the receipt down, but could"
    " still change it unnoticed. Sealing happens by itself within minutes; you can also do it now."
)
BROWSER_TAG = {"en": "en-US", "zh_Hans": "zh-CN"}


def missing(reason: str) -> None:
    """Skip with a reason; fail where everything must be present."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"missing under CI: {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="module")
def family(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("family"), "--demo") as served:
        yield served


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        missing("chromium is not installed")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=SWITCHES)
        yield browser
        browser.close()


@dataclass(slots=True)
class Visit:
    """A person's browser window on one node, in one language."""

    node: Node
    page: Page
    language: Language
    complaints: list[str]

    def say(self, text: str, **parts: object) -> str:
        return self.language.say(text, **parts)

    def go(self, path: str) -> None:
        self.page.goto(f"http://localhost:{self.node.port}{path}")

    def heading(self, text: str) -> None:
        expect(self.page.get_by_role("heading", level=1)).to_have_text(text)

    def button(self, text: str, **parts: object) -> Any:
        return self.page.get_by_role("button", name=self.say(text, **parts), exact=True)

    def link(self, text: str, **parts: object) -> Any:
        return self.page.get_by_role("link", name=self.say(text, **parts), exact=True)

    def sign_in(self, name: str = "Mara") -> None:
        self.go("/")
        self.button("Open %(name)s’s record", name=name).click()
        self.heading(f"{name} Demo")


def visit_with(
    chromium: Browser, node: Node, locale: str, **options: Any
) -> tuple[BrowserContext, Visit]:
    chosen = {"viewport": {"width": 1200, "height": 850}, "locale": BROWSER_TAG[locale], **options}
    context = chromium.new_context(**chosen)
    context.set_default_timeout(15_000)
    page = context.new_page()
    visit = Visit(node, page, load_language(locale), [])
    page.on("pageerror", lambda error: visit.complaints.append(str(error)))
    page.on(
        "console",
        lambda said: (
            visit.complaints.append(said.text) if said.type in {"error", "warning"} else None
        ),
    )
    return context, visit


@pytest.fixture(params=["en", "zh_Hans"])
def visit(request: pytest.FixtureRequest, chromium: Browser, family: Node) -> Iterator[Visit]:
    context, visit = visit_with(chromium, family, request.param)
    yield visit
    context.close()
    assert visit.complaints == [], "the browser had nothing to complain about"


def test_a_person_sees_the_record_and_looks_for_something(visit: Visit) -> None:
    visit.go("/")
    button = visit.button("Open %(name)s’s record", name="Mara")
    for _ in range(12):
        visit.page.keyboard.press("Tab")
        if button.evaluate("each => each === document.activeElement"):
            break
    visit.page.keyboard.press("Enter")
    visit.heading("Mara Demo")
    expect(visit.page.get_by_text("Penicillin")).to_be_visible()
    visit.page.get_by_label(visit.say("Search the record")).fill("hemoglobin a1c")
    visit.page.keyboard.press("Enter")
    expect(visit.page.get_by_text("Hemoglobin A1c").first).to_be_visible()
    visit.page.get_by_role("link", name=re.compile("Hemoglobin A1c")).first.click()
    expect(visit.page.get_by_text('"resourceType": "Observation"')).to_be_visible()
    with visit.page.expect_download() as download:
        visit.link("Download the original").click()
    assert json.loads(Path(download.value.path()).read_bytes())["resourceType"] == "Observation"


def test_a_person_looks_into_a_chart(visit: Visit) -> None:
    visit.sign_in()
    visit.link("Measurements").click()
    visit.link("Glucose (continuous monitor)").click()
    visit.heading(visit.say("Glucose (continuous monitor)"))
    field = visit.page.locator("[data-field]")
    readout = visit.page.locator("[data-readout]")
    week = stretch(visit)
    box = field.bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    visit.page.mouse.move(box["x"] + 0.25 * box["width"], y)
    expect(readout).to_contain_text("mg/dL")
    visit.page.mouse.down()
    visit.page.mouse.move(box["x"] + 0.5 * box["width"], y, steps=5)
    visit.page.mouse.up()
    visit.page.wait_for_url("**from=*")
    zoomed = stretch(visit)
    assert zoomed[0] == pytest.approx(week[0] + 0.25 * (week[1] - week[0]), rel=1e-4)
    assert zoomed[1] - zoomed[0] == pytest.approx(0.25 * (week[1] - week[0]), rel=0.05)
    assert asked(visit) == zoomed
    visit.page.locator("[data-field]").focus()
    visit.page.keyboard.press("Home")
    first = readout.inner_text()
    visit.page.keyboard.press("ArrowRight")
    expect(readout).not_to_have_text(first)
    press(visit, "+")
    assert span(visit) == pytest.approx((zoomed[1] - zoomed[0]) / 2, rel=0.01)
    press(visit, "Shift+ArrowLeft")
    assert stretch(visit)[0] < zoomed[0]
    press(visit, "0")
    assert span(visit) > 20 * 86_400_000
    visit.link("Day").click()
    expect(visit.page.locator(".zoom a[aria-current]")).to_have_text(visit.say("Day"))
    assert span(visit) == 86_400_000
    visit.page.go_back()
    expect(visit.page.locator(".zoom a[aria-current]")).to_have_text(visit.say("All"))
    visit.page.reload()
    assert span(visit) > 20 * 86_400_000
    visit.page.get_by_text(visit.say("The same as a table")).click()
    assert visit.page.get_by_role("row").count() > 20


def stretch(visit: Visit) -> tuple[int, int]:
    found = visit.page.locator(".window")
    return int(str(found.get_attribute("data-from"))), int(str(found.get_attribute("data-until")))


def span(visit: Visit) -> int:
    begin, end = stretch(visit)
    return end - begin


def asked(visit: Visit) -> tuple[int, int]:
    query = parse_qs(urlsplit(visit.page.url).query)
    return int(query["from"][0]), int(query["until"][0])


def press(visit: Visit, key: str) -> None:
    """Press a key on the chart and wait until another stretch is drawn."""
    before = visit.page.url
    visit.page.keyboard.press(key)
    visit.page.wait_for_url(lambda address: address != before)


def test_a_person_gives_access_and_ends_it(visit: Visit) -> None:
    visit.sign_in("Jun")
    visit.link("Sharing").click()
    expect(visit.page.get_by_text(visit.say("Nobody but you can see your record."))).to_be_visible()
    reader = visit.page.get_by_label(visit.say("Who"), exact=True)
    reader.select_option(label="Riverside Clinic")
    clinic = visit.node.token(reader=reader.input_value(), purpose="TREAT")
    jun = subject_of(visit)
    assert visit.node.get(f"/fhir/Patient/{jun}", clinic).status_code == 404
    visit.page.get_by_label(visit.say("Only some parts")).check()
    visit.page.get_by_label(visit.say("Problems"), exact=True).check()
    visit.page.get_by_label(visit.say("Name, date of birth, address")).check()
    visit.button("Preview what they would see").press("Enter")
    visit.heading(visit.say("What %(reader)s would see", reader="Riverside Clinic"))
    rows = visit.page.get_by_role("row").all_inner_texts()
    assert len(rows) == 3, rows
    assert visit.node.get(f"/fhir/Patient/{jun}", clinic).status_code == 404, (
        "a preview gives nothing"
    )
    visit.button("Give access").click()
    expect(visit.page.get_by_role("status")).to_have_text(
        visit.say("Access is given. It holds from now on.")
    )
    assert visit.node.get(f"/fhir/Patient/{jun}", clinic).status_code == 200
    conditions = visit.node.resources(f"/fhir/Condition?patient={jun}", clinic)
    assert [each["code"]["text"] for each in conditions] == ["Essential (primary) hypertension"]
    assert visit.node.resources(f"/fhir/MedicationRequest?patient={jun}", clinic) == []
    visit.button("End access of %(reader)s", reader="Riverside Clinic").click()
    expect(visit.page.get_by_role("status")).to_have_text(
        visit.say("Access is ended. The next look finds nothing.")
    )
    gone = visit.node.get(f"/fhir/Patient/{jun}", clinic)
    never = visit.node.get("/fhir/Patient/00000000-0000-4000-8000-000000000000", clinic)
    assert (gone.status_code, gone.content) == (never.status_code, never.content)
    visit.link("Who looked").click()
    expect(visit.page.get_by_text("Riverside Clinic").first).to_be_visible()
    shown = visit.page.get_by_role("table").inner_text()
    assert visit.say("Refused") in shown
    assert visit.say("treatment") in shown
    assert visit.say("You") not in shown.split()


def subject_of(visit: Visit) -> str:
    """The id of the demo family's second member."""
    from hilum.exchange.demo_family import FAMILY, member_id

    assert visit.page.get_by_text("Jun Demo").count()
    return member_id(FAMILY[1])


def test_a_person_checks_a_receipt_in_the_browser(visit: Visit) -> None:
    visit.sign_in()
    visit.go("/who-looked?who=own")
    visit.page.locator(".receipts td:last-child a").first.click()
    expect(visit.button("Seal now")).to_be_visible()
    expect(visit.page.get_by_text(visit.say(NOT_SEALED))).to_be_visible()
    visit.button("Seal now").press("Enter")
    visit.page.wait_for_url("**done=sealed*")
    banner = visit.say("This chain runs inside this node and proves nothing to outsiders.")
    expect(visit.page.get_by_text(banner)).to_be_visible()
    visit.button("Check it now").press("Enter")
    expect(visit.page.get_by_text(visit.say("Everything holds."))).to_be_visible()
    states = visit.page.locator("[data-state]").all_inner_texts()
    assert states == [visit.say("holds")] * 10
    visit.page.route("**/proof", tamper)
    visit.button("Check it now").press("Enter")
    expect(visit.page.get_by_text(visit.say("This receipt was refused."))).to_be_visible()
    expect(visit.page.get_by_text(visit.say("Everything holds."))).to_be_hidden()
    failed = visit.page.locator("[data-step].fails")
    assert failed.count() == 1
    assert failed.get_attribute("data-step") == "journal-path"
    expect(failed.locator("[data-state]")).to_have_text(visit.say("does not hold"))
    visit.page.unroute("**/proof")
    visit.page.route("**/headers.json", lambda route: route.abort())
    visit.button("Check it now").press("Enter")
    expect(visit.page.locator("[data-broke]")).to_be_visible()
    visit.complaints[:] = [said for said in visit.complaints if "ERR_FAILED" not in said]


def tamper(route: Route) -> None:
    """Change the last digit of the salt, as a node that lies about one receipt would have to."""
    proof = json.loads(route.fetch().text())
    proof["salt"] = proof["salt"][:-1] + ("0" if proof["salt"][-1] != "0" else "1")
    route.fulfill(body=json.dumps(proof, sort_keys=True, separators=(",", ":"), ensure_ascii=False))


def test_without_scripts_everything_but_the_check_works(chromium: Browser, family: Node) -> None:
    context, visit = visit_with(chromium, family, "en", java_script_enabled=False)
    visit.sign_in()
    visit.go("/measurements")
    visit.link("Heart rate").click()
    assert visit.page.locator("svg .line, svg .dots").count() >= 1
    visit.link("Day").click()
    expect(visit.page.locator(".zoom a[aria-current]")).to_have_text("Day")
    visit.page.get_by_role("link", name=re.compile("Earlier")).click()
    assert "until=" in visit.page.url
    visit.go("/sharing")
    expect(visit.page.get_by_role("button", name="Preview what they would see")).to_be_visible()
    context.close()


def every_page(visit: Visit) -> Iterator[str]:
    """Visit every kind of page there is, and yield its name when it is there."""
    visit.go("/")
    yield "front"
    visit.sign_in()
    for path in PAGES:
        visit.go(path)
        yield path.partition("?")[0].strip("/").replace("/", "-")
    visit.page.locator(".receipts td:last-child a").first.click()
    yield "receipt"
    for name in ("Glucose (continuous monitor)", "Steps", "Sleep"):
        visit.go("/measurements")
        visit.link(name).click()
        visit.page.locator("[data-field]").focus()
        yield name.partition(" ")[0].lower()
    visit.go("/record/problems")
    visit.page.locator(".entry a").first.click()
    yield "original"
    visit.go("/sharing")
    visit.page.get_by_label(visit.say("Who"), exact=True).select_option(index=1)
    visit.button("Preview what they would see").click()
    yield "preview"
    visit.go("/nothing/here")
    yield "nothing"


@pytest.mark.parametrize("look", ["narrow", "narrow-chinese", "dark", "light"])
def test_every_page_fits_and_can_be_used_by_everybody(
    look: str, chromium: Browser, family: Node, tmp_path: Path, axe: str
) -> None:
    options: dict[str, Any] = {
        "narrow": {"viewport": {"width": 320, "height": 640}},
        "narrow-chinese": {"viewport": {"width": 320, "height": 640}},
        "dark": {"color_scheme": "dark"},
        "light": {},
    }[look]
    locale = "zh_Hans" if look.endswith("chinese") else "en"
    folder = Path(os.environ.get("HILUM_SCREENSHOTS") or tmp_path)
    context, visit = visit_with(chromium, family, locale, **options)
    problems = []
    for name in every_page(visit):
        visit.page.screenshot(path=folder / f"{look}-{name}.png", full_page=True)
        if visit.page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            problems.append((name, "scrolls sideways", ""))
        visit.page.evaluate(axe)
        found = visit.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        problems += [
            (name, each["id"], str([node["target"] for node in each["nodes"]]))
            for each in found["violations"]
        ]
    context.close()
    assert problems == []


@pytest.fixture(scope="module")
def axe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The accessibility checker's script, fetched once from the package registry and pinned."""
    if shutil.which("npm") is None:
        missing("npm is not installed, so axe-core cannot be fetched")
    folder = tmp_path_factory.mktemp("axe")
    done = subprocess.run(
        ["npm", "pack", "--silent", AXE], cwd=folder, capture_output=True, check=False, timeout=120
    )
    if done.returncode:
        missing("axe-core cannot be fetched from the package registry")
    with tarfile.open(next(folder.glob("*.tgz"))) as package:
        member = package.extractfile("package/axe.min.js")
        assert member is not None
        script = member.read()
    assert hashlib.sha256(script).hexdigest() == AXE_SHA256
    return script.decode()
