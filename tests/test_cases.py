"""Inputs that once went wrong, through the command line: what each should give, and what every reader says of it."""

import io
import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pil
from PIL import IptcImagePlugin
from typer.testing import CliRunner

from tratto.cli.main import app
from tratto.core.errors import CorruptPicture, InputError, OptionError, UnsupportedFormat
from tratto.imaging.io import notes_of, read_image
from tratto.provenance import xmp
from tratto.provenance.verify import verify

CASES = Path(__file__).parent / "cases"
EXIFTOOL = shutil.which("exiftool")


def tratto(*arguments, code=0):
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, result.output
    return result


def done(tmp_path, name, *options, task="restore", fmt="auto"):
    """Do some work on a case; return the result and everything that was said of it."""
    work = ("--force", "--provider", "nlm") if task == "restore" and "--scale" not in options else ()
    told = tratto(task, CASES / name, "-o", tmp_path, "--format", fmt, *work, *options)
    (picture,) = (p for p in tmp_path.iterdir() if p.is_file() and p.suffix != ".json")
    bundle = tmp_path / f"{picture.stem}.tratto"
    receipt = json.loads((bundle / "receipt.json").read_text())
    assert verify(picture).word == "authentic"
    return picture, receipt, told.output, (bundle / "report.html").read_text()


def exif_by_exiftool(path, *tags):
    if EXIFTOOL is None:
        pytest.skip("exiftool is not here")
    command = [EXIFTOOL, "-j", "-n", *(f"-{t}" for t in tags), str(path)]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[0]


# ------------------------------------------------------------------------------------------- what the reader has to say

NOTES = {
    "notes_cmyk_no_adobe.jpg": "CMYK JPEG without an Adobe mark",
    "notes_content_credentials.jpg": "content credentials (JUMBF)",
    "notes_motion_trailer.jpg": "bytes behind the end mark",
    "notes_orientation_9.jpg": "the orientation tag is 9",
    "notes_photoshop_layers.tif": "Photoshop layers",
    "notes_ultrahdr.jpg": "several pictures (MPF)",
    "jpeg_half_scan.jpg": "picture data of the JPEG are damaged",
    "tiff_tags.tif": "TIFF tags that are not carried on",
}


@pytest.mark.parametrize("name", NOTES)
def test_every_note_of_the_reader_is_heard_everywhere(tmp_path, name):
    words = NOTES[name]
    assert any(words in n for n in notes_of(read_image(CASES / name)))
    _, receipt, told, report = done(tmp_path / "a", name)
    assert words in " ".join(told.split())
    assert any(words in w for w in receipt["warnings"])
    assert words in report
    as_json = tratto("restore", CASES / name, "-o", tmp_path / "b", "--force", "--provider", "nlm", "--json").stdout
    assert any(words in w for w in json.loads(as_json)[0]["warnings"])
    looked = tratto("inspect", CASES / name, "--json").stdout
    assert any(words in w for w in json.loads(looked)[0]["notes"])
    planned = tratto("restore", CASES / name, "-o", tmp_path / "c", "--dry-run", "--json").stdout
    assert any(words in w for w in json.loads(planned)[0]["warnings"])


# ---------------------------------------------------------------------------------------- what held for the old pixels


def test_no_thumbnail_shows_what_was_repaired_away(tmp_path):
    picture, receipt, told, _ = done(
        tmp_path, "stale_thumbnail.jpg", "--mask", CASES / "stale_thumbnail.mask.png", task="repair", fmt="jpeg"
    )
    exif = read_image(picture).meta.exif
    assert b"\xff\xd8\xff" not in exif
    with Pil.open(picture) as seen:
        assert not seen.getexif().get_ifd(1)
    assert "thumbnail" in " ".join(told.split())
    assert any("thumbnail" in w for w in receipt["warnings"])
    assert "ThumbnailImage" not in exif_by_exiftool(picture, "ThumbnailImage")
    assert "ThumbnailImage" in exif_by_exiftool(CASES / "stale_thumbnail.jpg", "ThumbnailImage")


