"""Every Consent of the IHE PCF examples: read, judged against its written expectation, and written again."""

import re
from typing import Any

import pytest

from hilum.base.ids import UnixMs
from hilum.consent.compiled import compile_directives
from hilum.consent.decision import Outcome, Request
from hilum.consent.directive import make_directive
from hilum.consent.emergency import EmergencyAccess, EmergencyRequest, EmergencyStage
from hilum.consent.fhir import parse_consent
from hilum.consent.gate import decide
from hilum.consent.policy import load_policy
from hilum.consent.render import render_consent
from hilum.errors import MalformedInputError
from hilum.identity.purpose import parse_purpose
from hilum.identity.reader import Reader, ReaderKind, grantee_of
from hilum.record.access import Action
from hilum.record.types import type_number

NORMAL, PSY, SUD, HIV, SEX, ETH, GEN, DEV = (1 << n for n in range(8))
SENSITIVE = PSY | SUD | HIV | SEX | ETH | GEN
POLICY = load_policy("eu-ehds")
FOOBAR = "http://example.org/policies/purposeOfUse|FooBar"
IN_2022 = UnixMs(1_655_078_400_000)
BEFORE_2022 = UnixMs(1_103_932_800_000)
NOW = UnixMs(1_656_000_000_000)
LATER = UnixMs(1_700_000_000_000)


def read_fsh(text: Any) -> Any:
    """Return instance id → JSON of FSH `Instance` blocks; just enough of FSH for these files."""
    found = {}
    for block in re.split(r"(?m)^Instance:", text)[1:]:
        name = block.split("\n", 1)[0].strip()
        kind = re.search(r"(?m)^InstanceOf:\s*(\S+)", block)[1]
        resource = {"resourceType": "Consent" if kind.endswith("Consent") else kind, "id": name}
        for path, value in re.findall(r"(?m)^\* (\S+) = (.+)$", block):
            put(resource, path.split("."), parse_value(value.strip()))
        found[name] = resource
    return found


LISTS = {"category", "performer", "organization", "policy", "purpose", "securityLabel", "data", "actor",
         "security", "target", "agent", "entity"}  # fmt: skip
CONCEPTS = {"scope", "category", "role"}


def put(node: Any, path: Any, value: Any) -> None:
    name = path[0].split("[")[0]
    last = len(path) == 1
    nested = name == "provision" and isinstance(node, dict) and "type" in node
    if name in LISTS or nested:
        items = node.setdefault(name, [])
        if last:
            items.append({"coding": [value]} if name in CONCEPTS else value)
            return
        if "[+]" in path[0] or not items:
            items.append({})
        put(items[-1], path[1:], value)
    elif last:
        node[name] = {"coding": [value]} if name in CONCEPTS else value
    else:
        put(node.setdefault(name, {}), path[1:], value)


def parse_value(text: Any) -> Any:
    if match := re.match(r"Reference\((.+)\)$", text):
        return {"reference": match[1]}
    if match := re.match(r'(http\S+)#(\S+)(?: ".*")?$', text):
        return {"system": match[1], "code": match[2]}
    if text.startswith("#"):
        return text[1:]
    return text.strip('"')


@pytest.fixture(scope="session")
def consents(material: Any) -> Any:
    found = read_fsh(material("ihe-pcf/consent.fsh").read_text())
    return {name: one for name, one in found.items() if one["resourceType"] == "Consent"}


def row(
    type: Any = "Observation",
    id: Any = "x",
    seg: Any = NORMAL,
    ts: Any = IN_2022,
    author: Any = "Practitioner/ex-author",
    enc: Any = None,
) -> Any:
    return {"type": type, "id": id, "seg": seg, "ts": ts, "author": author, "enc": enc}


ALCOHOL = row(id="ex-alcoholUse", enc="Encounter/ex-encounter")
SUGAR = row(id="ex-bloodSugar", ts=UnixMs(1_607_143_850_000), enc="Encounter/ex-encounter")
PRESSURE = row(id="ex-bloodPressure", ts=BEFORE_2022, enc="Encounter/ex-encounter")
OTHER = row(id="other", enc="Encounter/example")
ENCOUNTER = row(type="Encounter", id="ex-encounter")
SENSITIVE_ROW = row(id="mh", seg=PSY)


def hash_reference(text: Any) -> Any:
    return hash(("ref", text))


