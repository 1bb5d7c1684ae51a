"""Watching results over time: what is measured of each, how its spread moves, and a page that shows it."""
