"""Network definitions, torch only. Nothing here reads files."""
