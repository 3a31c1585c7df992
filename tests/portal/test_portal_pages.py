"""Pages as a browser without scripts gets them: protected, valid, in both languages."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest

from hilum.base.ids import UnixMs
from hilum.exchange import reading
from hilum.exchange.people import own_token, session_of
from hilum.portal.app import SECURITY_HEADERS
from hilum.portal.language import LANGUAGES, load_language

MARA = "from conftest"
LONGEST_PAGE = 150 * 1024
VOID = {"meta", "link", "input", "br", "hr", "img", "rect", "path", "circle"}


@pytest.fixture(scope="module")
def mara(place: Any) -> Any:
    return place.signed_in()


@pytest.fixture(scope="module")
def addresses(place: Any, mara: Any) -> list[str]:
    """Every page there is, with a receipt by another reader and one of each kind of measure."""
    session = session_of(place.node, place.reader_token())
    assert session is not None
    reading.read(place.node, session, "Patient", place.other)
    browser = place.signed_in()
    found = re.findall(r'href="(/measurements/\d+)"', browser.get("/measurements").text)
    receipts = re.findall(
        r'href="(/who-looked/[0-9a-f]{32})"', browser.get("/who-looked?who=all").text
    )
    return [
        "/record",
        "/record/problems",
        "/record/results",
        "/record/other",
        "/record?q=glucose",
        "/record?q=nothing-like-this",
        "/record/Condition/trap",
        "/measurements",
        *sorted(set(found)),
        f"{found[0]}?span=day",
        f"{found[0]}?span=all",
        f"{found[0]}?from=0&until=900000000",
        "/sharing",
        "/who-looked",
        "/who-looked?who=all",
        "/who-looked?who=own&outcome=emergency",
        receipts[0],
        "/no/such/page",
    ]


class Reader(HTMLParser):
    """Reads a page and notes what is wrong with it."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.problems: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.labelled: set[str] = set()
        self.named: list[tuple[str, dict[str, str | None]]] = []
        self.references: list[str] = []
        self.headings: list[int] = []
        self.seen: dict[str, int] = {}
        self.links: list[str] = []
        self.text: list[str] = []
        self.language = ""
        self.feed(html)
        self.close()
        if self.open:
            self.problems.append(f"left open: {self.open}")

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.seen[tag] = self.seen.get(tag, 0) + 1
        self.note(tag, values)
        if len(attributes) != len(values):
            self.problems.append(f"<{tag}> has an attribute twice")
        if tag not in VOID:
            self.open.append(tag)

    def note(self, tag: str, values: dict[str, str | None]) -> None:
        for name, value in values.items():
            if name.startswith("on") or name == "style":
                self.problems.append(f"inline {name} in <{tag}>")
            if name in {"aria-labelledby", "aria-describedby"}:
                self.references += (value or "").split()
        if values.get("id"):
            self.ids.append(str(values["id"]))
        if tag == "html":
            self.language = values.get("lang") or ""
        if tag == "label":
            self.labelled.add(values.get("for") or "")
        if tag in {"input", "select", "textarea"} and values.get("type") != "hidden":
            self.named.append((tag, values))
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag in {"style", "iframe", "object", "base"}:
            self.problems.append(f"<{tag}>")
        if tag == "script" and not values.get("src"):
            self.problems.append("inline script")
        if tag == "a":
            self.links.append(values.get("href") or "")
        if tag in {"script", "link", "img"} and re.match(
            r"(https?:)?//", str(values.get("src") or values.get("href"))
        ):
            self.problems.append("something from elsewhere")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open[-1] != tag:
            self.problems.append(f"</{tag}> where {self.open[-1:]} is open")
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"script", "code"} and data.strip():
            self.text.append(" ".join(data.split()))

    def check(self) -> list[str]:
        found = list(self.problems)
        if len(self.ids) != len(set(self.ids)):
            found.append(f"ids twice: {sorted(n for n in self.ids if self.ids.count(n) > 1)}")
        found += [f"no such id: {name}" for name in self.references if name not in self.ids]
        found += [
            f"no label: {values}"
            for _tag, values in self.named
            if values.get("id") not in self.labelled and not values.get("aria-label")
        ]
        if self.headings.count(1) != 1 or self.headings[0] != 1:
            found.append(f"headings {self.headings}")
        found += [f"{tag}: {self.seen.get(tag, 0)}" for tag in ("main", "header", "footer", "title")
                  if self.seen.get(tag, 0) != 1]  # fmt: skip
        found += ["a table without caption"] * (
            self.seen.get("table", 0) - self.seen.get("caption", 0)
        )
        if not self.language:
            found.append("no language")
        return found


