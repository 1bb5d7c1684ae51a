"""The one loop that executes steps."""
