"""FHIR R4 in, FHIR R4 out: validate, index, search, history; lossless. See README.md."""
