"""Many pictures with one command: what to read, what to write, and what became of each."""
