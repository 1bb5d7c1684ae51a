"""The SDK: what it takes, what it gives back, what it refuses."""

import json
from io import BytesIO

import numpy as np
import pytest
from PIL import Image as Pil

import tratto
from tratto.core.errors import InputError, OptionError, OutputError, PictureTooLarge, ReceiptError
from tratto.imaging import io
from tratto.jobs import JobLimits, SaveOptions, Session

RNG = np.random.default_rng(0)
NOISY = np.clip(128 + RNG.normal(0, 25, (48, 64, 3)), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("picture", "mode", "bits", "alpha"),
    [
        (NOISY, "rgb", 8, False),
        (NOISY[..., 0], "gray", 8, False),
        (NOISY[..., :2], "gray", 8, True),
        (np.concatenate([NOISY, NOISY[..., :1]], axis=2), "rgb", 8, True),
        (NOISY.astype(np.uint16) * 257, "rgb", 16, False),
        (NOISY.astype(np.float32) / 255, "rgb", 16, False),
        (Pil.fromarray(NOISY), "rgb", 8, False),
        (Pil.fromarray(NOISY[..., 0]), "gray", 8, False),
        (Pil.fromarray(NOISY).convert("P"), "palette", 8, False),
        (Pil.fromarray(NOISY).convert("CMYK"), "cmyk", 8, False),
    ],
    ids=["rgb", "gray", "gray-alpha", "rgba", "rgb16", "float", "pil-rgb", "pil-l", "pil-p", "pil-cmyk"],
)
def test_arrays_and_pil_pictures_in_every_mode(picture, mode, bits, alpha):
    result = tratto.restore(picture, provider="nlm", force=True)
    assert (result.image.mode.value, result.image.bits, result.image.alpha is not None) == (mode, bits, alpha)
    assert result.image.pixels.shape[:2] == (48, 64)
    assert result.edit_map.shape == result.confidence.shape == (48, 64)
    assert result.receipt["inputs"]["picture"]["file"] is None
    assert result.to_numpy().shape[:2] == (48, 64)


@pytest.mark.parametrize("bad", [None, 3, "nowhere.png", np.zeros((2, 2, 5)), np.zeros(4), np.zeros((0, 3)), b"GIF89a"])
def test_what_is_no_picture(bad):
    with pytest.raises(tratto.TrattoError):
        tratto.restore(bad)


def test_a_mask_of_any_fraction_is_kept_as_a_replay_needs_it(tmp_path):
    Pil.fromarray(NOISY).save(tmp_path / "in.png")
    mask = tratto.Mask(np.random.default_rng(3).random((48, 64)).astype(np.float32))
    result = tratto.restore(tmp_path / "in.png", provider="nlm", force=True, mask=mask)
    np.testing.assert_allclose(result.mask.values, mask.values, rtol=0, atol=0.51 / 65535)
    made = tratto.save(result, tmp_path / "a.png", source=tmp_path / "in.png")
    assert (made.bundle / "mask.png").exists()
    assert tratto.verify(made.output).word == "authentic"
    assert tratto.replay(made.bundle).tier == "A"


def test_the_input_array_is_not_touched():
    before = NOISY.copy()
    tratto.restore(NOISY, provider="nlm", force=True, strength=0.5)
    np.testing.assert_array_equal(NOISY, before)


def test_a_mask_is_drawn_over_the_picture_as_shown(tmp_path):
    exif = Pil.Exif()
    exif[0x0112] = 6  # shown turned a quarter clockwise
    Pil.fromarray(NOISY).save(tmp_path / "a.png", exif=exif)
    mask = np.zeros((64, 48), bool)  # the shown picture is 48 wide and 64 high
    mask[:20, :10] = True
    result = tratto.restore(tmp_path / "a.png", provider="nlm", force=True, mask=mask)
    shown = io.oriented(result.edit_map > 0, 6)
    assert shown.shape == (64, 48)
    assert not shown[~mask].any()
    assert shown[mask].mean() > 0.8
    with pytest.raises(OptionError, match="48x64"):
        tratto.restore(tmp_path / "a.png", provider="nlm", force=True, mask=mask.T)


@pytest.mark.parametrize(
    "mask", [np.full((48, 64), np.nan), np.full((48, 64), 2.0), np.zeros((48, 64), int), np.zeros((4, 4))]
)
def test_bad_masks(mask):
    with pytest.raises(OptionError):
        tratto.restore(NOISY, provider="nlm", force=True, mask=mask)


@pytest.fixture
def saved(tmp_path):
    Pil.fromarray(NOISY).save(tmp_path / "in.png")
    result = tratto.restore(tmp_path / "in.png", provider="nlm", force=True)
    return tratto.save(result, tmp_path / "out" / "a.png", source=tmp_path / "in.png"), tmp_path


