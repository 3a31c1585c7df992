"""Hilum: a health record that belongs to the patient."""

__version__ = "0.1.0"