def test_an_untouched_picture_keeps_its_thumbnail(tmp_path):
    from tratto.core.image import ColorMode, Image, Metadata
    from tratto.imaging.io import write_image

    exif = read_image(CASES / "stale_thumbnail.jpg").meta.exif
    ramp = np.repeat(np.linspace(30, 220, 64).astype(np.uint8)[None, :, None], 48, 0).repeat(3, 2)
    write_image(Image(ramp, ColorMode.RGB, meta=Metadata(exif=exif)), tmp_path / "in.png", "png")
    tratto("restore", tmp_path / "in.png", "-o", tmp_path / "out")
    receipt = json.loads((tmp_path / "out/in.tratto/receipt.json").read_text())
    assert receipt["claim"]["status"] == "existing state"
    assert read_image(tmp_path / "out/in.png").meta.exif == exif


@pytest.mark.parametrize("fmt", ["png", "jpeg", "tiff"])
def test_sizes_are_those_of_the_enlarged_picture(tmp_path, fmt):
    picture, *_ = done(tmp_path, "stale_thumbnail.jpg", "--scale", "2", fmt=fmt)
    with Pil.open(picture) as seen:
        assert seen.size == (320, 240)
        exif = seen.getexif().get_ifd(0x8769)
    assert (exif[0xA002], exif[0xA003]) == (320, 240)
    facts = exif_by_exiftool(picture, "ExifImageWidth", "ExifImageHeight")
    assert (facts["ExifImageWidth"], facts["ExifImageHeight"]) == (320, 240)


def test_a_gain_map_that_is_gone_is_announced_no_more(tmp_path):
    before = read_image(CASES / "notes_ultrahdr.jpg").meta.xmp
    assert b"hdrgm:" in before
    picture, *_ = done(tmp_path, "notes_ultrahdr.jpg", fmt="jpeg")
    after = read_image(picture).meta.xmp
    assert b"hdrgm:Version" not in after
    assert b"<Container:Directory" not in after
    assert b"Item:Semantic" not in after


def test_credentials_at_an_address_are_no_longer_referred_to(tmp_path):
    assert b"provenance" in read_image(CASES / "remote_credentials.jpg").meta.xmp
    picture, receipt, told, _ = done(tmp_path, "remote_credentials.jpg")
    assert b"dcterms:provenance" not in read_image(picture).meta.xmp
    assert "at some address" in " ".join(told.split())
    assert any("at some address" in w for w in receipt["warnings"])


# ----------------------------------------------------------------------------------------------- what a format can hold


def test_iptc_in_tiff(tmp_path):
    picture, *_ = done(tmp_path, "iptc_in_tiff.tif")
    with tifffile.TiffFile(picture) as f:
        assert 33723 in f.pages[0].tags
    with Pil.open(picture) as seen:
        info = IptcImagePlugin.getiptcinfo(seen)
    assert info[(2, 25)] == [b"k1", b"k2"]
    assert "Überschrift".encode() in info.values()
    assert exif_by_exiftool(picture, "Keywords")["Keywords"] == ["k1", "k2"]


def test_tags_that_hold_are_kept_and_the_others_told(tmp_path):
    picture, receipt, _, _ = done(tmp_path, "tiff_tags.tif")
    with tifffile.TiffFile(CASES / "tiff_tags.tif") as a, tifffile.TiffFile(picture) as b:
        one, two = a.pages[0].tags, b.pages[0].tags
        for tag in (318, 319, 282, 283, 296):
            assert one[tag].value == two[tag].value, tag
        told = " ".join(receipt["warnings"])
        for tag in one:
            assert tag.code in {t.code for t in two} or str(tag.code) in told or tag.code < 300, tag.code


