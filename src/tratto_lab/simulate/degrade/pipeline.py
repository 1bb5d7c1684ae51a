"""A camera from the sensor to the finished picture: what makes its noise coloured and coarse.

Light is unprocessed to what the sensor would have seen (:mod:`.camera`), sampled through a colour filter array, given
the noise of photons, read-out, rows and hot pixels, and quantised; then developed: demosaiced, balanced, turned into
sRGB, denoised and sharpened as cameras do by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from tratto.core.errors import OptionError
from tratto_lab.simulate.degrade.camera import CameraNoise, process, random_camera, unprocess
from tratto_lab.simulate.degrade.kinds import Picture, check_picture
from tratto_lab.simulate.degrade.mosaic import (
    DEMOSAICERS,
    PATTERNS,
    Demosaicer,
    Pattern,
    Plane,
    demosaic,
    mosaic,
)


@dataclass(frozen=True)
class Sensor:
    """What the sensor adds beside photons and read-out.

    Attributes
    ----------
    pattern : str
        Its colour filter array.
    rows : float
        Standard deviation of an offset that a whole row shares, as a share of the read noise.
    bits : int
        Of the analogue-digital converter.
    hot : float
        Share of pixels that are far too bright.

    Examples
    --------
    >>> Sensor().pattern, Sensor().bits
    ('RGGB', 14)
    """

    pattern: Pattern = "RGGB"
    rows: float = 0.0
    bits: int = 14
    hot: float = 0.0


@dataclass(frozen=True)
class Finish:
    """What the camera does to the picture by itself, on encoded values.

    Attributes
    ----------
    chroma : float
        Standard deviation in pixels of the smoothing of both colour differences; 0: none.
    bilateral : float
        Range, 0-255 scale, of a bilateral filter (Tomasi and Manduchi 1998) on brightness; 0: none.
    coring : float
        Brightness detail below this size, 0-255 scale, is taken away: soft thresholding of what a Gaussian of one
        pixel leaves (Donoho 1995); 0: none.
    sharpen, radius : float
        Share of the difference to a Gaussian of this many pixels that is added to brightness.

    Examples
    --------
    >>> Finish().chroma  # none
    0.0
    """

    chroma: float = 0.0
    bilateral: float = 0.0
    coring: float = 0.0
    sharpen: float = 0.0
    radius: float = 1.0


@dataclass(frozen=True)
class Pipeline:
    """A camera.

    Attributes
    ----------
    camera : CameraNoise
        Noise of photons and read-out, white balance, colour matrix.
    sensor : Sensor
        The rest of the sensor.
    how : {"bilinear", "malvar", "edge"}
        Its demosaicer.
    finish : Finish
        Its denoising and sharpening.
    scale : float
        How many sensor pixels lie along one pixel of the finished picture: above one, the camera's picture was
        shrunk; below one, it was enlarged.

    Examples
    --------
    >>> Pipeline(random_camera(np.random.default_rng(0))).how
    'malvar'
    """

    camera: CameraNoise
    sensor: Sensor = field(default_factory=Sensor)
    how: Demosaicer = "malvar"
    finish: Finish = field(default_factory=Finish)
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not 0.25 <= self.scale <= 4:
            raise OptionError(f"a camera's scale is from 0.25 to 4; got {self.scale}")
        if not 6 <= self.sensor.bits <= 16:
            raise OptionError(f"a sensor has 6 to 16 bits; got {self.sensor.bits}")


def expose(raw: Picture, pipeline: Pipeline, rng: np.random.Generator | None) -> Plane:
    """Return what the sensor reports of linear camera RGB.

    Photons are counted by the law of Poisson with ``shot`` as the value of one, the read-out is Gaussian with variance
    ``read`` (Foi et al. 2008, "Practical Poissonian-Gaussian noise modeling"); values may fall below zero, as they do
    above a sensor's black level.

    Parameters
    ----------
    raw : ndarray
        float32 (H, W, 3), not negative.
    pipeline : Pipeline
        The camera.
    rng : numpy.random.Generator or None
        The source of randomness; None: no noise, and no quantisation.

    Returns
    -------
    ndarray
        float32 (H, W).

    Examples
    --------
    >>> raw, camera = np.full((8, 8, 3), 0.2, np.float32), Pipeline(random_camera(np.random.default_rng(0)))
    >>> np.allclose(expose(raw, camera, None), 0.2)  # no noise
    True
    """
    clean = mosaic(raw, pipeline.sensor.pattern)
    if rng is None:
        return clean
    camera, sensor = pipeline.camera, pipeline.sensor
    seen = (rng.poisson(clean / np.float32(camera.shot)) * camera.shot).astype(np.float32)
    spread = np.float32(np.sqrt(camera.read))
    seen += rng.standard_normal(seen.shape, dtype=np.float32) * spread
    if sensor.rows:
        seen += rng.standard_normal((seen.shape[0], 1), dtype=np.float32) * (spread * np.float32(sensor.rows))
    if sensor.hot:
        hit = rng.uniform(size=seen.shape) < sensor.hot
        seen[hit] += rng.uniform(0.1, 1.0, int(hit.sum())).astype(np.float32)
    top = np.float32(2**sensor.bits - 1)
    return np.minimum(np.round(seen * top) / top, np.float32(1.0))


def finished(picture: Picture, finish: Finish) -> Picture:
    """Denoise and sharpen encoded sRGB as a camera does; not clipped.

    Examples
    --------
    >>> grey = np.full((16, 16, 3), 0.5, np.float32)
    >>> np.allclose(finished(grey, Finish(chroma=2.0, coring=3.0, sharpen=0.5)), grey, atol=1e-3)
    True
    """
    import cv2

    check_picture(picture)
    weights = np.array([0.299, 0.587, 0.114], np.float32)
    light = picture @ weights
    rest = picture - light[..., None]
    if finish.chroma:
        rest = cv2.GaussianBlur(rest, (0, 0), finish.chroma, borderType=cv2.BORDER_REFLECT_101)
        rest = rest - (rest @ weights)[..., None]
    if finish.bilateral:
        light = cv2.bilateralFilter(light, 5, finish.bilateral / 255, 1.5, borderType=cv2.BORDER_REFLECT_101)
    if finish.coring:
        base = cv2.GaussianBlur(light, (0, 0), 1.0, borderType=cv2.BORDER_REFLECT_101)
        detail = light - base
        light = base + np.sign(detail) * np.maximum(np.abs(detail) - np.float32(finish.coring / 255), 0)
    if finish.sharpen:
        base = cv2.GaussianBlur(light, (0, 0), finish.radius, borderType=cv2.BORDER_REFLECT_101)
        light = light + np.float32(finish.sharpen) * (light - base)
    return np.asarray(rest + light[..., None], np.float32)


def photograph(picture: Picture, pipeline: Pipeline, rng: np.random.Generator | None) -> Picture:
    """Photograph a clean picture with a camera.

    Parameters
    ----------
    picture : ndarray
        float32 (H, W, 3), encoded sRGB in [0, 1].
    pipeline : Pipeline
        The camera.
    rng : numpy.random.Generator or None
        The source of randomness; None: what the camera would make without noise. The difference of both is the noise
        alone, as it comes out of the camera.

    Returns
    -------
    ndarray
        float32 (H, W, 3), encoded sRGB; sharpening may leave [0, 1].

    Examples
    --------
    >>> grey, rng = np.full((32, 32, 3), 0.5, np.float32), np.random.default_rng(0)
    >>> camera = random_pipeline(rng)
    >>> noise = photograph(grey, camera, rng) - photograph(grey, camera, None)
    >>> bool(noise.std() > 0)
    True
    """
    import cv2

    check_picture(picture)
    h, w = picture.shape[:2]
    light = picture
    if pipeline.scale != 1:
        size = (max(4, round(w * pipeline.scale)), max(4, round(h * pipeline.scale)))
        smaller = pipeline.scale < 1
        light = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC)
    raw = unprocess(np.clip(light, 0, 1, dtype=np.float32), pipeline.camera)
    seen = expose(raw, pipeline, rng)
    out = process(demosaic(seen, pipeline.sensor.pattern, pipeline.how), pipeline.camera)
    out = finished(out, pipeline.finish)
    if pipeline.scale != 1:
        kernel = cv2.INTER_CUBIC if pipeline.scale < 1.25 else cv2.INTER_AREA
        out = cv2.resize(out, (w, h), interpolation=kernel)
    return np.asarray(out, np.float32)


def random_pipeline(rng: np.random.Generator) -> Pipeline:
    """Draw a camera: noise after Brooks et al. 2019 (:func:`.camera.random_camera`), the rest evenly.

    In half of the cases light is counted in steps 2 to 10 times finer (and read noise follows): most photographs are
    taken with more light than those that research is about, and their faint noise is the hardest to see.

    Examples
    --------
    >>> 6 <= random_pipeline(np.random.default_rng(0)).sensor.bits <= 16
    True
    """

    def some(share: float, low: float, high: float) -> float:
        value = float(np.exp(rng.uniform(np.log(low), np.log(high))))
        return value if rng.uniform() < share else 0.0

    camera = random_camera(rng)
    if rng.uniform() < 0.5:
        finer = float(np.exp(rng.uniform(np.log(2.0), np.log(10.0))))
        camera = replace(camera, shot=camera.shot / finer, read=camera.read / finer**2.18)
    sensor = Sensor(
        PATTERNS[int(rng.integers(4))],
        some(0.3, 0.1, 1.0),
        int(rng.integers(10, 15)),
        some(0.1, 1e-5, 1e-3),
    )
    kind = rng.uniform()
    finish = Finish(
        chroma=some(0.5, 0.6, 3.0),
        bilateral=some(1.0, 3.0, 30.0) if kind < 0.25 else 0.0,
        coring=some(1.0, 0.5, 8.0) if kind > 0.65 else 0.0,
        sharpen=some(0.5, 0.1, 1.0),
        radius=float(rng.uniform(0.6, 1.6)),
    )
    scale, draw = 1.0, rng.uniform()
    if draw < 0.45:
        scale = float(rng.uniform(1.2, 2.5))
    elif draw < 0.6:
        scale = float(rng.uniform(0.5, 0.9))
    return Pipeline(camera, sensor, DEMOSAICERS[int(rng.integers(3))], finish, scale)
