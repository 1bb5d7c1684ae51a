from __future__ import annotations

import hashlib
import io
import json
import subprocess
import tarfile
from collections import Counter
from itertools import islice

import numpy as np
import pytest

from tratto.core.errors import InputError, OptionError, OutputError
from tratto_lab.corpus.shards import Reading, Shards, ShardWriter, decode, encode_png, read_index, read_tar, verify


def shard(folder, number, count, first=0):
    writer = ShardWriter(folder / f"shard-{number:06d}.tar")
    for k in range(first, first + count):
        writer.add(f"{k:09d}-x", {"json": b'{"n": %d}' % k, "restored.png": bytes([k % 256]) * (k % 700)})
    writer.finish({"items": [{"n": k} for k in range(first, first + count)]})


@pytest.fixture
def folder(tmp_path):
    first = 0
    for number, count in enumerate((7, 1, 12, 5)):
        shard(tmp_path, number, count, first)
        first += count
    return tmp_path


def numbers(one, most=None):
    return [json.loads(m["json"])["n"] for _, m in islice(one.raw(), most)]


def test_a_shard_is_a_tar_that_says_nothing_of_when_and_where(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shard(tmp_path / name, 0, 3)
    one, two = ((tmp_path / n / "shard-000000.tar").read_bytes() for n in ("a", "b"))
    assert one == two
    with tarfile.open(fileobj=io.BytesIO(one)) as tar:
        entry = tar.getmembers()[0]
        assert (entry.name, entry.mtime, entry.uid, entry.gid, entry.uname, entry.mode) == (
            "000000000-x.json", 0, 0, 0, "", 0o644,
        )  # fmt: skip
    index = read_index(tmp_path / "a" / "shard-000000.json")
    assert index["sha256"] == hashlib.sha256(one).hexdigest()
    # header block + body block; an empty body takes none
    assert [(i["offset"], i["length"], i["n"]) for i in index["items"]] == [
        (0, 1536, 0),
        (1536, 2048, 1),
        (3584, 2048, 2),
    ]
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["shard-000000.json", "shard-000000.tar"]


def test_other_tools_read_it(folder):
    listed = subprocess.run(["tar", "-tf", folder / "shard-000001.tar"], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == ["000000007-x.json", "000000007-x.restored.png"]


def test_a_shard_streams_without_its_index(folder):
    with open(folder / "shard-000002.tar", "rb") as file:
        got = list(read_tar(file))
    assert [k for k, _ in got] == [f"{k:09d}-x" for k in range(8, 20)]
    assert got[3][1]["restored.png"] == bytes([11]) * 11
    with pytest.raises(InputError, match=r"broken|cut"):
        list(read_tar(io.BytesIO((folder / "shard-000002.tar").read_bytes()[:700])))
    with pytest.raises(InputError, match="broken"):
        list(read_tar(io.BytesIO(b"no tar at all" * 100)))


def test_every_item_comes_once_in_each_epoch(folder):
    seen = []
    for epoch in range(3):
        got = numbers(Shards(folder, Reading(seed=5, epoch=epoch, buffer=4)))
        assert sorted(got) == list(range(25))
        seen.append(got)
    assert seen[0] != seen[1] != seen[2]
    assert numbers(Shards(folder, Reading(seed=5, epoch=1, buffer=4))) == seen[1]
    plain = numbers(Shards(folder, Reading(buffer=1)))
    assert plain != sorted(plain)  # shards come in a random order, items of each in theirs
    assert sorted(plain) == list(range(25))
    begins = [plain.index(k) for k in (0, 7, 8, 20)]
    for at, size, first in zip(begins, (7, 1, 12, 5), (0, 7, 8, 20), strict=True):
        assert plain[at : at + size] == list(range(first, first + size))


def test_a_large_buffer_shuffles_evenly(tmp_path):
    shard(tmp_path, 0, 6)
    first = Counter(numbers(Shards(tmp_path, Reading(seed=s, buffer=6)), 1)[0] for s in range(600))
    # 600 draws of 6: 100 each, standard deviation 9.1
    assert min(first.values()) > 60
    assert max(first.values()) < 140


@pytest.mark.parametrize(("world", "workers"), [(1, 1), (2, 1), (3, 2), (1, 4), (5, 7)])
def test_shares_are_disjoint_complete_and_equal(folder, world, workers):
    shares = [
        numbers(Shards(folder, Reading(seed=1, buffer=3, rank=r, world=world, worker=w, workers=workers)))
        for r in range(world)
        for w in range(workers)
    ]
    assert sorted(n for s in shares for n in s) == list(range(25))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    one = Shards(folder, Reading(rank=world - 1, world=world, worker=workers - 1, workers=workers))
    assert len(one) == len(shares[-1])


@pytest.mark.parametrize("buffer", [1, 2, 5, 25, 100])
@pytest.mark.parametrize("world", [1, 2])
def test_reading_goes_on_exactly_where_it_stopped(folder, buffer, world):
    reading = Reading(seed=3, epoch=2, buffer=buffer, rank=world - 1, world=world)
    whole = numbers(Shards(folder, reading))
    for stop in range(len(whole) + 1):
        one = Shards(folder, reading)
        begin = numbers(one, stop)
        state = json.loads(json.dumps(one.state()))
        assert state["position"] == stop
        two = Shards.resumed(folder, state)
        assert begin + numbers(two) == whole
        assert two.position == len(whole)


def test_a_state_belongs_to_its_shards(folder):
    state = Shards(folder).state()
    shard(folder, 4, 2, 25)
    with pytest.raises(OptionError, match="not the shards"):
        Shards.resumed(folder, state)
    with pytest.raises(OptionError, match="position"):
        Shards(folder, position=28)


def test_only_what_the_buffer_needs_is_held(folder, monkeypatch):
    held, most = 0, 0
    one = Shards(folder, Reading(buffer=4))
    real = one._read

    def read(*place):
        nonlocal held, most
        held += 1
        most = max(most, held)
        return real(*place)

    monkeypatch.setattr(one, "_read", read)
    for _ in one.raw():
        held -= 1
    assert most == 4


def test_damage_to_shards_is_noticed(folder):
    assert verify(folder) == (4, ())
    tar = folder / "shard-000002.tar"
    data = bytearray(tar.read_bytes())
    data[600] ^= 1
    tar.write_bytes(data)
    count, wrong = verify(folder)
    assert (count, len(wrong)) == (4, 1)
    assert "shard-000002.tar" in wrong[0]
    tar.write_bytes(data[:-512])
    with pytest.raises(InputError, match="its index says"):
        Shards(folder)
    assert len(verify(folder)[1]) == 1
    tar.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        Shards(folder)
    (folder / "shard-000002.json").write_text("{}")
    with pytest.raises(InputError, match="not the index"):
        Shards(folder)


def test_bad_arguments(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    for one in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(InputError, match="holds no shards"):
            Shards(one)
    for wrong in ({"rank": 1}, {"worker": -1}, {"buffer": 0}, {"epoch": -1}):
        with pytest.raises(OptionError):
            Reading(**wrong)
    writer = ShardWriter(tmp_path / "shard-9.tar")
    for key in ("a.b", "", "ä", "a/b", "../x"):
        with pytest.raises(OptionError, match="key"):
            writer.add(key, {"json": b""})
    writer.give_up()
    assert not list(tmp_path.glob(".*.part"))
    with pytest.raises(OutputError, match="cannot be written"):
        ShardWriter(tmp_path / "nowhere" / "shard-0.tar")


def test_items_are_decoded_as_they_were():
    rng = np.random.default_rng(0)
    restored, damaged = (rng.integers(0, 256, (9, 7, 3)).astype(np.uint8) for _ in range(2))
    mask = rng.integers(0, 256, (9, 7)).astype(np.uint8)
    depth = np.array([[0, 65535], [1, 2]], np.uint16)
    told = {"depth": {"low": 1.0, "high": 3.0, "unit": "metre", "nearer_is": "smaller"}}
    members = {
        "json": json.dumps(told).encode(),
        "restored.png": encode_png(restored),
        "damaged.png": encode_png(damaged),
        "mask.crack.png": encode_png(mask),
        "depth.png": encode_png(depth),
        "txt": "Wölbung".encode(),
    }
    item = decode("k", members)
    assert (item.restored == restored).all()
    assert (item.damaged == damaged).all()
    assert (item.masks["crack"] == mask).all()
    assert (item.mask == mask).all()
    assert item.caption == "Wölbung"
    assert item.depth is not None
    np.testing.assert_allclose(item.depth.values, [[1, 3], [1 + 2 / 65535, 1 + 4 / 65535]], rtol=1e-6)
    assert (item.depth.unit, item.depth.nearer_is) == ("metre", "smaller")
    bare = decode("k", {k: members[k] for k in ("json", "restored.png", "damaged.png")})
    assert (bare.depth, bare.caption, bare.masks, int(bare.mask.max())) == (None, None, {}, 0)
    with pytest.raises(InputError, match=r"no damaged\.png"):
        decode("k", {"json": b"{}", "restored.png": encode_png(restored)})
    with pytest.raises(InputError, match="broken"):
        decode("k", members | {"damaged.png": b"x"})
    with pytest.raises(InputError, match="broken"):
        decode("k", members | {"json": b"x"})