@pytest.mark.parametrize("locale", LANGUAGES)
def test_every_page_is_valid_light_and_protected(
    addresses: list[str], mara: Any, locale: str
) -> None:
    for address in addresses:
        joint = "&" if "?" in address else "?"
        answer = mara.get(f"{address}{joint}lang={locale}")
        expected = 404 if address.startswith("/no/") else 200
        assert answer.status_code == expected, address
        page = Reader(answer.text)
        assert page.check() == [], address
        assert page.language == load_language(locale).tag
        assert len(answer.content) <= LONGEST_PAGE, address
        for name, value in SECURITY_HEADERS.items():
            assert answer.headers[name] == value, (address, name)
        assert answer.headers["cache-control"] == "no-store"
    mara.get("/record?lang=en")


def test_no_english_sentence_is_left_on_a_chinese_page(addresses: list[str], mara: Any) -> None:
    english = {
        said.replace("%%", "%")
        for message in load_language("en").translations._catalog
        for said in [message if isinstance(message, str) else message[0]]
        if " " in said.strip() and "%(" not in said and "<" not in said
    }
    for address in addresses:
        joint = "&" if "?" in address else "?"
        page = Reader(mara.get(f"{address}{joint}lang=zh_Hans").text)
        assert english.isdisjoint(page.text), address
    mara.get("/record?lang=en")


def test_no_page_says_fhir_outside_its_details(addresses: list[str], mara: Any) -> None:
    for address in addresses:
        shown = re.sub(r"<(details|pre)\b.*?</\1>", "", mara.get(address).text, flags=re.DOTALL)
        words = " ".join(Reader(shown).text).casefold()
        assert not re.search(r"\b(fhir|merkle|hash|sha-?256|loinc|ed25519)\b", words), address


def test_every_link_leads_somewhere(addresses: list[str], mara: Any) -> None:
    pages = [each for each in addresses if not each.startswith("/measurements/")]
    pages += [each for each in addresses if each.startswith("/measurements/")][:1]
    links = set()
    for address in pages:
        links |= {link.partition("#")[0] for link in Reader(mara.get(address).text).links}
    found = sorted(link for link in links if link and "lang=" not in link)
    assert {"/record/problems", "/sharing", "/who-looked"} <= set(found)
    for link in [*found[:30], *found[-20:]]:
        assert mara.get(link).status_code in {200, 303}, link


def test_words_of_a_record_never_become_markup(mara: Any) -> None:
    for address in (
        "/record",
        "/record/problems",
        "/record/Condition/trap",
        "/record?q=quotes",
        "/sharing",
    ):
        text = mara.get(address).text
        assert "<script>alert" not in text, address
        assert "&lt;script&gt;alert" in text, address


def test_the_original_is_shown_and_downloaded_to_the_byte(place: Any, mara: Any) -> None:
    answer = mara.get("/record/Condition/trap/download")
    session = session_of(place.node, own_token(place.node, mara_id()))
    assert session is not None
    assert answer.content == reading.read(place.node, session, "Condition", "trap")
    assert answer.headers["content-disposition"] == 'attachment; filename="Condition-trap.json"'
    assert answer.headers["content-type"].startswith("application/fhir+json")


