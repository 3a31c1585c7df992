"""FHIRPath: expressions over FHIR trees, compiled once and evaluated with places."""

from hilum.record.fhirpath.expression import Expression, compile_fhirpath
from hilum.record.fhirpath.frame import Environment
from hilum.record.fhirpath.items import Item, root_item
from hilum.record.fhirpath.quantity import Amount
from hilum.record.fhirpath.temporal import Temporal

__all__ = [
    "Amount",
    "Environment",
    "Expression",
    "Item",
    "Temporal",
    "compile_fhirpath",
    "root_item",
]
