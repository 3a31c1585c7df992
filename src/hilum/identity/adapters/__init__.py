"""Where readers and tokens rest."""