def changed_share(mask):
    result = tratto.restore(NOISY, provider="nlm", force=True, mask=mask)
    return (result.edit_map > 0).mean(), result.warnings


@pytest.mark.parametrize("kind", [bool, np.uint8, np.uint16, np.float32])
def test_a_mask_of_zeros_and_ones_means_no_and_yes(kind):
    mask = np.zeros((48, 64), kind)
    mask[:24] = 1
    share, warnings = changed_share(mask)
    assert 0.45 < share <= 0.5
    assert warnings == ()
    if kind is np.uint8:
        assert changed_share(Pil.fromarray(mask))[0] == share
        assert changed_share(Pil.fromarray(255 * mask))[0] == share
        assert changed_share(Pil.fromarray(255 * mask).convert("1"))[0] == share
        assert changed_share(Pil.fromarray(255 * mask).convert("RGB"))[0] == share


def test_masks_that_could_mean_either_are_refused(tmp_path):
    white = Pil.fromarray(np.full((48, 64), 255, np.uint8))
    clear = white.convert("RGBA")
    clear.putalpha(Pil.fromarray(np.repeat(np.array([[0, 255]], np.uint8), 32, axis=1).repeat(48, axis=0)))
    red = Pil.new("RGB", (64, 48), (255, 0, 0))
    for picture, word in ((clear, "transparent"), (red, "colours")):
        picture.save(tmp_path / "m.png")
        for mask in (picture, tmp_path / "m.png"):
            with pytest.raises(OptionError, match=word):
                changed_share(mask)
    opaque = white.convert("RGBA")
    assert changed_share(opaque)[0] > 0.9


def test_a_mask_that_opens_hardly_anything_is_told():
    mask = np.zeros((48, 64), np.uint8)
    assert "nothing at all" in changed_share(mask)[1][0]
    mask[0, :20] = 255
    assert "only 0.65 %" in changed_share(mask)[1][0]
    mask[:] = 2
    assert "only 0.78 %" in changed_share(mask)[1][0]


def test_a_mask_that_is_the_picture_itself(tmp_path):
    Pil.fromarray(NOISY[..., 0]).save(tmp_path / "a.png")
    with pytest.raises(OptionError, match="picture itself"):
        tratto.restore(tmp_path / "a.png", provider="nlm", mask=tmp_path / "a.png")


def test_a_result_is_replaced_only_on_request(saved):
    made, folder = saved
    before = made.output.read_bytes()
    result = tratto.restore(folder / "in.png", provider="nlm", force=True, strength=0.5)
    with pytest.raises(OutputError, match="overwrite=True"):
        tratto.save(result, made.output, source=folder / "in.png")
    assert made.output.read_bytes() == before
    with pytest.raises(OutputError, match=r"a\.tratto exists"):  # the account of the PNG
        tratto.save(result, made.output.with_suffix(".tif"), source=folder / "in.png")
    tratto.save(result, made.output, source=folder / "in.png", overwrite=True)
    assert made.output.read_bytes() != before
    assert tratto.verify(made.output).word == "authentic"
    Pil.fromarray(NOISY).save(folder / "out" / "foreign.png")
    with pytest.raises(OutputError, match="exists"):
        tratto.save(result, folder / "out" / "foreign.png", source=folder / "in.png")


def test_an_original_that_is_not_kept_is_told(saved):
    made, folder = saved
    assert made.warnings == ()
    result = tratto.restore(folder / "in.png", provider="nlm", force=True)
    assert "be reverted" in tratto.save(result, folder / "b.png").warnings[0]
    assert tratto.save(result, folder / "c.png", SaveOptions("png", keep_original=False)).warnings == ()
    assert tratto.save(tratto.restore(NOISY, provider="nlm"), folder / "d.png").warnings == ()


def test_empty_names():
    with pytest.raises(OptionError, match="empty"):
        tratto.restore("")
    with pytest.raises(OptionError, match="'' does not end like a picture"):
        tratto.save(tratto.restore(NOISY, provider="nlm"), "")


def test_options_or_keywords_but_not_both():
    with pytest.raises(OptionError, match="not both"):
        tratto.restore(NOISY, tratto.RestoreOptions(), scale=2)


def test_limits_are_checked_before_the_work():
    small = Session(job_limits=JobLimits(output_pixels=1000))
    with pytest.raises(PictureTooLarge, match="megapixels"):
        small.restore(NOISY, tratto.RestoreOptions(scale=2, provider="bicubic"))
    hasty = Session(job_limits=JobLimits(minutes=1e-9))
    with pytest.raises(PictureTooLarge, match="minutes"):
        hasty.restore(NOISY, tratto.RestoreOptions(provider="nlm", force=True))