def test_the_whole_record_is_one_file_with_every_entry_to_the_byte(mara: Any) -> None:
    answer = mara.get("/record/download")
    bundle = json.loads(answer.content)
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    assert (kinds.count("Patient"), kinds.count("Immunization"), kinds.count("Condition")) == (
        1,
        5,
        4,
    )
    assert kinds.count("Observation") == 72
    assert mara.get("/record/Condition/trap/download").content in answer.content
    assert answer.headers["content-disposition"] == 'attachment; filename="record.json"'


def mara_id() -> str:
    from hilum.exchange.demo_family import FAMILY, member_id

    return member_id(FAMILY[0])


# -- signing in ------------------------------------------------------------------------------------


def test_a_strangers_browser_is_sent_to_the_front_page(place: Any) -> None:
    browser = place.stranger()
    for address in ("/record", "/measurements", "/sharing", "/who-looked", "/record/problems"):
        answer = browser.get(address)
        assert answer.status_code == 303
        assert answer.headers["location"] == f"/?next={address}"
    assert browser.get("/headers.json").status_code == 401
    assert browser.get("/measurements/1.json").status_code == 401


def test_signing_in_sets_a_cookie_no_script_and_no_other_site_can_use(place: Any) -> None:
    browser = place.stranger()
    answer = browser.post("/sign-in", {"token": own_token(place.node, place.other)})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert browser.get("/record").status_code == 200


@pytest.mark.parametrize("token", ["", "hlm_short", "hlm_" + "A" * 43, "Bearer x", "☃", "x" * 5000])
def test_a_wrong_token_opens_nothing_and_says_what_to_do(place: Any, token: str) -> None:
    answer = place.stranger().post("/sign-in", {"token": token})
    assert answer.status_code == 403
    assert "Ask who runs this node for a new one" in answer.text
    assert "set-cookie" not in answer.headers


def test_a_readers_token_is_refused_with_a_plain_sentence(place: Any) -> None:
    browser = place.stranger()
    token = place.reader_token()
    answer = browser.post("/sign-in", {"token": token})
    assert answer.status_code == 403
    assert "belongs to a reader" in answer.text
    browser.cookies.set("hilum_session", token)
    assert browser.get("/record").status_code == 303


def test_nobody_can_be_picked_on_a_node_that_is_no_demo(place: Any) -> None:
    assert 'name="member"' not in place.stranger().get("/").text
    assert place.stranger().post("/sign-in", {"member": mara_id()}).status_code == 403


def test_a_demo_node_lists_its_family_and_says_that_it_is_made_up(place: Any) -> None:
    place.node.demo = True
    try:
        front = place.stranger().get("/").text
        assert "Demo data, made up." in front
        member = re.search(r'name="member" value="([^"]+)"', front)
        assert member is not None
        browser = place.stranger()
        assert browser.post("/sign-in", {"member": member[1]}).status_code == 303
        assert "Mara Demo" in browser.get("/record").text
        assert place.stranger().post("/sign-in", {"member": place.other}).status_code == 403
    finally:
        place.node.demo = False


@pytest.mark.parametrize(
    "address", ["//evil.example", "https://evil.example", "/\\evil.example", "x", ""]
)
def test_signing_in_never_leads_to_another_site(place: Any, address: str) -> None:
    token = own_token(place.node, place.other)
    answer = place.stranger().post("/sign-in", {"token": token, "next": address})
    assert answer.headers["location"] == "/record"


def test_an_expired_session_is_no_session(place: Any) -> None:
    browser = place.signed_in(place.other)
    real = place.node.clock
    place.node.clock = lambda: UnixMs(real() + 13 * 3_600_000)
    try:
        assert browser.get("/record").status_code == 303
    finally:
        place.node.clock = real


def test_signing_out_ends_the_session_in_this_browser(place: Any) -> None:
    browser = place.signed_in(place.other)
    assert browser.post("/sign-out", {"form": browser.form()}).status_code == 303
    assert browser.get("/record").status_code == 303


