"""Providers that remove degradation or enlarge: one module each, one row each in the catalogue."""
