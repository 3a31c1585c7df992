"""Change a resource by a patch. Nothing but the named places changes.

Source: HL7 FHIR R4, http "patch"; RFC 6902.
"""

from __future__ import annotations

from hilum.record.json_patch import apply_json_patch

__all__ = ["apply_json_patch"]