# -- posts -----------------------------------------------------------------------------------------

POSTS = ["/sign-out", "/sharing/preview", "/sharing/give", "/sharing/end", "/who-looked/seal"]


@pytest.mark.parametrize("address", POSTS)
def test_a_post_that_is_not_ours_changes_nothing(place: Any, address: str) -> None:
    browser = place.signed_in(place.other)
    form = browser.form()
    fields = wish(place, form)
    attempts: list[tuple[dict[str, Any], dict[str, str]]] = [
        (fields, {"Origin": "https://evil.example"}),
        (fields, {"Origin": "null"}),
        (fields, {"Origin": ""}),
        ({**fields, "form": ""}, {}),
        ({**fields, "form": "0" * 64}, {}),
        ({**fields, "form": place.signed_in().form()}, {}),
    ]
    for wrong, headers in attempts:
        answer = browser.post(address, wrong, **headers)
        assert answer.status_code == 403, (wrong, headers)
        assert "Nothing was changed" in answer.text
    assert browser.get(address).status_code in {404, 405}
    assert "Nobody but you can see your record" in browser.get("/sharing").text


def test_signing_in_from_another_site_is_refused(place: Any) -> None:
    token = own_token(place.node, place.other)
    answer = place.stranger().post("/sign-in", {"token": token}, Origin="https://evil.example")
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_form_that_is_too_large_or_no_form_is_refused(place: Any) -> None:
    browser = place.signed_in(place.other)
    form = browser.form()
    assert browser.post("/sharing/preview", {"form": form, "x": "x" * 20_000}).status_code == 400
    many = {f"f{n}": "" for n in range(200)}
    assert browser.post("/sharing/preview", {"form": form, **many}).status_code == 400
    answer = browser.ask(
        "POST",
        "/sharing/preview",
        content=b"\xff\xfe=\xff",
        headers={"Origin": "http://localhost:8420"},
    )
    assert answer.status_code in {400, 403}


# -- sharing ---------------------------------------------------------------------------------------


def wish(place: Any, form: str, **changes: Any) -> dict[str, Any]:
    fields = {
        "form": form,
        "reader": place.clinic,
        "purpose": "TREAT",
        "scope": "all",
        "segment": ["NORMAL", "DEV"],
        "until": "2035-06-30",
    }
    return {**fields, **changes}


def test_access_is_previewed_given_and_ended(place: Any) -> None:
    mara = place.signed_in()
    fields = wish(place, mara.form(), scope="some", group=["problems", "allergies"])
    preview = mara.post("/sharing/preview", fields)
    assert preview.status_code == 200
    assert Reader(preview.text).check() == []
    rows = dict(
        re.findall(r'<th scope="row">([^<]+)</th><td class="n">([\d,]+)</td>', preview.text)
    )
    assert set(rows) == {"Problem", "Allergy"}
    assert "Nobody but you" in mara.get("/sharing").text, "a preview gives nothing"
    session = session_of(place.node, place.reader_token())
    assert session is not None
    query = [("patient", mara_id())]
    assert reading.search(place.node, session, "Condition", query) == []
    assert mara.post("/sharing/give", fields).headers["location"].startswith("/sharing?done=given")
    page = mara.get("/sharing").text
    assert "may see problems, allergies for treatment." in page
    assert len(reading.search(place.node, session, "Condition", query)) == int(rows["Problem"])
    assert reading.search(place.node, session, "Immunization", query) == []
    directive = re.search(r'name="directive" value="([^"]+)"', page)
    assert directive is not None
    stranger = place.signed_in(place.other)
    theft = {"form": stranger.form(), "directive": directive[1]}
    assert stranger.post("/sharing/end", theft).status_code == 404, "only the subject ends it"
    ended = mara.post("/sharing/end", {"form": mara.form(), "directive": directive[1]})
    assert ended.headers["location"].startswith("/sharing?done=ended")
    assert reading.search(place.node, session, "Condition", query) == []
    assert "Ended by you." in mara.get("/sharing").text
    again = mara.post("/sharing/end", {"form": mara.form(), "directive": directive[1]})
    assert again.status_code == 409
    assert Reader(again.text).check() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reader": ""}, "Choose who"),
        ({"reader": "nobody"}, "Choose who"),
        ({"purpose": "PATRQT"}, "Choose what it is for"),
        ({"purpose": "<b>"}, "Choose what it is for"),
        ({"scope": "some"}, "Tick at least one part"),
        ({"segment": []}, "Tick at least one kind"),
        ({"segment": ["EVERYTHING"]}, "Tick at least one kind"),
        ({"until": "yesterday"}, "Choose a last day"),
        ({"until": "2020-01-01"}, "Choose a last day"),
        ({"until": "9999-12-31"}, "Choose a last day"),
        ({"until": ""}, "Choose a last day"),
    ],
)
def test_a_wrong_form_says_what_to_do_and_keeps_the_rest(
    place: Any, changes: dict[str, Any], said: str
) -> None:
    browser = place.signed_in(place.other)
    for address in ("/sharing/preview", "/sharing/give"):
        answer = browser.post(address, wish(place, browser.form(), **changes))
        assert answer.status_code == 400
        assert said in answer.text
        assert Reader(answer.text).check() == []
        if "reader" not in changes:
            assert re.search(rf'value="{place.clinic}" selected', answer.text)
    assert "Nobody but you" in browser.get("/sharing").text


