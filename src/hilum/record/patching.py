"""Change a resource by a patch: JSON Patch and FHIRPath Patch. Nothing but the named places changes.

Source: HL7 FHIR R4, http "patch" and fhirpatch.html; RFC 6902.
"""

from __future__ import annotations

from hilum.record.fhirpath_patch import apply_fhirpath_patch
from hilum.record.json_patch import apply_json_patch

__all__ = ["apply_fhirpath_patch", "apply_json_patch"]