def admits(window: Any, data: Any, is_deny: Any = False) -> Any:
    touches = data["seg"] & window.segments if is_deny else not data["seg"] & ~window.segments
    return (
        bool(touches)
        and bool(window.types >> type_number(data["type"]) & 1)
        and not window.codes
        and (window.data_from is None or data["ts"] >= window.data_from)
        and (window.data_until is None or data["ts"] < window.data_until)
        and (not window.authors or hash_reference(data["author"]) in window.authors)
        and (not window.encounters or hash_reference(data["enc"]) in window.encounters)
        and (
            not window.instances
            or hash_reference(f"{data['type']}/{data['id']}") in window.instances
        )
    )


def sees(access: Any, data: Any) -> Any:
    return (
        access is not None
        and any(admits(window, data) for window in access.permits)
        and not any(admits(window, data, is_deny=True) for window in access.denies)
    )


def ask(
    consent: Any,
    purpose: Any = "TREAT",
    reader: Any = "Practitioner/someone",
    *,
    now: Any = NOW,
    broken: Any = False,
    groups: Any = (),
) -> Any:
    parsed = parse_consent(consent)
    directive = make_directive(
        parsed.subject,
        parsed.terms,
        names=parsed.names,
        salt=bytes(32),
        now=NOW,
        frame=parsed.frame,
    )
    compiled = compile_directives(
        [directive], hash_code=lambda *pair: hash(pair), hash_reference=hash_reference
    )
    person = Reader(reader.split("/")[1], "Somebody", ReaderKind.PERSON, role="physician")
    glass = EmergencyRequest(person, "clinic", "custodian", "unconscious", "must know", now)
    held = EmergencyAccess(1, reader, now, UnixMs(now + 1000), EmergencyStage.SUBSET, glass)
    request = Request(
        compartment=1,
        purpose=parse_purpose(purpose),
        action=Action.READ,
        grantees=frozenset(grantee_of(name) for name in (reader, *groups)),
        role="physician",
        reader=reader,
        emergencies=(held,) if broken else (),
    )
    return decide(compiled, POLICY, request=request, now=now)


TPO = ["TREAT", "HPAYMT", "HOPERAT", "COC"]
ROWS = [ALCOHOL, SUGAR, PRESSURE, OTHER, ENCOUNTER, SENSITIVE_ROW]
PERMITTING = {
    "ex-consent-basic-treat": ROWS,
    "ex-consent-basic-treat-infant": ROWS,
    "ex-consent-basic-ink": ROWS,
    "ex-consent-intermediate-timeframe": [ALCOHOL, OTHER, ENCOUNTER, SENSITIVE_ROW],
    "ex-consent-intermediate-not-timeframe": [SUGAR, PRESSURE],
    "ex-consent-intermediate-encounter": [ALCOHOL, SUGAR, PRESSURE, ENCOUNTER],
    "ex-consent-intermediate-not-encounter": [OTHER, SENSITIVE_ROW],
    "ex-consent-intermediate-data": [ALCOHOL, SUGAR, PRESSURE, ENCOUNTER],
    "ex-consent-intermediate-not-data": [SUGAR, PRESSURE, OTHER, ENCOUNTER, SENSITIVE_ROW],
    "ex-consent-advanced-normal": [ALCOHOL, SUGAR, PRESSURE, OTHER, ENCOUNTER],
    "ex-consent-advanced-normal-restricted": ROWS,
    "ex-consent-advanced-normal-not-restricted": [ALCOHOL, SUGAR, PRESSURE, OTHER, ENCOUNTER],
    "ex-consent-advanced-normal-focused-restricted": [ALCOHOL, SUGAR, PRESSURE, OTHER, ENCOUNTER],
    "ex-consent-advanced-normal-focused-psy": [ALCOHOL, SUGAR, PRESSURE, OTHER, ENCOUNTER],
    "ex-consent-advanced-normal-break-glass-restricted": [
        ALCOHOL,
        SUGAR,
        PRESSURE,
        OTHER,
        ENCOUNTER,
    ],
}


def test_every_example_is_judged_here(consents: Any) -> None:
    assert set(consents) == {
        *PERMITTING, "ex-consent-expired-treat", "ex-consent-basic-reject", "ex-consent-basic-research",
        "ex-consent-intermediate-purpose", "ex-dissent-intermediate-break-glass",
    }  # fmt: skip


