from __future__ import annotations

import hashlib

import pytest

from tratto.core.errors import OptionError
from tratto.models.card import load_card, parse_card
from tratto.models.store import all_cards

HASH = "ab" * 32
GOOD = f"""
id = "net-1.0"
file = "net-1.0.onnx"
sha256 = "{HASH}"
size_bytes = 1234
licence = "Apache-2.0"
commercial_use = true
capability = "restorer"
backend = "onnx"
scale = 2
tile = 256
overlap = 32
multiple = 8
has_sigma = true
input = "image"
output = "image_out"
sigma_output = "sigma"
value_range = [0.0, 1.0]
paper = "none"
training_data = ["photographs", "drawings"]
command = "make train"
limits = "no faces"

[quality]
psnr = 31.5

[speed]
seconds_per_megapixel = 0.25
"""


def test_reads_every_key():
    card = parse_card(GOOD)
    assert (card.id, card.licence, card.capability, card.backend) == ("net-1.0", "Apache-2.0", "restorer", "onnx")
    assert dict(card.files) == {"net-1.0.onnx": HASH}
    assert (card.scale, card.tile, card.overlap, card.multiple, card.size_bytes) == (2, 256, 32, 8, 1234)
    assert card.has_sigma
    assert not card.generative
    assert card.sigma_output == "sigma"
    assert card.value_range == (0.0, 1.0)
    assert card.training_data == "photographs, drawings"
    assert card.limits == ("no faces",)
    assert card.quality == {"psnr": 31.5}
    assert card.speed == {"seconds_per_megapixel": 0.25}
    assert card.source.kind == "embedded"
    assert card.pinned
    assert card.sha256 == HASH
    assert card.ref().to_json() == {
        "id": "net-1.0",
        "sha256": HASH,
        "licence": "Apache-2.0",
        "commercial_use": True,
    }


def several(files, kind="hub", rest='repo = "a/b"\nrevision = "main"'):
    head = GOOD.replace('file = "net-1.0.onnx"\n', "").replace(f'sha256 = "{HASH}"\n', "")
    table = "\n".join(f'"{k}" = "{v}"' for k, v in files.items())
    return head + f'\n[files]\n{table}\n\n[source]\nkind = "{kind}"\n{rest}\n'


def test_one_hash_for_several_files_is_that_of_the_sha256sum_listing():
    card = parse_card(several({"b/y.json": "22" * 32, "a.onnx": "11" * 32}))
    listing = f"{'11' * 32}  a.onnx\n{'22' * 32}  b/y.json\n"
    assert card.sha256 == hashlib.sha256(listing.encode()).hexdigest()


