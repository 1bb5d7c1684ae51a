"""Pure functions on pictures: reading and writing, colour, tiling, resampling, metrics, estimates."""