def test_replay_tells_the_tiers_apart(saved):
    made, folder = saved
    assert tratto.replay(made.bundle).tier == "A"
    receipt = json.loads((made.bundle / "receipt.json").read_text())
    alone = folder / "receipt.json"
    alone.write_bytes((made.bundle / "receipt.json").read_bytes())
    with pytest.raises(ReceiptError, match="source"):
        tratto.replay(alone)
    assert tratto.replay(alone, folder / "in.png").tier == "A"
    other = np.clip(NOISY.astype(int) + 1, 0, 255).astype(np.uint8)
    with pytest.raises(ReceiptError, match="another hash"):
        tratto.replay(alone, other)
    assert receipt["steps"][0]["provider"] == "nlm"


@pytest.mark.parametrize(
    ("shift", "tier"), [(1, "B"), (2, "B"), (3, "C"), (8, "C"), (9, "different"), (60, "different")]
)
def test_replay_bounds(saved, monkeypatch, shift, tier):
    """A provider whose answer drifted: the tier follows from how far."""
    from tratto.jobs.replaying import compare as _compare

    made, _ = saved
    image = io.read_image(made.output)
    image = image.replace(pixels=np.minimum(image.pixels, 190))
    moved = image.replace(pixels=(image.pixels + shift).astype(np.uint8))
    verdict = _compare(image, moved, "denoise by nlm")
    assert verdict.tier == tier
    assert abs(verdict.max_error - shift / 255) < 1e-6
    assert verdict.exit_code == (9 if tier == "different" else 0)
    assert "denoise by nlm" in verdict.sentence()
    assert "should have been identical" not in verdict.sentence()


def test_the_tiers_bound_every_sample_and_not_only_the_mean():
    """PSNR over a whole picture does not see a small patch, and colours do not see alpha."""
    from tratto.jobs.replaying import compare as _compare

    image = io.image_from_array(np.full((400, 400), 100, np.uint8))
    spot = image.pixels.copy()
    spot[7, 9] = 109
    verdict = _compare(image, image.replace(pixels=spot), "")
    assert verdict.tier == "different"
    assert verdict.psnr == pytest.approx(20 * np.log10(255 / 9) + 10 * np.log10(160000), abs=1e-6)
    spot[7, 9] = 108
    assert _compare(image, image.replace(pixels=spot), "").tier == "C"
    alternating = image.pixels + 8 * (np.indices((400, 400)).sum(0) % 2 * 2 - 1)
    assert _compare(image, image.replace(pixels=alternating.astype(np.uint8)), "").psnr == pytest.approx(
        30.07, abs=0.01
    )
    clear = image.replace(alpha=np.full((400, 400), 255, np.uint8))
    assert _compare(clear, clear.replace(alpha=np.full((400, 400), 240, np.uint8)), "").tier == "different"
    assert _compare(clear, image, "").tier == "different"


def test_a_replay_says_that_the_picture_beside_it_is_another(saved):
    made, _ = saved
    assert tratto.replay(made.bundle).doubt == ""
    image = io.read_image(made.output)
    io.write_image(image.replace(pixels=255 - image.pixels), made.output, "png")
    verdict = tratto.replay(made.output)
    assert (verdict.tier, verdict.exit_code) == ("A", 9)
    assert made.output.name in verdict.sentence()


def test_a_replay_names_a_patch_that_was_painted_in(saved):
    """All is remade to fit: picture, maps, receipt, seal. Only doing the work again shows it."""
    from tratto.core import canonical
    from tratto.core.hashing import FileFacts
    from tratto.provenance.seal import build_seal

    made, _ = saved
    image = io.read_image(made.output)
    pixels = image.pixels.copy()
    pixels[10:14, 20:24] = 255
    image = image.replace(pixels=pixels)
    io.write_image(image, made.output, "png")
    receipt = json.loads((made.bundle / "receipt.json").read_text())
    receipt["outputs"]["picture"]["samples_sha256"] = receipt["steps"][-1]["output_digest"] = io.digest(image)
    facts = FileFacts.of(made.output.read_bytes())
    receipt["outputs"]["picture"]["file"] |= {**facts.to_json(), "decoded_samples_sha256": io.digest(image)}
    (made.bundle / "receipt.json").write_bytes(canonical.dumps(receipt))
    sealed = {p.name: FileFacts.of(p.read_bytes()) for p in made.bundle.iterdir()}
    own = sealed.pop("receipt.json")
    sealed.pop("seal.json")
    (made.bundle / "seal.json").write_bytes(canonical.dumps(build_seal(own, facts, sealed)))
    verdict = tratto.replay(made.bundle)
    assert (verdict.tier, verdict.exit_code, verdict.same_environment) == ("different", 9, True)
    assert "been identical" in verdict.sentence()
    # elsewhere the last digit may differ, so nothing is said of it
    receipt["environment"]["libraries"]["numpy"] = "0.1"
    (made.bundle / "receipt.json").write_bytes(canonical.dumps(receipt))
    verdict = tratto.replay(made.bundle)
    assert (verdict.tier, verdict.same_environment) == ("different", False)
    assert "identical" not in verdict.sentence()


