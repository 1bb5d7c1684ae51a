"""Receipts: what changed, how sure, what was done, and how anyone can check and undo it."""
