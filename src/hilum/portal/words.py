"""Plain words for codes. `N_` marks a text for the catalogues; pages translate it when shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hilum.bitcoin import EMBEDDED_BANNER
from hilum.exchange.measures import DOUBTFUL
from hilum.exchange.views import Section
from hilum.signals.model import Flag

if TYPE_CHECKING:
    from hilum.portal.language import Language

__all__ = [
    "ACTIONS",
    "BANNER",
    "FLAGS",
    "GENDERS",
    "GRANTABLE",
    "GROUPS",
    "MARKED",
    "MARKS",
    "ORDINARY_SEGMENTS",
    "PURPOSES",
    "SECTIONS",
    "SEGMENTS",
    "STEPS",
    "TYPES",
    "flag_words",
    "group_of_types",
    "unit_words",
]


def N_(text: str) -> str:  # noqa: N802 - the name that extractors of messages know
    """Mark a text for the catalogues."""
    return text


BANNER = EMBEDDED_BANNER

SECTIONS: dict[Section, str] = {
    Section.PROBLEMS: N_("Problems"),
    Section.MEDICINES: N_("Medicines"),
    Section.ALLERGIES: N_("Allergies"),
    Section.IMMUNISATIONS: N_("Vaccinations"),
    Section.RESULTS: N_("Results"),
    Section.VISITS: N_("Visits"),
    Section.DOCUMENTS: N_("Documents"),
    Section.OTHER: N_("Everything else"),
}

PURPOSES: dict[str, str] = {
    "TREAT": N_("treatment"),
    "ETREAT": N_("emergency treatment"),
    "BTG": N_("emergency access"),
    "HPAYMT": N_("payment"),
    "HOPERAT": N_("running the clinic"),
    "HRESCH": N_("research"),
    "PUBHLTH": N_("public health"),
    "PATRQT": N_("your own request"),
    "FAMRQT": N_("a family member's request"),
}
"""What a grant may be for, most usual first; v3 PurposeOfUse codes."""

GRANTABLE = ("TREAT", "HPAYMT", "HOPERAT", "HRESCH", "PUBHLTH", "FAMRQT")
"""Purposes that the page offers."""

TYPES: dict[str, str] = {
    "Patient": N_("Personal details"),
    "Condition": N_("Problem"),
    "MedicationRequest": N_("Prescription"),
    "MedicationStatement": N_("Medicine"),
    "MedicationAdministration": N_("Medicine given"),
    "MedicationDispense": N_("Medicine handed out"),
    "AllergyIntolerance": N_("Allergy"),
    "Immunization": N_("Vaccination"),
    "Observation": N_("Result or measurement"),
    "DiagnosticReport": N_("Report"),
    "Encounter": N_("Visit"),
    "DocumentReference": N_("Document"),
    "Procedure": N_("Procedure"),
    "CarePlan": N_("Care plan"),
    "CareTeam": N_("Care team"),
    "Goal": N_("Goal"),
    "ImagingStudy": N_("Imaging"),
    "ServiceRequest": N_("Order"),
    "FamilyMemberHistory": N_("Family history"),
    "Device": N_("Device"),
    "Coverage": N_("Insurance"),
    "Claim": N_("Claim"),
    "ExplanationOfBenefit": N_("Insurance statement"),
}

GROUPS: dict[str, tuple[str, tuple[str, ...]]] = {
    "person": (N_("Name, date of birth, address"), ("Patient",)),
    "problems": (N_("Problems"), ("Condition",)),
    "medicines": (
        N_("Medicines"),
        (
            "MedicationRequest",
            "MedicationStatement",
            "MedicationAdministration",
            "MedicationDispense",
        ),
    ),
    "allergies": (N_("Allergies"), ("AllergyIntolerance",)),
    "vaccinations": (N_("Vaccinations"), ("Immunization",)),
    "results": (N_("Results and measurements"), ("Observation", "DiagnosticReport")),
    "visits": (N_("Visits and procedures"), ("Encounter", "Procedure")),
    "documents": (N_("Documents"), ("DocumentReference",)),
    "plans": (N_("Care plans and goals"), ("CarePlan", "CareTeam", "Goal")),
}
"""What a person may choose to share: word of the form → words, FHIR types."""

SEGMENTS: dict[str, str] = {
    "NORMAL": N_("everyday care"),
    "DEV": N_("readings of your devices"),
    "PSY": N_("mental health"),
    "SUD": N_("treatment of addiction"),
    "HIV": N_("HIV"),
    "SEX": N_("sexual and reproductive health"),
    "ETH": N_("use of alcohol and drugs"),
    "GEN": N_("genes"),
}
ORDINARY_SEGMENTS = ("NORMAL", "DEV")
"""Ticked when the form opens; the sensitive parts are the person's own decision."""