def test_a_replay_compares_a_jpeg_with_a_jpeg():
    from tratto.jobs.replaying import as_jpeg as _as_jpeg
    from tratto.jobs.replaying import compare as _compare

    rng = np.random.default_rng(2)
    fresh = io.image_from_array(np.clip(128 + rng.normal(0, 40, (64, 64, 3)), 0, 255).astype(np.uint8))
    stream = BytesIO()
    Pil.fromarray(fresh.pixels).save(stream, "JPEG", quality=60)
    stored = io.read_image(stream.getvalue())
    assert np.abs(stored.pixels.astype(int) - fresh.pixels).max() > 8
    assert _compare(stored, fresh, "").tier == "B"
    painted = fresh.pixels.copy()
    painted[8:20, 8:20] = 255
    other = _as_jpeg(fresh.replace(pixels=painted), stored)
    assert _compare(other, fresh, "").tier == "different"


def test_saving_over_the_input_is_refused(tmp_path):
    Pil.fromarray(NOISY).save(tmp_path / "a.png")
    before = (tmp_path / "a.png").read_bytes()
    result = tratto.restore(tmp_path / "a.png", provider="nlm", force=True)
    with pytest.raises(OutputError, match="never overwritten"):
        tratto.save(result, tmp_path / "a.png", source=tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "fields"), [("a.gif", {}), ("a.png", {"format": "tiff"}), ("a.jpg", {"format": "png"})]
)
def test_an_ending_that_does_not_fit(tmp_path, name, fields):
    result = tratto.restore(NOISY, provider="nlm", force=True)
    with pytest.raises(OptionError):
        tratto.save(result, tmp_path / name, SaveOptions(**fields) if fields else None)
    assert not list(tmp_path.iterdir())


def test_a_format_that_cannot_carry_the_picture(tmp_path):
    result = tratto.restore(NOISY.astype(np.uint16) * 257, provider="nlm", force=True)
    with pytest.raises(OptionError, match="cannot carry"):
        tratto.save(result, tmp_path / "a.jpg")
    cmyk = tratto.restore(Pil.fromarray(NOISY).convert("CMYK"), provider="nlm", force=True)
    with pytest.raises(OptionError, match="cannot carry"):
        tratto.save(cmyk, tmp_path / "a.png")


def test_lossy_output_verifies_and_says_it_is_lossy(tmp_path):
    Pil.fromarray(NOISY).save(tmp_path / "in.png")
    result = tratto.restore(tmp_path / "in.png", provider="nlm", force=True)
    made = tratto.save(result, tmp_path / "a.jpg", source=tmp_path / "in.png")
    assert "JPEG" in made.warnings[0]
    assert tratto.verify(made.output).word == "authentic"
    assert tratto.replay(made.bundle).tier == "A"


def test_enlarging_a_palette_picture_gives_rgb():
    result = tratto.restore(Pil.fromarray(NOISY).convert("P"), scale=2, provider="bicubic")
    assert result.image.mode.value == "rgb"
    assert result.image.pixels.shape == (96, 128, 3)


@pytest.mark.parametrize("no_path", [None, 3, b"a.png", ["a.png"]])
def test_what_is_no_path_is_told_in_a_sentence(tmp_path, no_path):
    result = tratto.restore(NOISY, provider="nlm", force=True)
    for call in (
        lambda: tratto.verify(no_path),
        lambda: tratto.replay(no_path),
        lambda: tratto.audit(no_path),
        lambda: tratto.revert(no_path, tmp_path / "a.png"),
        lambda: tratto.save(result, no_path),
    ):
        with pytest.raises(InputError, match=f"expected the path of .*, got {type(no_path).__name__}"):
            call()


def test_saving_what_is_no_result(tmp_path):
    for nothing in (None, NOISY, "a.png"):
        with pytest.raises(InputError, match=f"needs a Result, .* got {type(nothing).__name__}"):
            tratto.save(nothing, tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
