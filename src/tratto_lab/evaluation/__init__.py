"""Honest evaluation: suites that run restorers and what people would use instead over a folder of clean pictures."""

from tratto_lab.evaluation.restore import Case, Report, RestorePlan, Row, evaluate_restore, to_markdown

__all__ = ["Case", "Report", "RestorePlan", "Row", "evaluate_restore", "to_markdown"]
