"""Classical estimates of what is wrong with a picture: pure functions of its samples."""

from tratto.imaging.estimate.blur import estimate_blur
from tratto.imaging.estimate.inspect import inspect_image, rgb_windows, sample_windows
from tratto.imaging.estimate.jpeg import jpeg_quality_from_pixels, jpeg_quality_from_tables, standard_table
from tratto.imaging.estimate.noise import estimate_noise
from tratto.imaging.estimate.octaves import estimate_octaves
from tratto.imaging.estimate.screen import find_screen
from tratto.imaging.estimate.spectrum import SPECTRUM_SIZE, calm_spectrum
from tratto.imaging.estimate.upscale import estimate_upscale

__all__ = [
    "SPECTRUM_SIZE",
    "calm_spectrum",
    "estimate_blur",
    "estimate_noise",
    "estimate_octaves",
    "estimate_upscale",
    "find_screen",
    "inspect_image",
    "jpeg_quality_from_pixels",
    "jpeg_quality_from_tables",
    "rgb_windows",
    "sample_windows",
    "standard_table",
]
