"""Tratto for people and programs that do not use a terminal: an HTTP API, a queue of jobs and a page.

``app`` derives the API from the tasks' options, ``store`` keeps uploads and jobs in one SQLite file, ``worker`` is a
process that does jobs, ``serve`` runs all of it. ``uploads`` takes files in and has them decoded by ``child``, a
process with limits; ``pyramid`` makes tiles for deep zoom. Nothing here is imported before ``tratto serve``.
"""
