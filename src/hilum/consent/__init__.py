"""Terms, directives, the gate, base policies, break-glass, labels, FHIR Consent."""