@pytest.mark.parametrize("name", PERMITTING)
@pytest.mark.parametrize("purpose", TPO)
def test_an_example_permits_what_its_text_says_for_its_purposes(
    consents: Any, name: Any, purpose: Any
) -> None:
    decision = ask(consents[name], purpose)
    assert decision.outcome is Outcome.PERMIT
    assert [data for data in ROWS if sees(decision.access, data)] == PERMITTING[name]


@pytest.mark.parametrize("name", PERMITTING)
@pytest.mark.parametrize("purpose", ["HRESCH", "HMARKT", "PUBHLTH", FOOBAR])
def test_an_example_permits_nothing_for_another_purpose(
    consents: Any, name: Any, purpose: Any
) -> None:
    assert ask(consents[name], purpose).outcome is Outcome.ABSENT


def test_an_expired_consent_permits_until_the_end_of_its_last_day_and_nothing_after(
    consents: Any,
) -> None:
    consent = consents["ex-consent-expired-treat"]
    last = UnixMs(1_672_531_199_999)
    decision = ask(consent, now=last)
    assert decision.outcome is Outcome.PERMIT
    assert decision.until_unix_ms == last + 1
    assert ask(consent, now=UnixMs(last + 1)).outcome is Outcome.ABSENT
    assert ask(consent, now=LATER).outcome is Outcome.ABSENT


@pytest.mark.parametrize("purpose", TPO)
def test_a_rejection_shows_nothing(consents: Any, purpose: Any) -> None:
    assert ask(consents["ex-consent-basic-reject"], purpose).outcome is Outcome.ABSENT


def test_a_consent_to_research_covers_all_of_research_and_no_care(consents: Any) -> None:
    consent = consents["ex-consent-basic-research"]
    for purpose in ("HRESCH", "CLINTRCH", "CLINTRCHPC", "DSRCH"):
        assert ask(consent, purpose).outcome is Outcome.PERMIT
    for purpose in TPO:
        assert ask(consent, purpose).outcome is Outcome.ABSENT


def test_a_project_is_permitted_to_its_organization_for_its_purpose_only(consents: Any) -> None:
    consent = consents["ex-consent-intermediate-purpose"]
    team = {"groups": ["Organization/ex-org-researcher"]}
    assert ask(consent, FOOBAR, **team).outcome is Outcome.PERMIT
    assert ask(consent, FOOBAR).outcome is Outcome.ABSENT
    assert ask(consent, "HRESCH", **team).outcome is Outcome.ABSENT
    assert ask(consent, "TREAT", **team).outcome is Outcome.ABSENT


def test_dissent_with_break_glass_opens_for_the_group_with_broken_glass_only(consents: Any) -> None:
    consent = consents["ex-dissent-intermediate-break-glass"]
    group = {"groups": ["Group/ex-privilegedUsers"]}
    assert ask(consent, "BTG", broken=True, **group).outcome is Outcome.EMERGENCY
    assert ask(consent, "BTG", **group).outcome is Outcome.ABSENT
    assert ask(consent, "BTG", broken=True).outcome is Outcome.ABSENT
    for purpose in [*TPO, "ETREAT", FOOBAR]:
        assert ask(consent, purpose, **group).outcome is Outcome.ABSENT


def test_focused_labels_open_for_the_named_practitioner_only(consents: Any) -> None:
    named = "Practitioner/ex-practitioner"
    restricted = consents["ex-consent-advanced-normal-focused-restricted"]
    assert sees(ask(restricted, reader=named).access, SENSITIVE_ROW)
    assert sees(ask(restricted, reader=named).access, row(seg=HIV | GEN))
    psy = consents["ex-consent-advanced-normal-focused-psy"]
    assert sees(ask(psy, reader=named).access, SENSITIVE_ROW)
    assert not sees(ask(psy, reader=named).access, row(seg=HIV))
    assert not sees(ask(psy, reader=named).access, row(seg=HIV | PSY))


def test_restricted_data_opens_under_broken_glass_for_the_group(consents: Any) -> None:
    consent = consents["ex-consent-advanced-normal-break-glass-restricted"]
    group = {"groups": ["Group/ex-privilegedUsers"]}
    decision = ask(consent, "BTG", broken=True, **group)
    assert decision.outcome is Outcome.EMERGENCY
    assert sees(decision.access, SENSITIVE_ROW)
    assert not sees(ask(consent, "TREAT", **group).access, SENSITIVE_ROW)
    assert not sees(ask(consent, "BTG", broken=True).access, SENSITIVE_ROW)


