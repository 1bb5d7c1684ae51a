"""Values and protocols; numpy only."""
