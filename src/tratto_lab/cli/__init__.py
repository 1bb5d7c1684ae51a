"""Commands for people who train and measure."""
