"""A contact sheet of degradations, for the eye."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from tratto.core.errors import OptionError
from tratto.core.image import ColorMode, Image
from tratto.imaging.color import from_float, view_rgb
from tratto.imaging.io import oriented
from tratto_lab.simulate import degrade as d

Picture = NDArray[np.float32]
CELL = 192
LABEL = 18


def _cells(rng: np.random.Generator) -> list[tuple[str, Callable[[Picture], Picture]]]:
    """Return the labelled degradations, four to a row, mild to severe."""
    cells: list[tuple[str, Callable[[Picture], Picture]]] = [("clean", lambda p: p)]
    cells += [(f"Gaussian, sigma {s}", lambda p, s=s: d.gaussian_noise(p, s, rng)) for s in (10, 25, 50)]
    cells += [(f"Poisson, peak {k}", lambda p, k=k: d.poisson_noise(p, k, rng)) for k in (500, 120, 40, 15)]
    cells += [(f"camera noise {k}", lambda p: d.camera_noise(p, d.random_camera(rng), rng)) for k in (1, 2, 3, 4)]
    cells += [(f"JPEG, quality {q}", lambda p, q=q: d.jpeg(p, q)) for q in (60, 30, 10)]
    cells += [("JPEG twice, shifted grid", lambda p: d.double_jpeg(p, 40, 70, (3, 5)))]
    cells += [(f"Gaussian blur, sigma {s}", lambda p, s=s: d.blur(p, d.gaussian_kernel(s, s, 0.0))) for s in (0.8, 1.6)]
    cells += [("blur 3 x 0.6 px", lambda p: d.blur(p, d.gaussian_kernel(3.0, 0.6, 0.6)))]
    cells += [("motion, 9 px", lambda p: d.blur(p, d.motion_kernel(9.0, 0.4)))]
    cells += [("defocus, radius 2.5", lambda p: d.blur(p, d.defocus_kernel(2.5)))]
    for kernel in ("nearest", "bilinear", "bicubic", "area"):
        cells.append((f"half size, {kernel}", lambda p, k=kernel: _there_and_back(p, k)))
    cells += [(f"mixed {k}", lambda p: d.random_mixed(p, rng).picture) for k in (1, 2)]
    cells += [(f"noise, JPEG {k}", lambda p: d.random_noise_jpeg(p, rng).picture) for k in (1, 2)]
    cells += [(f"second order {k}", lambda p: d.random_second_order(p, rng).picture) for k in (1, 2)]
    cells += [(f"photograph {k}", lambda p: d.random_photograph(p, rng).picture) for k in (1, 2, 3, 4)]
    for decay in (0.45, 0.7, 0.95):
        noise = d.OctaveNoise(tuple(7 * decay**k for k in range(5)), (0.4,) * 5)
        cells.append((f"octaves, each x {decay}", lambda p, n=noise: d.octave_noise(p, n, rng)))
    cells += [("octaves, drawn", lambda p: d.random_octave_noise(p, rng).picture)]
    films = {
        "grain of 0.5 px": d.Film(0.05, (0.5,)),
        "grain of 2 px": d.Film(0.05, (2.0,)),
        "colour film": d.Film(0.05, (0.6, 1.5), tied=0.2, blur=0.5),
        "colour slide": d.Film(0.05, (0.6, 1.5), negative=False, tied=0.2),
    }
    cells += [(label, lambda p, f=film: d.film_grain(p, f, rng)) for label, film in films.items()]
    cells += [(f"print, {period} px", lambda p, t=period: d.halftone(p, t)) for period in (3, 6)]
    cells += [("two rounds", lambda p: d.random_real_twice(p, rng).picture)]
    cells += [("nearly clean", lambda p: d.random_nearly_clean(p, rng).picture)]
    return cells


def _there_and_back(picture: Picture, kernel: d.Kernel) -> Picture:
    small = d.downsample(picture, 2, kernel)
    return d.resize(small, picture.shape[0], picture.shape[1], "nearest")


def contact_sheet(image: Image, seed: int = 0, columns: int = 4) -> Image:
    """Return a sheet that shows the middle of a picture under every degradation, labelled.

    Parameters
    ----------
    image : Image
        At least 32 pixels on each side; its middle 192 x 192 pixels are shown, upright.
    seed : int
        Of everything drawn at random.
    columns : int
        Cells in a row.

    Raises
    ------
    OptionError
        If the picture is too small.
    """
    if min(image.height, image.width) < 32:
        raise OptionError(f"a preview needs at least 32x32 pixels, got {image.width}x{image.height}")
    from PIL import Image as Pil
    from PIL import ImageDraw

    side = min(CELL, image.height, image.width) // 4 * 4
    y0, x0 = (image.height - side) // 2, (image.width - side) // 2
    stored = view_rgb(image, y0, y0 + side)[:, x0 : x0 + side]
    middle = np.ascontiguousarray(oriented(stored, image.meta.orientation), np.float32)
    cells = _cells(np.random.default_rng(seed))
    rows = -(-len(cells) // columns)
    sheet = Pil.new("RGB", (columns * (side + 8) + 8, rows * (side + LABEL + 8) + 8), "white")
    draw = ImageDraw.Draw(sheet)
    for k, (label, apply) in enumerate(cells):
        x, y = 8 + (k % columns) * (side + 8), 8 + (k // columns) * (side + LABEL + 8)
        shown = from_float(np.clip(apply(middle), 0, 1), 8)
        sheet.paste(Pil.fromarray(np.asarray(shown, np.uint8)), (x, y))
        draw.text((x, y + side + 3), label, fill="black")
    return Image(np.asarray(sheet, np.uint8).copy(), ColorMode.RGB)