MARKS: dict[str, str] = {
    "active": N_("active"),
    "recurrence": N_("back again"),
    "relapse": N_("relapsed"),
    "inactive": N_("not active"),
    "remission": N_("in remission"),
    "resolved": N_("resolved"),
    "stopped": N_("stopped"),
    "on-hold": N_("on hold"),
    "cancelled": N_("cancelled"),
    "preliminary": N_("preliminary"),
    "amended": N_("corrected"),
    "corrected": N_("corrected"),
    "entered-in-error": N_("entered in error"),
    "not-done": N_("not done"),
    "in-progress": N_("under way"),
    "planned": N_("planned"),
    "high": N_("high risk"),
    "low": N_("low risk"),
    "AMB": N_("outpatient"),
    "IMP": N_("in hospital"),
    "EMER": N_("emergency"),
    "HH": N_("at home"),
    "VR": N_("by phone or video"),
    "H": N_("above range"),
    "L": N_("below range"),
    "HU": N_("far above range"),
    "LU": N_("far below range"),
    "A": N_("abnormal"),
    "AA": N_("critical"),
}
"""Codes worth a word beside an entry; what goes without saying (final, completed) has none."""

GENDERS = {"male": N_("male"), "female": N_("female"), "other": N_("other")}

FLAGS: dict[Flag, str] = {
    Flag.RANGE: N_("not plausible for a living person"),
    Flag.RATE: N_("changed faster than expected"),
    Flag.GAP_BEFORE: N_("readings are missing before it"),
    Flag.OFF_SCALE_LOW: N_("below what the device can show"),
    Flag.OFF_SCALE_HIGH: N_("above what the device can show"),
    Flag.CLOCK: N_("the device's clock was wrong"),
    Flag.AMBIGUOUS_HOUR: N_("in the hour that the clock change repeats"),
    Flag.MANUAL: N_("entered by hand"),
    Flag.DUPLICATE_TIME: N_("two readings at one time"),
    Flag.FLAT: N_("did not change for suspiciously long"),
}
MARKED = DOUBTFUL | Flag.OFF_SCALE_LOW | Flag.OFF_SCALE_HIGH | Flag.AMBIGUOUS_HOUR
"""Flags that a chart marks with a dot."""

STEPS: dict[str, str] = {
    "format": N_("The proof file is whole and written in the one allowed way."),
    "payload": N_("The receipt inside is well-formed."),
    "journal-path": N_("The receipt stands in the node's log of receipts."),
    "checkpoint": N_("The log's summary is signed by the node."),
    "cell-value": N_("That summary is what the node committed to in its ledger."),
    "cell-path": N_("The ledger entry belongs to the sealed batch."),
    "batch-record": N_("The batch's record is well-formed."),
    "anchor": N_("A Bitcoin transaction carries that record."),
    "inclusion": N_("The transaction stands in a Bitcoin block."),
    "headers": N_("The block is part of the chain of block headers."),
}
"""Steps of the check, in order, by the names that `hilum verify` reports."""

ACTIONS: dict[str, str] = {
    "read": N_("opened"),
    "search": N_("searched"),
    "history": N_("looked at earlier versions"),
    "contribute": N_("added or changed"),
    "export": N_("took a copy"),
    "subscribe": N_("was notified"),
    "aggregate": N_("counted"),
}

_UNITS = {
    "mm[Hg]": "mmHg",
    "/min": N_("per minute"),
    "{steps}": N_("steps"),
    "{count}": N_("times"),
    "{flights}": N_("floors"),
    "Cel": "°C",
    "[degF]": "°F",
    "[lb_av]": "lb",
    "[oz_av]": "oz",
    "[in_i]": "in",
    "[ft_i]": "ft",
    "[yd_i]": "yd",
    "[mi_i]": "mi",
    "[foz_us]": "fl oz",
    "[mi_i]/h": "mi/h",
    "kg/m2": "kg/m²",
    "mL/min/kg": "mL/(kg·min)",
    "kcal/h/kg": "kcal/(kg·h)",
    "kcal": "kcal",
    "ug": "µg",
    "uS": "µS",
    "[iU]": "IU",
    "dB[SPL]": "dB",
    "min": N_("min"),
    "1": "",
}


def unit_words(language: Language, ucum: str) -> str:
    """Return a UCUM unit as people write it.

    Args:
        language: to say it in.
        ucum: UCUM code.
    """
    words = _UNITS.get(ucum, ucum.strip("{}"))
    return language.say(words) if words else ""


def flag_words(language: Language, flags: int) -> str:
    """Return the flags of a reading in words, or "".

    Args:
        language: to say it in.
        flags: mask of `Flag`.
    """
    return ", ".join(language.say(words) for flag, words in FLAGS.items() if flags & flag)


def group_of_types(types: list[str]) -> tuple[list[str], list[str]]:
    """Return the groups that a list of FHIR types makes up, and the types left over.

    Args:
        types: FHIR types.
    """
    left = set(types)
    groups = []
    for name, (_, members) in GROUPS.items():
        if left.issuperset(members):
            groups.append(name)
            left.difference_update(members)
    return groups, sorted(left)
