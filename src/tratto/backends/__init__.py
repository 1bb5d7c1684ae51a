"""Runtimes that turn named arrays into named arrays. Each is imported only when one of its models is opened."""