def test_change_something_brings_the_form_back_filled_in(place: Any) -> None:
    browser = place.signed_in(place.other)
    fields = wish(
        place, browser.form(), scope="some", group=["visits"], change="1", purpose="HRESCH"
    )
    page = browser.post("/sharing/preview", fields).text
    assert re.search(r'value="visits" checked', page)
    assert re.search(r'value="HRESCH" selected', page)
    assert 'value="2035-06-30"' in page


# -- who looked ------------------------------------------------------------------------------------


def test_a_refused_attempt_and_a_look_stand_there_in_words(place: Any) -> None:
    session = session_of(place.node, place.reader_token())
    assert session is not None
    reading.read(place.node, session, "Patient", place.other)
    browser = place.signed_in(place.other)
    page = browser.get("/who-looked").text
    assert "asked, and was shown nothing." in page
    assert "You" not in re.findall(r"<td>([^<]+)", page), "own looks are left out unless asked for"
    assert "You" in browser.get("/who-looked?who=own").text
    assert "No receipt fits" in browser.get("/who-looked?who=own&outcome=emergency").text


def test_a_receipt_is_sealed_and_its_proof_handed_out(place: Any) -> None:
    mara = place.signed_in()
    receipt = newest_receipt(mara)
    page = mara.get(f"/who-looked/{receipt}").text
    assert "Not yet sealed" in page
    assert "proves nothing to outsiders" in page
    waiting = mara.get(f"/who-looked/{receipt}/proof")
    assert (waiting.status_code, waiting.json()) == (409, {"error": "not-anchored"})
    sealed = mara.post("/who-looked/seal", {"form": mara.form(), "receipt": receipt})
    assert sealed.status_code == 303
    assert "check.mjs" in mara.get(f"/who-looked/{receipt}").text
    proof = mara.get(f"/who-looked/{receipt}/proof?as=file")
    assert json.loads(proof.text)
    assert "attachment" in proof.headers["content-disposition"]
    assert json.loads(mara.get("/headers.json").text)


def test_receipts_of_others_are_absent(place: Any) -> None:
    mara, other = place.signed_in(), place.signed_in(place.other)
    receipt = newest_receipt(mara)
    for path in ("", "/proof"):
        answer = other.get(f"/who-looked/{receipt}{path}")
        never = other.get(f"/who-looked/{'0' * 32}{path}")
        assert answer.status_code == never.status_code == 404
        assert answer.text.replace(receipt, "") == never.text.replace("0" * 32, "")
    theft = {"form": other.form(), "receipt": receipt}
    assert other.post("/who-looked/seal", theft).status_code == 404


