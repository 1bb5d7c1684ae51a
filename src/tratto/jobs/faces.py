"""Faces of a picture; see :mod:`tratto.faces.find`."""

from tratto.faces.find import Face, Networks, distance, distances, faces_of

__all__ = ["Face", "Networks", "distance", "distances", "faces_of"]
