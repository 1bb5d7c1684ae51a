"""Inpainters: the protocol is :class:`tratto.core.capability.Inpainter`; one row each in the catalogue."""
