import numpy as np

from tratto.imaging.marks import find_stain, ground_of, without_marks
from tratto.imaging.shading import field_at

PAINT = np.array([0.5, 0.42, 0.3], np.float32)
LAYER = np.array([-0.3, -0.5, -0.9], np.float32)


def wall():
    y, x = np.mgrid[0:120, 0:160]
    light = (0.8 + 0.3 * x / 160)[..., None]
    strength = np.clip(1.2 - np.hypot((x - 100) / 14, (y - 70) / 9), 0, 1)[..., None]
    return (PAINT * light).astype(np.float32), strength.astype(np.float32)


def test_a_brown_stain_is_found_and_taken_off():
    clean, strength = wall()
    noise = np.exp(np.random.default_rng(0).normal(0, 0.01, clean.shape))
    dirty = (clean * np.exp(strength * LAYER) * noise).astype(np.float32)
    weight = np.ones(dirty.shape[:2], np.float32)
    logs = np.log(dirty)
    layer = find_stain(logs, weight)
    assert layer is not None
    np.testing.assert_allclose(layer / np.linalg.norm(layer), LAYER / np.linalg.norm(LAYER), atol=0.06)
    done, glare = without_marks(dirty, weight, ground_of(logs, weight, 1, layer), (layer, False), (0, 0))
    assert (glare == 0).all()
    stained = strength[..., 0] > 0.5
    assert np.abs(np.log(dirty / clean))[stained].mean() > 0.3
    assert np.abs(np.log(done / clean))[stained].mean() < 0.06
    assert np.abs(np.log(done / dirty))[strength[..., 0] == 0].mean() < 0.02


def test_a_clean_wall_and_a_grey_shadow_have_no_stain():
    clean, strength = wall()
    weight = np.ones(clean.shape[:2], np.float32)
    assert find_stain(np.log(clean), weight) is None
    assert find_stain(np.log(clean * np.exp(-0.7 * strength)), weight) is None
    assert find_stain(np.log(clean), np.zeros_like(weight)) is None


def test_glare_is_white_light_on_a_coloured_paint():
    y, x = np.mgrid[0:120, 0:160]
    paint = np.array([0.05, 0.3, 0.1], np.float32)
    body = np.broadcast_to(paint, (120, 160, 3)).astype(np.float32)
    shine = (0.3 * np.exp(-((x - 80) ** 2 + (y - 40) ** 2) / 60)).astype(np.float32)
    pool = (1 + 1.5 * np.exp(-((x - 30) ** 2 + (y - 90) ** 2) / 200)).astype(np.float32)
    picture = body * pool[..., None] + shine[..., None]
    weight = np.ones((120, 160), np.float32)
    ground = ground_of(np.log(picture), weight, 1, None)
    done, glare = without_marks(picture, weight, ground, (None, True), (0, 0))
    assert 0.2 < glare[40, 80] < 0.32
    assert glare[90, 30] == 0  # a lamp's pool of light is no glare
    np.testing.assert_allclose(done + glare[..., None], picture, atol=1e-6)
    assert (done > 0).all()


def test_a_grid_is_read_at_every_pixel():
    step, half = 4, 2
    y, x = np.mgrid[half:40:step, half:60:step]
    field = np.stack([y, x, x + y], axis=-1).astype(np.float32)
    out = field_at(field, step, (8, 4), (20, 30))
    rows, columns = np.mgrid[8:28, 4:34]
    np.testing.assert_allclose(out[..., 0], rows, atol=0.1)
    np.testing.assert_allclose(out[..., 1], columns, atol=0.1)
