"""The thirty shapes of search that are measured from a thousand to sixty-four thousand patients.

Each is a name and a URL below /fhir; words in braces are sampled from the corpus for every request, so
that no cache is measured. Method: sampled parameters, only answers with status 200 and what was asked for
count, every error is published (`mock.health`, "The FHIR search cliff is plural").
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PARAMETERS", "SHAPES", "Shape"]

PARAMETERS = (
    "patient", "encounter", "observation", "practitioner", "organization", "code", "condition_code",
    "family", "given", "birthdate", "identifier", "date", "value", "unit", "city",
)  # fmt: skip
"""What is sampled: ids; LOINC and SNOMED codes as ``system|code``; names; dates; ``system|value``;
a number and a UCUM unit of an observation with `code`; a city."""


@dataclass(frozen=True, slots=True)
class Shape:
    """One shape of search.

    Attributes:
        name: stable, for the table of figures.
        url: below /fhir, with parameters in braces.
        across: True when it looks into all records of the reader.
    """

    name: str
    url: str
    across: bool = False


SHAPES = (
    Shape("patient-code", "Observation?patient={patient}&code={code}"),
    Shape("patient-code-date", "Observation?patient={patient}&code={code}&date=ge{date}"),
    Shape("patient-category-newest", "Observation?patient={patient}&category=vital-signs&_sort=-date"),
    Shape("patient-quantity", "Observation?patient={patient}&value-quantity=gt{value}|http://unitsofmeasure.org|{unit}"),
    Shape("patient-composite", "Observation?patient={patient}&code-value-quantity={code}$gt{value}"),
    Shape("patient-encounters", "Encounter?patient={patient}&date=ge{date}"),
    Shape("patient-conditions", "Condition?patient={patient}&clinical-status=active"),
    Shape("patient-token-not", "Observation?patient={patient}&status:not=cancelled&_count=50"),
    Shape("patient-missing", "Observation?patient={patient}&value-quantity:missing=true"),
    Shape("patient-text", "Condition?patient={patient}&code:text=dis"),
    Shape("patient-chain", "Observation?patient={patient}&encounter.date=ge{date}"),
    Shape("patient-chain-directory", "Encounter?patient={patient}&participant:Practitioner.name={family}"),
    Shape("patient-has", "Encounter?patient={patient}&_has:Observation:encounter:code={code}"),
    Shape("patient-include", "Observation?patient={patient}&code={code}&_include=Observation:encounter"),
    Shape("patient-revinclude", "Encounter?patient={patient}&_revinclude=Observation:encounter&_count=5"),
    Shape("patient-total", "Observation?patient={patient}&_count=0"),
    Shape("compartment", "Patient/{patient}/Procedure?date=ge{date}"),
    Shape("people-identifier", "Patient?identifier={identifier}", across=True),
    Shape("people-family", "Patient?family={family}", across=True),
    Shape("people-name-birthdate", "Patient?name={family}&birthdate={birthdate}", across=True),
    Shape("people-exact-given", "Patient?given:exact={given}", across=True),
    Shape("people-birthdate-range", "Patient?birthdate=ge{birthdate}&gender=female", across=True),
    Shape("people-city", "Patient?address-city={city}", across=True),
    Shape("people-has", "Patient?_has:Condition:patient:code={condition_code}", across=True),
    Shape("population-code", "Observation?code={code}", across=True),
    Shape("population-code-value", "Observation?code-value-quantity={code}$gt{value}", across=True),
    Shape("population-code-date", "Condition?code={condition_code}&recorded-date=ge{date}", across=True),
    Shape("population-chain", "Observation?code={code}&subject:Patient.family={family}", across=True),
    Shape("population-practitioner", "Encounter?participant=Practitioner/{practitioner}", across=True),
    Shape("directory-name", "Practitioner?name={family}", across=True),
)  # fmt: skip
