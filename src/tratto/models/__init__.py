"""Model cards and the weight files they vouch for: what there is, where it lies, whether it is the right file."""
