"""Faces as geometry: alignment, mesh, outline, pose. Pure functions on arrays; networks are in the providers."""
