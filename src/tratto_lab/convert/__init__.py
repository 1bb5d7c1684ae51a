"""Weights that others published, turned into the files this project ships."""