def test_every_example_comes_back_with_the_same_elements(consents: Any) -> None:
    for name, consent in consents.items():
        parsed = parse_consent(consent)
        directive = make_directive(
            parsed.subject,
            parsed.terms,
            names=parsed.names,
            salt=bytes(32),
            now=NOW,
            frame=parsed.frame,
        )
        again = render_consent(directive, organization={})
        for key in set(consent) - {"id", "meta"}:
            assert in_order(again[key]) == in_order(consent[key]), (name, key)


def in_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: in_order(item) for key, item in value.items() if key != "display"}
    if isinstance(value, list):
        return sorted((in_order(item) for item in value), key=repr)
    return value


V3 = "http://terminology.hl7.org/CodeSystem"
PRIVACY = {"system": f"{V3}/consentscope", "code": "patient-privacy"}
BASE = {
    "resourceType": "Consent", "status": "active",
    "scope": {"coding": [PRIVACY]},
    "patient": {"reference": "Patient/p"}, "provision": {"type": "permit"},
}  # fmt: skip
ROLE = {"coding": [{"system": f"{V3}/v3-ParticipationType", "code": "IRCP"}]}
ENC = {"meaning": "related", "reference": {"reference": "Encounter/e"}}


def permit(fields: Any) -> Any:
    return {"provision": {"type": "permit", **fields}}


def actor(reference: Any) -> Any:
    return {"actor": [{"role": ROLE, "reference": {"reference": reference}}]}


OBS = {"meaning": "instance", "reference": {"reference": "Observation/o"}}


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"resourceType": "Patient"}, "Consent"),
        ({"implicitRules": "x"}, "Consent.implicitRules"),
        ({"modifierExtension": []}, "Consent.modifierExtension"),
        ({"status": "proposed"}, "Consent.status"),
        ({"scope": {"text": "privacy"}}, "Consent.scope"),
        ({"scope": {"coding": [{"code": "research"}]}}, "Consent.scope"),
        ({"patient": {"reference": "https://else.org/Patient/p"}}, "Consent.patient"),
        ({"patient": {"reference": "Group/p"}}, "Consent.patient"),
        ({"provision": None}, "C.p"),
        ({"provision": {}}, "C.p.type"),
        (permit({"extension": []}), "C.p.extension"),
        (permit({"period": {}}), "C.p.period"),
        (permit({"period": {"start": "2022-13"}}), "C.p.period.start"),
        (permit({"dataPeriod": {"start": "2023", "end": "2022"}}), "C.p.dataPeriod"),
        (permit({"actor": [{"reference": {"reference": "Organization/o"}}]}), "C.p.actor[0].role"),
        (permit({"actor": [{"role": ROLE, "reference": {"display": "x"}}]}), "C.p.actor[0].reference"),
        (permit(actor("Observation/o")), "C.p.actor[0].reference"),
        (permit({"actor": []}), "C.p.actor"),
        (permit({"purpose": [{"system": f"{V3}/v3-ActReason", "code": "NOPE"}]}), "C.p.purpose"),
        (permit({"action": [{"coding": [{"code": "dance"}]}]}), "C.p.action[0]"),
        (permit({"securityLabel": [{"system": "x", "code": "V"}]}), "C.p.securityLabel[0]"),
        (permit({"class": [{"system": "urn:ietf:bcp:13", "code": "application/pdf"}]}), "C.p.class[0]"),
        (permit({"code": [{"text": "sugar"}]}), "C.p.code[0]"),
        (permit({"data": [{**OBS, "meaning": "dependents"}]}), "C.p.data[0].meaning"),
        (permit({"data": [{**ENC, "reference": {"reference": "Observation/o"}}]}), "C.p.data[0].reference"),
        (permit({"data": [ENC, OBS]}), "C.p.data"),
        (permit({"provision": [{"type": "deny", "provision": [{}]}]}), "C.p.provision[0].provision"),
        ({"provision": {"type": "deny", "provision": [{"type": "deny"}]}}, "C.p.provision[0].type"),
        ({"provision": {"type": "deny", "provision": [{"type": "permit", "data": [OBS]}]}}, "C.p"),
    ],
)  # fmt: skip
def test_what_terms_cannot_say_is_refused_with_its_place(change: Any, where: Any) -> None:
    with pytest.raises(MalformedInputError) as caught:
        parse_consent({**BASE, **change})
    assert caught.value.where == where.replace("C.p", "Consent.provision", 1)