def test_another_persons_entries_and_measures_are_absent(place: Any) -> None:
    other = place.signed_in(place.other)
    assert other.get("/record/Condition/trap").status_code == 404
    assert other.get("/record/Condition/trap/download").status_code == 404
    sid = re.search(r'href="/measurements/(\d+)"', place.signed_in().get("/measurements").text)
    assert sid is not None
    assert other.get(f"/measurements/{sid[1]}").status_code == 404
    assert other.get(f"/measurements/{sid[1]}.json").status_code == 404
    assert "No readings yet" in other.get("/measurements").text
    assert "Nothing here yet" not in place.signed_in().get("/record").text


def newest_receipt(browser: Any) -> str:
    found = re.search(r'href="/who-looked/([0-9a-f]{32})"', browser.get("/who-looked?who=own").text)
    assert found is not None
    return found[1]


# -- measurements ----------------------------------------------------------------------------------


def test_the_script_gets_the_same_chart_as_the_page(mara: Any) -> None:
    sid = re.search(
        r'href="/measurements/(\d+)">Glucose \(continuous', mara.get("/measurements?lang=en").text
    )
    assert sid is not None
    for query in (
        "span=day",
        "span=all",
        "from=0&until=900000000",
        "from=9&until=3",
        "span=x&from=a",
    ):
        sent = mara.get(f"/measurements/{sid[1]}.json?{query}").json()
        assert sent["html"] in mara.get(f"/measurements/{sid[1]}?{query}").text
        assert f'data-from="{sent["from"]}"' in sent["html"]
    empty = mara.get(f"/measurements/{sid[1]}?from=0&until=900000000").text
    assert "No readings in this stretch" in empty


@pytest.mark.parametrize("sid", ["0", "999999999999999999999999", "-1", "1.5", "x"])
def test_a_measure_that_is_not_there_is_absent(mara: Any, sid: str) -> None:
    assert mara.get(f"/measurements/{sid}").status_code == 404
    assert mara.get(f"/measurements/{sid}.json").status_code == 404


# -- assets and languages --------------------------------------------------------------------------


def test_assets_are_kept_by_the_browser_until_they_change(mara: Any) -> None:
    page = mara.get("/record").text
    for address in re.findall(r'(?:href|src)="(/static/[^"]+)"', page):
        answer = mara.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        plain = mara.get(address.partition("?")[0])
        assert plain.headers["cache-control"] == "no-cache"
        again = mara.get(address, **{"If-None-Match": answer.headers["etag"]})
        assert again.status_code == 304
    assert mara.get("/static/../app.py").status_code == 404
    assert mara.get("/static/none.css").status_code == 404
    script = mara.get("/static/verify.mjs")
    assert script.headers["content-type"].startswith("text/javascript")


def test_the_first_page_with_all_it_loads_is_light(place: Any) -> None:
    browser = place.stranger()
    front = browser.get("/")
    total = len(front.content)
    for address in re.findall(r'(?:href|src)="(/static/[^"]+)"', front.text):
        total += len(browser.get(address).content)
    assert total <= LONGEST_PAGE


def test_the_language_is_chosen_by_address_then_cookie_then_browser(place: Any) -> None:
    def lang(answer: httpx.Response) -> str:
        return Reader(answer.text).language

    browser = place.stranger()
    assert lang(browser.get("/")) == "en"
    assert lang(browser.get("/", **{"Accept-Language": "zh-CN,zh;q=0.9"})) == "zh-Hans"
    assert lang(browser.get("/?lang=zh_Hans")) == "zh-Hans"
    assert lang(browser.get("/", **{"Accept-Language": "en"})) == "zh-Hans", (
        "the cookie is stronger"
    )
    assert lang(browser.get("/?lang=en")) == "en"
    assert lang(browser.get("/?lang=xx")) == "en"
