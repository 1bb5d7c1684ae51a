"""Data sets: collecting, packing and reading training pictures."""