def test_a_hub_card_may_leave_hashes_open():
    card = parse_card(several({"a.onnx": "", "b.json": "22" * 32}))
    assert not card.pinned
    assert card.sha256 == ""
    assert card.source.repo == "a/b"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id = ", "not valid TOML"),
        (GOOD.replace("licence", "license"), "license: "),
        (GOOD.replace('paper = "none"\n', ""), "missing keys paper"),
        (GOOD.replace("scale = 2\n", ""), "missing keys scale"),
        (GOOD.replace('sigma_output = "sigma"\n', ""), "missing keys sigma_output"),
        (GOOD.replace("commercial_use = true", 'commercial_use = "yes"'), "commercial_use: "),
        (GOOD.replace("scale = 2", "scale = true"), "scale: "),
        (GOOD.replace("scale = 2", "scale = 0"), "scale: "),
        (GOOD.replace("tile = 256", "tile = 250"), "multiple of 8"),
        (GOOD.replace("tile = 256", "tile = 64"), "twice the overlap"),
        (GOOD.replace('backend = "onnx"', 'backend = "pickle"'), "backend: "),
        (GOOD.replace('"restorer"', '"magician"'), "capability: "),
        (GOOD.replace('id = "net-1.0"', 'id = "../net"'), " id: "),
        (GOOD.replace(HASH, HASH[:-1]), "64 lower-case hex"),
        (GOOD.replace(HASH, HASH.upper()), "64 lower-case hex"),
        (GOOD.replace(f'sha256 = "{HASH}"\n', ""), "either file and sha256"),
        (GOOD.replace("net-1.0.onnx", "../net.onnx"), "stays inside"),
        (GOOD.replace("net-1.0.onnx", "/etc/net.onnx"), "stays inside"),
        (GOOD.replace("net-1.0.onnx", "net.pth"), "not a kind of file"),
        (GOOD.replace("net-1.0.onnx", "net.bin"), "not a kind of file"),
        (GOOD.replace("[0.0, 1.0]", "[0.0]"), "value_range"),
        (GOOD.replace("seconds_per_megapixel = 0.25", "seconds_per_megapixel = 0"), "above 0"),
        (GOOD.replace("seconds_per_megapixel = 0.25", "other = 1"), "above 0"),
        (GOOD + "\n[source]\nkind = 'ftp'\n", "source.kind must be one of"),
        (GOOD + "\n[source]\nkind = 'package'\ndist = 'x'\n", "exactly the keys"),
        (GOOD + "\n[source]\nkind = 'hub'\nrepo = 'x'\nrevision = 'main'\n", "source.repo"),
        (GOOD + "\n[source]\nkind = 'hub'\nrepo = '../x'\nrevision = 'main'\n", "source.repo"),
        (GOOD + "\n[source]\nkind = 'hub'\nrepo = 'a/x'\nrevision = '../..'\n", "source.revision"),
        (several({"a.onnx": ""}, "package", 'dist = "d"\nextra = "e"'), "64 lower-case hex"),
        (several({}), "at least one file"),
        (GOOD + "\n[source]\nkind = 'registry'\nregistry = 'apt'\npackage = 'a'\nversion = '1'\n", "source.registry"),
        (GOOD.replace("size_bytes = 1234", "size_bytes = -1"), "size_bytes: "),
        (GOOD.replace("multiple = 8", "multiple = 8\nborder = 33"), "border must lie in"),
        (GOOD.replace("size_bytes = 1234", "formerly = 3"), "formerly: "),
        (GOOD.replace('["photographs", "drawings"]', '["photographs", 3]'), "training_data: "),
    ],
)
def test_refuses(text, words):
    with pytest.raises(OptionError, match=words):
        parse_card(text, "here.toml")


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "x.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(OptionError, match="cannot read"):
        load_card(path)


def test_every_card_that_ships_is_complete():
    cards = all_cards()
    assert {"realesrgan-x4plus", "waifu2x-photo-x2", "waifu2x-cunet-x1-noise1"} <= set(cards)
    for card_id, card in cards.items():
        assert card.id == card_id
        free = card.licence in ("Apache-2.0", "MIT", "BSD-3-Clause", "CC0-1.0", "OpenRAIL++-M", "OpenRAIL++")
        assert free or "-NC-" in card.licence or card.licence.startswith("non-commercial"), card_id
        assert card.commercial_use == free, card_id
        assert free or "non-commercial" in card.limits, card_id
        assert card.limits, card_id
        assert card.paper, card_id
        if card.source.kind not in ("hub", "converted"):
            assert card.pinned, card_id
        if card.capability == "restorer":
            assert card.used_by or card_id.startswith("tratto-"), card_id
        if card_id.startswith("realesrgan"):
            assert card.generative, card_id


def test_a_card_of_version_0_1_still_says_what_it_is_for():
    assert parse_card(GOOD.replace('"restorer"', '"in-painter"')).capability == "inpainter"


def test_an_end_on_strips_is_of_ncnn_networks():
    with pytest.raises(OptionError, match="tail"):
        parse_card(GOOD.replace("[quality]", '[tail]\nblob = "a"\nrows = 4\nhalo = 2\n\n[quality]'))
