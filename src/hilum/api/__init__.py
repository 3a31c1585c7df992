"""HTTP: FHIR R4 under /fhir, the rest under /api. Bytes to use cases and back; nothing decides here."""
