import numpy as np
import pytest

from tratto.core.canvas import Canvas
from tratto.core.errors import ForbiddenStep, OptionError
from tratto.core.image import ColorMode, Image, Mask
from tratto.core.recipe import Recipe
from tratto.engine.run import run
from tratto.imaging.io import digest
from tratto.imaging.resample import enlarge_rows
from tratto.steps import step_class
from tratto.steps.denoise import Denoise
from tratto.steps.upscale import Upscale

MODES = {
    "gray8": (ColorMode.GRAY, 8, 0),
    "gray16": (ColorMode.GRAY, 16, 0),
    "gray1": (ColorMode.GRAY, 1, 0),
    "rgb8": (ColorMode.RGB, 8, 3),
    "rgb16": (ColorMode.RGB, 16, 3),
    "cmyk8": (ColorMode.CMYK, 8, 4),
}


def picture(kind="rgb8", alpha=False, size=(53, 67), seed=0):
    mode, bits, channels = MODES[kind]
    rng = np.random.default_rng(seed)
    dtype = np.uint16 if bits == 16 else np.uint8
    shape = size if channels == 0 else (*size, channels)
    px = rng.integers(0, 2**bits, shape, dtype)
    return Image(px, mode, bits, rng.integers(0, 2**bits, size, dtype) if alpha else None)


def canvas_of(image, mask=None):
    return Canvas(image, image, {} if mask is None else {"edit": Mask(mask.astype(np.float32))})


@pytest.mark.parametrize("kind", MODES)
@pytest.mark.parametrize("alpha", [False, True])
def test_outside_the_mask_every_sample_is_the_source(fake_services, kind, alpha):
    image = picture(kind, alpha)
    mask = np.zeros((53, 67))
    mask[10:26, 20:36] = 1
    out = run(Recipe("t", (Denoise(),)), canvas_of(image, mask), fake_services)
    after = out.canvas.image
    np.testing.assert_array_equal(after.pixels[mask == 0], image.pixels[mask == 0])
    if kind != "gray1":
        assert (after.pixels[mask == 1] != image.pixels[mask == 1]).mean() > 0.8
    if alpha:
        np.testing.assert_array_equal(after.alpha, image.alpha)
    assert (out.canvas.sigma[mask == 0] == 0).all()
    assert (out.canvas.sigma[mask == 1] == round(0.02 * 65535)).all()


@pytest.mark.parametrize("kind", MODES)
def test_strength_zero_is_the_source_and_half_is_half_way(fake_services, kind):
    image = picture(kind, alpha=True)
    none = run(Recipe("t", (Denoise(strength=0.0),)), canvas_of(image), fake_services).canvas.image
    assert digest(none) == digest(image)
    full = run(Recipe("t", (Denoise(),)), canvas_of(image), fake_services).canvas.image
    half = run(Recipe("t", (Denoise(strength=0.5),)), canvas_of(image), fake_services).canvas.image
    want = (image.pixels.astype(float) + full.pixels) / 2
    assert np.abs(half.pixels - want).max() <= 0.5


@pytest.mark.parametrize("kernel", ["nearest", "bicubic"])
def test_enlarged_outside_the_mask_is_the_kernel_of_the_source_even_after_cleaning(fake_services, kernel):
    image = picture("rgb8", alpha=True)
    mask = np.zeros((53, 67))
    mask[:20, :30] = 1
    recipe = Recipe("t", (Denoise(), Upscale(scale=2, kernel=kernel)))
    out = run(recipe, canvas_of(image, mask), fake_services)
    want = np.clip(np.rint(enlarge_rows(image.pixels, 0, 106, 2, kernel)), 0, 255).astype(np.uint8)
    outside = np.repeat(np.repeat(mask, 2, 0), 2, 1) == 0
    np.testing.assert_array_equal(out.canvas.image.pixels[outside], want[outside])
    np.testing.assert_array_equal(out.baseline.pixels, want)
    assert (out.canvas.image.pixels[~outside] != want[~outside]).mean() > 0.8
    assert out.canvas.image.alpha.shape == (106, 134)


def test_a_soft_mask_blends(fake_services):
    image = picture("rgb16")
    mask = np.full((53, 67), 0.25)
    full = run(Recipe("t", (Denoise(),)), canvas_of(image), fake_services).canvas.image.pixels.astype(float)
    soft = run(Recipe("t", (Denoise(),)), canvas_of(image, mask), fake_services).canvas.image.pixels
    assert np.abs(soft - (0.75 * image.pixels + 0.25 * full)).max() <= 0.51


def test_records_carry_digests_and_observed_times(fake_services):
    image = picture("rgb8")
    fake_services.seed = 5
    out = run(Recipe("t", (Denoise(), Upscale(scale=2)), seed=5), canvas_of(image), fake_services)
    first, second = out.records
    assert first.input_digest == digest(image)
    assert first.output_digest == second.input_digest
    assert second.output_digest == digest(out.canvas.image)
    assert first.seed == 5
    assert first.confidence_basis == "model"
    assert "seconds" in first.observed
    assert "observed" not in first.to_json()
    assert {s for s, _, _ in fake_services.stages} == {"denoise", "upscale"}


def test_errors_of_two_steps_add_in_quadrature(fake_services):
    out = run(Recipe("t", (Denoise(), Upscale(scale=2))), canvas_of(picture("rgb8")), fake_services)
    assert abs(out.canvas.sigma.astype(float) / 65535 - 0.02 * 2**0.5).max() < 2e-5


def test_a_provider_without_its_own_error_gets_the_self_ensemble(fake_services):
    out = run(Recipe("t", (Denoise(provider="blind"),)), canvas_of(picture("rgb8")), fake_services)
    assert out.records[0].confidence_basis == "self-ensemble"


def test_the_recipe_survives_json_and_resolving_twice_changes_nothing(fake_services):
    recipe = Recipe("t", (Denoise(strength=0.3), Upscale(scale=4, kernel="lanczos")), 7, ("because",))
    again = Recipe.from_json(recipe.to_json(), step_class)
    assert again == recipe
    image = picture("gray8", size=(21, 22))
    one = run(recipe, canvas_of(image), fake_services)
    two = run(one.resolved, canvas_of(image), fake_services)
    assert two.resolved == one.resolved
    assert two.records[-1].output_digest == one.records[-1].output_digest


def test_generative_steps_are_refused_when_told_so(fake_services):
    with pytest.raises(ForbiddenStep, match="dreamer is generative"):
        run(Recipe("t", (Denoise(provider="dreamer"),)), canvas_of(picture()), fake_services, allow_generative=False)


@pytest.mark.parametrize("strength", [-0.1, 1.5, float("nan")])
def test_bad_strength(fake_services, strength):
    with pytest.raises(OptionError, match="strength"):
        run(Recipe("t", (Denoise(strength=strength),)), canvas_of(picture()), fake_services)


def test_a_mask_of_another_size(fake_services):
    with pytest.raises(OptionError, match="mask is 5x4"):
        run(Recipe("t", (Denoise(),)), canvas_of(picture(), np.ones((4, 5))), fake_services)