@pytest.mark.parametrize(
    ("name", "fmt", "words"),
    [
        ("jpeg_comment_iptc.jpg", "webp", ("IPTC", "comments")),
        ("jpeg_comment_iptc.jpg", "bmp", ("IPTC", "comments")),
        ("jpeg_comment_iptc.jpg", "tiff", ("comments",)),
        ("png_text.png", "tiff", ("text (", "Artist")),
        ("png_text.png", "webp", ("text (", "Title")),
        ("png_text.png", "jpeg", ("text (", "Copyright")),
        ("png_gama_chrm.png", "tiff", ("gAMA", "cHRM")),
        ("png_gama_chrm.png", "webp", ("gAMA", "cHRM")),
        ("png_gama_chrm.png", "jpeg", ("gAMA", "cHRM")),
        ("tiff_tags.tif", "png", ("318", "resolution without a unit")),
    ],
)
def test_what_has_no_place_is_told(tmp_path, name, fmt, words):
    _, receipt, told, report = done(tmp_path, name, fmt=fmt)
    (note,) = (w for w in receipt["warnings"] if "has no place for" in w)
    assert all(w in note for w in words), note
    assert all(w in " ".join(told.split()) for w in words)
    assert "has no place for" in report


def test_a_comment_goes_into_png_and_back(tmp_path):
    picture, *_ = done(tmp_path / "a", "jpeg_comment_iptc.jpg", fmt="png")
    with Pil.open(CASES / "jpeg_comment_iptc.jpg") as one, Pil.open(picture) as two:
        comment = one.info["comment"].decode()
        assert two.text["Comment"] == comment
    tratto("restore", picture, "-o", tmp_path / "b", "--format", "jpeg", "--force", "--provider", "nlm")
    with Pil.open(tmp_path / "b/jpeg_comment_iptc.jpg") as three:
        assert three.info["comment"].decode() == comment


# ------------------------------------------------------------------------------------------------------------ reading


def test_bits_in_the_other_order():
    for name in ("tiff_fillorder2_8bit.tif",):
        ours = read_image(CASES / name).pixels
        assert np.array_equal(ours, tifffile.imread(CASES / name))
        with Pil.open(CASES / name) as seen:
            assert np.array_equal(ours, np.asarray(seen))


@pytest.mark.parametrize("compression", [None, "packbits", "lzw", "deflate", "zstd"])
@pytest.mark.parametrize("bits", [1, 8, 16])
@pytest.mark.parametrize("tile", [None, (16, 16)])
def test_bits_in_the_other_order_whatever_the_form(tmp_path, compression, bits, tile):
    import imagecodecs

    rng = np.random.default_rng(0)
    data = rng.integers(0, 1 << bits, (32, 48)).astype(np.uint16 if bits == 16 else np.uint8)
    options = {"compression": compression, "photometric": "minisblack"} | ({"tile": tile} if tile else {})
    if bits == 1:
        if tile or compression not in (None, "packbits", "deflate"):
            pytest.skip("not written by this library")
        options["bitspersample"] = 1
        data = data.astype(bool)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, data, **options, extratags=[(65001, 3, 1, 2, True)])
    placeholder, wanted = (struct.pack("<HHIHH", tag, 3, 1, 2, 0) for tag in (65001, 266))
    assert path.read_bytes().count(placeholder) == 1
    raw = bytearray(path.read_bytes().replace(placeholder, wanted))
    with tifffile.TiffFile(path) as f:
        page = f.pages[0]
        places = list(zip(page.dataoffsets, page.databytecounts, strict=True))
    for at, size in places:
        raw[at : at + size] = imagecodecs.bitorder_decode(bytes(raw[at : at + size]))
    path.write_bytes(raw)
    assert np.array_equal(read_image(path).pixels, data)
    assert np.array_equal(tifffile.imread(path), data)


def test_the_first_of_two_tags_counts():
    assert read_image(CASES / "tiff_duplicate_tag.tif").pixels.shape == (16, 16)


def test_a_preview_is_not_taken_for_the_picture(tmp_path):
    with pytest.raises(UnsupportedFormat):
        read_image(CASES / "preview_first.dng")
    # a preview first and the picture behind it
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as f:
        f.write(np.full((8, 8), 9, np.uint8), subfiletype=1)
        f.write(np.full((16, 16), 7, np.uint8))
    assert read_image(path).pixels.shape == (16, 16)
    # nothing but a small picture is that picture
    tifffile.imwrite(path, np.full((8, 8), 9, np.uint8), subfiletype=1)
    assert read_image(path).pixels.shape == (8, 8)


