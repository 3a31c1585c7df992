"""Where directives and broken glass rest."""
