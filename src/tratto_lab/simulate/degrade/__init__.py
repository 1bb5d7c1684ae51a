"""Degradations of pictures, each with its physical model, seeded, and with its parameters returned.

Every picture here is float32 (H, W, 3), sRGB-encoded, nominally in [0, 1]. Functions named after a degradation take
its parameters; functions named ``random_*`` draw the parameters first. Randomness comes only from the
:class:`numpy.random.Generator` that is passed in. Nothing is clipped unless the model clips (an encoder, a quantiser):
noise that leaves [0, 1] is kept, as the usual evaluation protocol for denoising does.

A :class:`Degraded` holds the result and one :class:`Applied` record per operation, so that an estimator can be trained
on the parameters.
"""

from tratto_lab.simulate.degrade.blurring import blur, defocus_kernel, gaussian_kernel, motion_kernel
from tratto_lab.simulate.degrade.camera import (
    CameraNoise,
    camera_noise,
    process,
    random_camera,
    to_encoded,
    to_linear,
    unprocess,
)
from tratto_lab.simulate.degrade.drawing import (
    Mix,
    chain,
    degrade,
    random_blur,
    random_camera_noise,
    random_downsample,
    random_gaussian,
    random_jpeg,
    random_mixed,
    random_noise_jpeg,
    random_poisson,
    random_second_order,
)
from tratto_lab.simulate.degrade.drawing_real import (
    random_film_grain,
    random_halftone,
    random_nearly_clean,
    random_octave_noise,
    random_photograph,
    random_real_twice,
)
from tratto_lab.simulate.degrade.encoding import Subsampling, double_jpeg, jpeg, quantize
from tratto_lab.simulate.degrade.film import Film, film_grain, halftone, random_film
from tratto_lab.simulate.degrade.kinds import KERNELS, Applied, Degraded, Kernel, Picture
from tratto_lab.simulate.degrade.mosaic import demosaic, mosaic
from tratto_lab.simulate.degrade.noise import gaussian_noise, grain_noise, poisson_noise
from tratto_lab.simulate.degrade.octaves import OctaveNoise, octave_field, octave_noise, random_octaves
from tratto_lab.simulate.degrade.pipeline import (
    Finish,
    Pipeline,
    Sensor,
    expose,
    finished,
    photograph,
    random_pipeline,
)
from tratto_lab.simulate.degrade.sampling import downsample, resize, resize_matrix

__all__ = [
    "KERNELS",
    "Applied",
    "CameraNoise",
    "Degraded",
    "Film",
    "Finish",
    "Kernel",
    "Mix",
    "OctaveNoise",
    "Picture",
    "Pipeline",
    "Sensor",
    "Subsampling",
    "blur",
    "camera_noise",
    "chain",
    "defocus_kernel",
    "degrade",
    "demosaic",
    "double_jpeg",
    "downsample",
    "expose",
    "film_grain",
    "finished",
    "gaussian_kernel",
    "gaussian_noise",
    "grain_noise",
    "halftone",
    "jpeg",
    "mosaic",
    "motion_kernel",
    "octave_field",
    "octave_noise",
    "photograph",
    "poisson_noise",
    "process",
    "quantize",
    "random_blur",
    "random_camera",
    "random_camera_noise",
    "random_downsample",
    "random_film",
    "random_film_grain",
    "random_gaussian",
    "random_halftone",
    "random_jpeg",
    "random_mixed",
    "random_nearly_clean",
    "random_noise_jpeg",
    "random_octave_noise",
    "random_octaves",
    "random_photograph",
    "random_pipeline",
    "random_poisson",
    "random_real_twice",
    "random_second_order",
    "resize",
    "resize_matrix",
    "to_encoded",
    "to_linear",
    "unprocess",
]