def test_the_message_names_what_the_command_line_offers(monkeypatch):
    from tratto.imaging.io.limits import MAX_MEGAPIXELS, OPTION, Limits

    with pytest.raises(InputError, match=f"{OPTION} to 400"):
        read_image(CASES / "pixel_limit.png")
    told = tratto("inspect", CASES / "pixel_limit.png", code=3).output
    assert f"{OPTION} to 400" in " ".join(told.split())
    monkeypatch.setenv(MAX_MEGAPIXELS, "400")
    assert Limits().max_pixels == 400_000_000
    for wrong in ("much", "-1", "0", "nan", "1e99"):
        monkeypatch.setenv(MAX_MEGAPIXELS, wrong)
        with pytest.raises(OptionError):
            Limits()


def test_a_picture_without_data_is_refused_before_room_is_made():
    with pytest.raises(CorruptPicture):
        read_image(CASES / "prog4_nodata_250mp.jpg", scratch=lambda *_: pytest.fail("room was made for it"))


def test_a_mask_is_compared_in_size_before_it_is_decoded(tmp_path):
    told = tratto(
        "repair", CASES / "alpha_tear.png", "--mask", CASES / "pixel_limit.png", "-o", tmp_path, code=2
    ).output
    assert "larger than" in " ".join(told.split())


def test_a_mask_of_several_pages_is_refused(tmp_path):
    told = tratto(
        "repair",
        CASES / "multipage.tif",
        "--page",
        "all",
        "--mask",
        CASES / "multipage.mask.tif",
        "-o",
        tmp_path,
        code=2,
    ).output
    assert "2 pages" in " ".join(told.split())
    assert not list(tmp_path.glob("*.tif"))


# ------------------------------------------------------------------------------------------------- damaged picture data


