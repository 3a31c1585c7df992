"""FHIR XML in and out: the same resource in the other form, value for value.

Both directions are driven by the compiled tables: which elements are lists, which values are
attributes, where resources lie inside resources. The digits of decimals and the text of the
narrative are never re-made. A round trip gives the same JSON up to the order of members.

Source: HL7 FHIR R4, xml.html and json.html.
"""

from __future__ import annotations

from hilum.record.xml_reading import from_xml
from hilum.record.xml_writing import to_xml

__all__ = ["from_xml", "to_xml"]
