"""Pictures out of Debian packages: formats are built by hand, and a mirror runs on this machine."""

import hashlib
import io
import json
import lzma
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tratto.cli.main import app
from tratto.core.errors import InputError, OptionError, UnavailableError
from tratto_lab.collect.client import Client, RetryPolicy
from tratto_lab.corpus.deb import read_copyright, stanza_of
from tratto_lab.corpus.pack import build_pack
from tratto_lab.corpus.packages import PackagePlan, family_of, sources_in, take_packages

COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/

Files: *
Copyright: 2002 A Team
License: GPL-2+

Files:
 art/free/wall.png
 art/free/wall_nm.png
 tiny.png
Copyright: 2018, Ann Author
 and Bob
License: CC-BY-4.0

Files: art/zero/*
Copyright: nobody
License: CC0-1.0

Files: art/alike.png
Copyright: C
License: CC-BY-SA-4.0

Files: one/twice.png
Copyright: D
License: CC0-1.0

Files: two/twice.png
Copyright: E
License: GPL-3+

License: CC0-1.0
 The text of it.
"""


def picture(width, height, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()


def deb(files, packing="xz", copyright_text=COPYRIGHT):
    """A package: an ar archive of three members, the last a tar file."""
    tarred = io.BytesIO()
    with tarfile.open(fileobj=tarred, mode=f"w:{packing}") as tar:
        for name, body in {**files, "usr/share/doc/things/copyright": copyright_text.encode()}.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    out = b"!<arch>\n"
    for name, body in (
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", b"odd"),
        (f"data.tar.{packing}", tarred.getvalue()),
    ):
        out += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(body):<10}`\n".encode() + body + b"\n" * (len(body) % 2)
    return out


def archive(files):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as packed:
        for name, body in files.items():
            packed.writestr(name, body)
    return sink.getvalue()


FILES = {
    "usr/share/things/free/wall.png": picture(600, 500, 1),
    "usr/share/things/free/wall_nm.png": picture(600, 500, 2),
    "usr/share/things/tiny.png": picture(40, 40, 3),
    "usr/share/things/art/alike.png": picture(600, 500, 4),
    "usr/share/things/other.png": picture(600, 500, 5),
    "usr/share/things/twice.png": picture(600, 500, 6),
    "usr/share/things/more.pk3": archive({"art/zero/sky.png": picture(3000, 500, 7), "notes.txt": b"no picture"}),
}


@pytest.mark.parametrize("packing", ["xz", "gz", "bz2"])
def test_free_pictures_are_taken_and_others_counted(tmp_path, packing):
    path = tmp_path / "things_1.0_all.deb"
    path.write_bytes(deb(FILES, packing))
    taken = take_packages([str(path)], tmp_path / "out")
    assert [(s.name, s.path, s.licence) for s in taken.sources] == [
        ("things_wall.png", "usr/share/things/free/wall.png", "CC-BY-4.0"),
        ("things_sky.png", "usr/share/things/more.pk3!art/zero/sky.png", "CC0-1.0"),
    ]
    assert taken.sources[0].holder == "2018, Ann Author and Bob"
    assert taken.sources[0].sha256 == hashlib.sha256(FILES["usr/share/things/free/wall.png"]).hexdigest()
    assert taken.refused == {
        "left out by name": 1,
        "too small": 1,
        "licence CC-BY-SA-4.0": 1,
        "licence not clear": 2,
    }
    with Image.open(tmp_path / "out" / "things_sky.png") as sky:
        assert sky.size == (2304, 384)
    with Image.open(tmp_path / "out" / "things_wall.png") as wall:
        expected = np.asarray(Image.open(io.BytesIO(FILES["usr/share/things/free/wall.png"])))
        assert np.array_equal(np.asarray(wall), expected)


def test_other_families_and_names_can_be_asked_for(tmp_path):
    path = tmp_path / "things.deb"
    path.write_bytes(deb(FILES))
    plan = PackagePlan(families=("cc-by-sa", "cc0"), without=("sk*",))
    taken = take_packages([str(path)], tmp_path / "out", plan)
    assert [s.name for s in taken.sources] == ["things_alike.png"]


def test_pictures_can_be_written_to_travel(tmp_path):
    path = tmp_path / "things.deb"
    path.write_bytes(deb(FILES))
    taken = take_packages([str(path)], tmp_path / "out", PackagePlan(webp=80))
    assert [s.name for s in taken.sources] == ["things_wall.webp", "things_sky.webp"]
    with Image.open(tmp_path / "out" / "things_wall.webp") as wall:
        assert (wall.format, wall.size) == ("WEBP", (600, 500))
    with pytest.raises(OptionError, match="WebP"):
        PackagePlan(webp=101)


def test_what_an_earlier_call_took_stays_listed_and_reaches_the_data_card(tmp_path):
    for name, files in (("first", {"a/free/wall.png": FILES["usr/share/things/free/wall.png"]}), ("second", FILES)):
        (tmp_path / f"{name}_1.deb").write_bytes(deb(files))
        take_packages([str(tmp_path / f"{name}_1.deb")], tmp_path / "out")
    assert [s.name for s in sources_in(tmp_path / "out")] == ["first_wall.png", "second_sky.png", "second_wall.png"]
    build_pack(tmp_path / "out", tmp_path / "pack", text_pages=0)
    card = (tmp_path / "pack" / "DATA_CARD.md").read_text()
    assert "CC-BY-4.0 (2018, Ann Author and Bob; first_1.deb) | first_wall" in card


def test_which_paragraph_holds():
    stanzas = read_copyright(COPYRIGHT)
    assert len(stanzas) == 6
    assert stanza_of("usr/share/free/wall.png", stanzas).licence == "CC-BY-4.0"
    assert stanza_of("usr/share/art/zero/x/y.png", stanzas).licence == "CC0-1.0"
    assert stanza_of("usr/share/whatever.png", stanzas) is None  # it may be one of the others, renamed
    assert stanza_of("two/twice.png", stanzas).licence == "GPL-3+"
    assert stanza_of("three/twice.png", stanzas) is None  # both names agree as far, and say different things
    assert stanza_of("a.png", ()) is None
    assert read_copyright(COPYRIGHT.replace("\n", "\r\n")) == stanzas


FREE, UNFREE = "CC0-1.0", "CC-BY-NC-4.0"


@pytest.mark.parametrize(
    ("paragraphs", "path", "expected"),
    [
        ([("*", FREE)], "a/b.png", FREE),
        ([("*", FREE), ("debian/*", "GPL-2")], "a/b.png", FREE),
        ([("*", UNFREE), ("debian/*", FREE)], "usr/share/images/debian/bg.png", UNFREE),
        ([("*", FREE), ("nonfree/*", UNFREE)], "usr/share/renamed/bg.png", None),
        ([("*", FREE), ("bad.png, bad2.png", UNFREE)], "x/bad.png", UNFREE),
        ([("*", FREE), ("src/bad.svg", UNFREE)], "x/bad.png", None),
        ([("free/bg.png", FREE), ("nc/*", UNFREE)], "usr/share/x/nc/bg.png", None),
        ([("nc/bg.png", FREE), ("nc/*", UNFREE)], "usr/share/nc/bg.png", UNFREE),
        ([("nc/*", UNFREE), ("nc/bg.png", FREE)], "usr/share/nc/bg.png", FREE),
        ([("*", UNFREE), ("free/bg.png", FREE)], "usr/share/x/nc/bg.png", None),
        ([("*", UNFREE), ("free/bg.png", FREE)], "usr/share/free/bg.png", FREE),
        ([("free/bg.png", FREE), ("nc/other.png", UNFREE)], "usr/share/bg.png", FREE),
        ([("*", FREE), ("nc", UNFREE)], "usr/nc/bg.png", UNFREE),
        ([("*", FREE), ("nc/", UNFREE)], "usr/nc/bg.png", UNFREE),
        ([("art/*", UNFREE), ("art/land/*", FREE)], "usr/share/game/art/land/bg.png", FREE),
        ([("art/*", FREE), ("art/land/*", UNFREE)], "usr/share/game/art/land/bg.png", UNFREE),
        ([("art/land/*", FREE), ("art/*", UNFREE)], "usr/share/game/art/land/bg.png", UNFREE),
        ([("*bg*", UNFREE), ("art/*", FREE)], "usr/share/game/art/bg.png", FREE),
        ([("art/*", FREE), ("land/*", UNFREE)], "usr/share/game/art/land/bg.png", None),
        ([("land/*", UNFREE), ("art/*", FREE)], "usr/share/game/art/land/bg.png", None),
        ([("art/*", UNFREE), ("*bg*", FREE)], "usr/share/game/art/bg.png", None),
        ([("art/*", UNFREE), ("art/*/art/*", FREE), ("art/*", FREE)], "art/x/art/bg.png", None),
        ([("art/*", FREE), ("*", UNFREE)], "usr/share/art/bg.png", None),
        ([("art/bg.png", FREE), ("*", UNFREE)], "usr/share/art/bg.png", None),
        ([("nc/*", UNFREE), ("land/bg.png", FREE)], "usr/share/nc/land/bg.png", None),
        ([("nc/*", UNFREE), ("free/art/bg.png", FREE)], "usr/share/nc/art/bg.png", None),
        ([("nc/free/bg.png", UNFREE), ("free/bg.png", FREE)], "usr/share/x/nc/free/bg.png", None),
        ([("*.png", FREE), ("nc/*", UNFREE)], "usr/share/backgrounds/bg.png", None),
        ([("*/*", FREE), ("nc/*", UNFREE)], "usr/share/backgrounds/bg.png", None),
        ([("*", FREE), ("debian/game.png", UNFREE)], "usr/share/pixmaps/game.png", None),
        ([("*", FREE), ("debian/art/*", UNFREE)], "usr/share/art/bg.png", None),
        ([("art/*", FREE), ("./art/nc/*", UNFREE)], "usr/share/art/nc/a.png", UNFREE),
        ([("art/*", FREE), ("/art/nc/*", UNFREE)], "usr/share/art/nc/a.png", UNFREE),
        ([("art/*", FREE), ("art/nc/*,art/x/*", UNFREE)], "usr/share/art/nc/a.png", UNFREE),
        ([("art/*", FREE), ("art/bad.svg", UNFREE)], "usr/share/art/bad.png", None),
        ([("a\\*b.png", UNFREE)], "x/a*b.png", UNFREE),
        ([("a\\*b.png", UNFREE)], "x/acb.png", None),
        ([("a[1]*.png", UNFREE)], "x/a[1]c.png", UNFREE),
        ([("a[1]*.png", UNFREE)], "x/a1c.png", None),
    ],
)
def test_what_is_not_clear_is_not_taken(paragraphs, path, expected):
    text = "\n\n".join(f"Files: {files}\nLicense: {licence}" for files, licence in paragraphs)
    found = stanza_of(path, read_copyright(text))
    assert (None if found is None else found.licence) == expected


@pytest.mark.parametrize(
    "odd",
    [
        "Files: nc/*\nLicence: GPL-2",
        "Files: nc/*\nLicense:",
        "Files:\nLicense: GPL-2",
        " Files: nc/*\nLicense: GPL-2",
        "Files: nc/*\nLicense: GPL-2\nFiles: *\nLicense: CC0-1.0",
    ],
)
def test_a_paragraph_out_of_order_spoils_the_file(odd):
    good = "Files: *\nLicense: CC0-1.0"
    assert len(read_copyright(good)) == 1
    assert read_copyright(f"{good}\n\n{odd}") == ()
    assert read_copyright(f"{odd}\n\n{good}") == ()
    assert len(read_copyright(f"{good}\n\nFiles : nc/*\nLicense : GPL-2")) == 2


@pytest.mark.parametrize(
    ("licence", "family"),
    [
        ("CC0-1.0", "cc0"),
        ("public-domain", "pd"),
        ("CC-BY-4.0", "cc-by"),
        ("CC-BY-SA-3.0", "cc-by-sa"),
        ("CC-BY-NC-4.0", "cc-by-nc"),
        *[(odd, "") for odd in ("", "PD and CC-BY-NC-4.0", "CC-BY-4.0-SA", "CC-BY-4.0 NC", "CC-BY-4.0 or GPL-2")],
        *[(odd, "") for odd in ("pd-except-commercial-use", "public-domain with exception", "Expat")],
    ],
)
def test_only_exact_names_of_licences_are_read(licence, family):
    assert family_of(licence) == family


def test_nothing_is_overwritten_but_the_same_picture(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "victim").write_text("mine")
    (out / "same-name_bg.png").symlink_to(tmp_path / "victim")
    path = tmp_path / "same-name_1_all.deb"
    text = "Files: *\nLicense: CC0-1.0\n"
    path.write_bytes(deb({f"{n}/bg.png": picture(500, 500, n) for n in (1, 2)}, copyright_text=text))
    for _ in range(2):
        taken = take_packages([str(path)], out)
        assert [s.name for s in taken.sources] == ["same-name_bg-2.png", "same-name_bg-3.png"]
        assert len(sources_in(out)) == 2
        assert len(list(out.glob("*.png"))) == 3
    assert (tmp_path / "victim").read_text() == "mine"


def test_pictures_are_read_as_they_are_meant(tmp_path):
    def packed(image, **how):
        sink = io.BytesIO()
        image.save(sink, "PNG", **how)
        return sink.getvalue()

    ramp = np.repeat(np.arange(512, dtype=np.uint16)[None] * 128, 480, axis=0)
    clear = Image.fromarray(np.full((480, 480, 4), (9, 9, 9, 0), np.uint8), "RGBA")
    turned = Image.Exif()
    turned[0x0112] = 6
    files = {
        "deep.png": packed(Image.fromarray(ramp)),
        "clear.png": packed(clear),
        "turned.png": packed(Image.new("RGB", (600, 500)), exif=turned),
        "wall_Normal.png": packed(Image.new("RGB", (600, 500))),
        "n" * 300 + ".png": packed(Image.new("RGB", (480, 480))),
    }
    path = tmp_path / "kinds_1_all.deb"
    path.write_bytes(deb(files, copyright_text="Files: *\nLicense: CC0-1.0\n"))
    taken = take_packages([str(path)], tmp_path / "out")
    assert [s.name for s in taken.sources] == ["kinds_deep.png", "kinds_turned.png", f"kinds_{'n' * 94}.png"]
    assert taken.refused == {"has transparent parts": 1, "left out by name": 1}
    with Image.open(tmp_path / "out" / "kinds_deep.png") as deep:
        assert deep.getpixel((511, 0)) == (255, 255, 255)
        assert deep.getpixel((256, 0)) == (128, 128, 128)
    with Image.open(tmp_path / "out" / "kinds_turned.png") as upright:
        assert upright.size == (500, 600)


def test_what_was_taken_before_a_package_broke_off_is_listed(tmp_path):
    whole = deb({f"{n}.png": picture(500, 500, n) for n in range(6)}, "gz", "Files: *\nLicense: CC0-1.0\n")
    (tmp_path / "first_1.deb").write_bytes(whole)
    (tmp_path / "cut_1.deb").write_bytes(whole)
    take_packages([str(tmp_path / "first_1.deb")], tmp_path / "out")
    # the copyright file comes last, so that a package which is cut says nothing of any picture
    (tmp_path / "cut_1.deb").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cannot be unpacked"):
        take_packages([str(tmp_path / "cut_1.deb")], tmp_path / "out")
    assert len(sources_in(tmp_path / "out")) == len(list((tmp_path / "out").glob("*.png"))) == 6


def test_no_picture_lies_there_that_is_not_listed_yet(tmp_path, monkeypatch):
    """Whatever ends the work: also what leaves no time to tidy up."""
    whole = deb({f"{n}.png": picture(500, 500, n) for n in range(4)}, "gz", "Files: *\nLicense: CC0-1.0\n")
    (tmp_path / "first_1.deb").write_bytes(whole)
    plain, counts = Image.Image.save, []

    def save(self, *args, **options):
        plain(self, *args, **options)
        counts.append(len(sources_in(tmp_path / "out")))

    monkeypatch.setattr(Image.Image, "save", save)
    take_packages([str(tmp_path / "first_1.deb")], tmp_path / "out")
    assert counts == [1, 2, 3, 4]
    take_packages([str(tmp_path / "first_1.deb")], tmp_path / "out")
    assert len(sources_in(tmp_path / "out")) == len(list((tmp_path / "out").glob("*.png"))) == 4


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no Debian package"),
        (b"PK\x03\x04 something else", "no Debian package"),
        (b"!<arch>\n", "without contents"),
        (deb(FILES)[:3000], "cannot be unpacked"),
        (deb(FILES, copyright_text="All of it is ours."), "no copyright file that says"),
        (deb(FILES).replace(b"data.tar.xz  ", b"data.tar.zst "), "'zst'"),
        (deb({**FILES, "bad.zip": b"PK no zip"}), "bad.zip cannot be unpacked"),
    ],
)
def test_bad_packages_are_refused_in_words(tmp_path, content, words):
    path = tmp_path / "bad.deb"
    path.write_bytes(content)
    with pytest.raises(InputError, match=words):
        take_packages([str(path)], tmp_path / "out")


def test_bad_requests(tmp_path):
    with pytest.raises(InputError, match="no package"):
        take_packages([str(tmp_path / "absent.deb")], tmp_path / "out")
    with pytest.raises(OptionError, match="nothing may be"):
        take_packages(["things"], tmp_path / "out")
    with pytest.raises(OptionError, match="sides run from"):
        PackagePlan(min_side=900, max_side=800)
    with pytest.raises(OptionError, match="suite"):
        PackagePlan(suite="../etc")
    number = '[{"name": 1, "package": "", "path": "", "licence": "", "holder": "", "sha256": ""}]'
    for spoilt in ("[{}]", number, "no"):
        (tmp_path / "out" / "SOURCES.json").write_text(spoilt)
        with pytest.raises(InputError, match="of sources"):
            sources_in(tmp_path / "out")
    for mirror in ("deb.debian.org/debian", "file:///tmp"):
        with pytest.raises(OptionError, match="mirror"):
            PackagePlan(mirror=mirror)
    with pytest.raises(OptionError, match="WebP holds"):
        PackagePlan(webp=90, max_side=50_000)


@pytest.fixture
def mirror():
    body = deb(FILES)
    files = {"/pool/t/things_1.0_all.deb": body}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            found = files.get(self.path)
            self.send_response(200 if found else 404)
            self.end_headers()
            self.wfile.write(found or b"")

        def log_message(self, *given):
            pass

    def index(digest):
        packages = ("thing", "pool/x", "0"), ("things", "pool/t/things_1.0_all.deb", digest)
        text = "\n".join(f"Package: {n}\nVersion: 1.0\nFilename: {f}\nSHA256: {d}\n" for n, f, d in packages)
        files["/dists/bookworm/main/binary-all/Packages.xz"] = lzma.compress(text.encode())

    index(hashlib.sha256(body).hexdigest())
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", index
    server.shutdown()
    server.server_close()


def test_a_package_is_fetched_by_name(tmp_path, mirror):
    ran = CliRunner().invoke(
        app, ["data", "packages", "things", "-o", str(tmp_path / "out"), "--base-url", mirror[0], "--json"]
    )
    assert ran.exit_code == 0, ran.output
    assert {s["name"] for s in json.loads(ran.stdout)["taken"]} == {"things_wall.png", "things_sky.png"}
    assert (tmp_path / "out" / "things_sky.png").is_file()


def test_another_file_than_the_index_names_is_refused(tmp_path, mirror):
    base, index = mirror
    index("0" * 64)
    client = Client(RetryPolicy(interval=0.0, attempts=1), base=base)
    with pytest.raises(UnavailableError, match=r"another things_1\.0_all\.deb"):
        take_packages(["things"], tmp_path / "out", PackagePlan(mirror=base), client)
    with pytest.raises(InputError, match="no package 'absent'"):
        take_packages(["absent"], tmp_path / "out", PackagePlan(mirror=base), client)
    with pytest.raises(UnavailableError, match="cannot be fetched"):
        take_packages(["things"], tmp_path / "out", PackagePlan(mirror=base, suite="sid"), client)
    assert not (tmp_path / "out" / "SOURCES.json").exists()