def encoded(**options):
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:160, 0:240]
    texture = np.stack([x, y, (x + y) // 2], -1) * 0.6 + rng.normal(0, 12, (160, 240, 3))
    out = io.BytesIO()
    Pil.fromarray(np.clip(texture, 0, 255).astype(np.uint8)).save(out, "JPEG", **options)
    return out.getvalue()


KINDS = [{}, {"progressive": True}, {"restart_marker_rows": 1}, {"restart_marker_blocks": 3}, {"optimize": True}]


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("quality", [5, 60, 95])
def test_whole_data_are_not_called_damaged(kind, quality):
    for size in (slice(None), slice(0, 3)):
        out = io.BytesIO()
        with Pil.open(io.BytesIO(encoded(quality=quality))) as seen:
            Pil.fromarray(np.ascontiguousarray(np.asarray(seen)[size])).save(out, "JPEG", quality=quality, **kind)
        assert notes_of(read_image(out.getvalue())) == []


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_data_that_end_early_are_told(kind, share):
    data = encoded(quality=85, **kind)
    start = data.index(b"\xff\xda")
    cut = data[: start + int(share * (len(data) - start))].rstrip(b"\xff") + b"\xff\xd9"
    assert any("damaged" in n for n in notes_of(read_image(cut)))


@pytest.mark.parametrize("compression", ["group3", "group4", "tiff_ccitt"])
def test_fax_data_cut_short_are_told(tmp_path, compression):
    rng = np.random.default_rng(1)
    path = tmp_path / "fax.tif"
    Pil.fromarray(rng.random((64, 64)) > 0.5).save(path, "TIFF", compression=compression)
    assert notes_of(read_image(path)) == []
    data = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as f:
        tag = f.pages[0].tags[279]
        value, place = tag.value[0], tag.valueoffset
    data[place : place + 4] = (value // 2).to_bytes(4, "little")
    short = tmp_path / "short.tif"
    short.write_bytes(data)
    assert any("cut short" in n for n in notes_of(read_image(short)))


def test_cut_files_are_unknown_to_verify():
    assert verify(CASES / "png_cut.png").word == "unknown"


def test_marks_survive_the_cleaning(tmp_path):
    picture, *_ = done(tmp_path, "notes_ultrahdr.jpg", fmt="jpeg")
    assert xmp.read_marks(read_image(picture).meta.xmp).source_type == xmp.ENHANCED
    assert os.path.getsize(picture) > 1000


# ------------------------------------------------------------------------------------------------------- transparency


def test_no_dark_rim_grows_out_of_what_is_clear(tmp_path):
    picture, *_ = done(tmp_path, "alpha_fringe.png", "--scale", "4")
    seen = np.asarray(Pil.open(picture).convert("RGBA")).astype(float)
    ground, share = np.array([235, 240, 230.0]), seen[..., 3:] / 255
    shown = seen[..., :3] * share + ground * (1 - share)
    assert (ground - shown).max() <= 20


@pytest.mark.parametrize("name", ["alpha_edge", "alpha_tear"])
def test_a_repair_takes_no_colour_from_what_is_clear(tmp_path, name):
    picture, *_ = done(tmp_path, f"{name}.png", "--mask", CASES / f"{name}.mask.png", task="repair")
    after, before = (np.asarray(Pil.open(p).convert("RGBA")) for p in (picture, CASES / f"{name}.png"))
    mask = np.asarray(Pil.open(CASES / f"{name}.mask.png").convert("L")) > 0
    assert np.array_equal(after[~mask], before[~mask])
    shown = mask & (after[..., 3] > 0)
    assert shown.any()
    assert (after[shown][:, :3].max(axis=1) > 30).all()
    assert (after[mask][:, 3] == 255).all()


def test_what_stays_clear_is_told(tmp_path):
    seen = np.asarray(Pil.open(CASES / "alpha_tear.png").convert("RGBA")).copy()
    seen[:60, :60, 3] = 0
    Pil.fromarray(seen).save(tmp_path / "in.png")
    mask = np.zeros(seen.shape[:2], np.uint8)
    mask[20:30, 20:30] = 255
    Pil.fromarray(mask).save(tmp_path / "mask.png")
    told = tratto("repair", tmp_path / "in.png", "--mask", tmp_path / "mask.png", "-o", tmp_path / "out").output
    assert "100 pixels" in " ".join(told.split())
    assert (np.asarray(Pil.open(tmp_path / "out/in.png"))[20:30, 20:30, 3] == 0).all()


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize(
    "work", [("restore", "--scale", "2"), ("restore", "--force", "--provider", "nlm"), ("repair",)]
)
def test_no_premultiplied_sample_is_above_its_alpha(tmp_path, bits, work):
    rng = np.random.default_rng(4)
    top, dtype = (1 << bits) - 1, np.uint16 if bits == 16 else np.uint8
    _y, x = np.mgrid[0:64, 0:80]
    alpha = np.clip(((x - 10) / 20) ** 2 * top / 4, 0, top)
    colour = np.stack([alpha * v for v in (0.95, 0.6, 0.3)], -1)
    colour = np.clip(colour + rng.normal(0, 0.03 * top, colour.shape), 0, alpha[..., None])
    data = np.dstack([colour, alpha]).astype(dtype)
    tifffile.imwrite(tmp_path / "in.tif", data, photometric="rgb", extrasamples=["assocalpha"])
    options = list(work[1:])
    if work[0] == "repair":
        mask = np.zeros((64, 80), np.uint8)
        mask[20:40, 20:40] = 255
        Pil.fromarray(mask).save(tmp_path / "mask.png")
        options += ["--mask", tmp_path / "mask.png"]
    tratto(work[0], tmp_path / "in.tif", "-o", tmp_path / "out", *options)
    after = tifffile.imread(tmp_path / "out/in.tif")
    assert (after[..., :3] <= after[..., 3:]).all()
    assert verify(tmp_path / "out/in.tif").word == "authentic"


# ------------------------------------------------------------------------------------------------------- on the earth


def on_earth(path, raster_type, form):
    """Write a picture with GeoTIFF tags of a form; return it."""
    keys = (1, 1, 0, 2, 1024, 0, 1, 1, 1025, 0, 1, raster_type)
    tags = [(34735, 3, len(keys), keys, True), (34737, 2, 8, "WGS 84|\0", True)]
    if form == "matrix":
        tags.append((34264, 12, 16, (0.5, 0.1, 0, 4000, 0.1, -0.5, 0, 9000, 0, 0, 0, 0, 0, 0, 0, 1), True))
    else:
        tags += [(33550, 12, 3, (0.5, 0.25, 0.0), True), (33922, 12, 6, (3, 5, 0, 4000, 9000, 0), True)]
    rng = np.random.default_rng(0)
    pixels = np.clip(rng.normal(120, 20, (48, 64, 3)), 0, 255).astype(np.uint8)
    tifffile.imwrite(path, pixels, photometric="rgb", extratags=tags)


def place_of_the_corner(path, corner):
    """Return where a corner of a picture, in halves of its size, lies on the earth, by the rules of GeoTIFF."""
    with tifffile.TiffFile(path) as f:
        page = f.pages[0]
        tags = {t.code: t.value for t in page.tags}
        column, row = corner[0] * page.imagewidth / 2, corner[1] * page.imagelength / 2
    if tags[34735][-1] == 2:  # pixels are points: whole numbers are their centres
        column, row = column - 0.5, row - 0.5
    if 34264 in tags:
        return np.array(tags[34264]).reshape(4, 4)[:2] @ [column, row, 0, 1]
    (across, down, _), (i, j, _, x, y, _) = tags[33550], tags[33922]
    return np.array([x + (column - i) * across, y - (row - j) * down])


@pytest.mark.parametrize("form", ["scale", "matrix"])
@pytest.mark.parametrize("raster_type", [1, 2])
@pytest.mark.parametrize("scale", ["1", "2"])
def test_a_picture_lies_where_it_lay(tmp_path, form, raster_type, scale):
    on_earth(tmp_path / "map.tif", raster_type, form)
    tratto(
        "restore",
        tmp_path / "map.tif",
        "-o",
        tmp_path / "out",
        "--scale",
        scale,
        "--provider",
        "bicubic" if scale == "2" else "nlm",
        *(["--force"] if scale == "1" else []),
    )
    for corner in ((0, 0), (2, 0), (0, 2), (2, 2), (1, 1)):
        here, there = (place_of_the_corner(p, corner) for p in (tmp_path / "map.tif", tmp_path / "out/map.tif"))
        np.testing.assert_allclose(here, there, rtol=0, atol=1e-9)
    with tifffile.TiffFile(tmp_path / "out/map.tif") as f:
        assert f.pages[0].tags[34737].value == "WGS 84|"


# --------------------------------------------------------------------------------------------------------- what it has


def test_dots_of_print_are_left_alone():
    (found,) = json.loads(tratto("inspect", CASES / "halftone_sharp.png", "--json").stdout)
    assert found["octaves"]["screen"] == pytest.approx(2.7, abs=0.3)
    assert found["restore"]["steps"] == []


def test_single_specks_are_told():
    (found,) = json.loads(tratto("inspect", CASES / "dust_saltpepper.png", "--json").stdout)
    assert found["octaves"]["specks"] == pytest.approx(0.04, abs=0.005)
    assert any("specks" in reason for reason in found["restore"]["reasons"])
    assert any("specks" in sentence for sentence in found["findings"])


def test_one_tint_is_cleaned_as_grey():
    from tratto import restore

    weights = np.array([0.299, 0.587, 0.114])
    sepia = read_image(CASES / "sepia_grain.png").pixels
    grey = np.rint(sepia @ weights).astype(np.uint8)
    luma = [result.image.pixels.astype(float) for result in (restore(sepia), restore(grey))]
    away = [np.sqrt(((x - grey) ** 2).mean()) for x in (luma[0] @ weights, luma[1])]
    assert away[0] == pytest.approx(away[1], rel=0.05)
    assert np.sqrt(((luma[0] @ weights - luma[1]) ** 2).mean()) < 1.0


def test_working_space_that_is_full_stops_no_other_picture(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.copy(CASES / "png8_250mp.png", folder / "a.png")
    shutil.copy(CASES / "png_text.png", folder / "b.png")
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (64 << 20, 64 << 20))\n"
        "from tratto.cli.main import app; app(sys.argv[1:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "restore", str(folder), "-o", str(tmp_path / "out")],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 8, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert sorted(p.name for p in (tmp_path / "out").glob("[!.]*") if p.name != "errors.jsonl") == ["b.png", "b.tratto"]
