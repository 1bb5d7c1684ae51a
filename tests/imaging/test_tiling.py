import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tratto.core.errors import OptionError
from tratto.imaging.tiling import WHOLE, TileJob, TileSpec, on_grid, plan_cores, reflect_index, run_tiled


def tiled(picture, spec, process):
    h, w = picture.shape[:2]
    out = np.full((h * spec.scale, w * spec.scale, spec.channels_out), np.nan, np.float32)
    seen = []

    def write(y0, rows):
        assert np.isnan(out[y0 : y0 + rows.shape[0]]).all()
        out[y0 : y0 + rows.shape[0]] = rows

    job = TileJob(lambda y0, y1, x0, x1: picture[y0:y1, x0:x1], process, write, lambda d, t: seen.append((d, t)))
    count = run_tiled(h, w, spec, job)
    assert seen == [(k + 1, count) for k in range(count)]
    return out


@settings(max_examples=60, deadline=None)
@given(
    h=st.integers(1, 90),
    w=st.integers(1, 90),
    tile=st.integers(33, 64),
    overlap=st.integers(0, 12),
    multiple=st.sampled_from([1, 2, 4, 8]),
    scale=st.sampled_from([1, 2, 4]),
    border=st.sampled_from([None, 0, 5]),
    seed=st.integers(0, 99),
)
def test_untile_of_tile_is_the_picture(h, w, tile, overlap, multiple, scale, border, seed):
    picture = np.random.default_rng(seed).random((h, w, 2), np.float32)
    spec = TileSpec(tile + 8, overlap, multiple, scale, 2, None if border is None else min(border, overlap))
    sizes = set()

    def process(t):
        assert t.shape[0] % multiple == 0
        assert t.shape[1] % multiple == 0
        assert max(t.shape[:2]) <= spec.tile or t.shape[0] * t.shape[1] <= WHOLE * spec.tile**2
        sizes.add(t.shape)
        assert len(sizes) == 1
        return np.repeat(np.repeat(t, scale, 0), scale, 1)

    want = np.repeat(np.repeat(picture, scale, 0), scale, 1)
    np.testing.assert_allclose(tiled(picture, spec, process), want, atol=3e-7)


def box(radius):
    def process(t):
        p = np.pad(t, ((radius, radius), (radius, radius), (0, 0)))
        n = 2 * radius + 1
        return sum(p[i : i + t.shape[0], j : j + t.shape[1]] for i in range(n) for j in range(n)) / np.float32(n * n)

    return process


@pytest.mark.parametrize("tile", [40, 64, 96])
@pytest.mark.parametrize("border", [None, 0, 4])
def test_no_seam_when_three_quarters_of_the_overlap_cover_the_receptive_field(tile, border):
    picture = np.random.default_rng(1).random((150, 131, 3), np.float32)
    one = tiled(picture, TileSpec(400, 12, 4, border=border), box(9))
    np.testing.assert_allclose(tiled(picture, TileSpec(tile, 12, 4, border=border), box(9)), one, atol=1e-6)


def test_a_picture_that_fits_is_shown_whole_and_once():
    seen = []

    def process(t):
        seen.append(t)
        return t

    picture = np.random.default_rng(1).random((37, 64, 3), np.float32)
    tiled(picture, TileSpec(64, 12, 4, border=0), process)
    assert [t.shape for t in seen] == [(40, 64, 3)]
    np.testing.assert_array_equal(seen[0][:37], picture)
    tiled(picture, TileSpec(88, 12, 4), process)
    assert [t.shape for t in seen[1:]] == [(64, 88, 3)]


@pytest.mark.parametrize(("size", "tiles"), [((1100, 1100), 1), ((640, 1900), 1), ((1150, 1150), 4)])
def test_a_picture_a_little_over_a_tile_is_not_cut_into_four(size, tiles):
    cuts = plan_cores(*size, TileSpec(1024, 108, 4, border=16))
    assert len(cuts[0].cores) * len(cuts[1].cores) == tiles


def test_only_the_border_is_reflected():
    """Without one, a constant picture darkens at its edge under a filter that takes what lies outside for black."""
    white = np.ones((90, 70, 3), np.float32)
    for border, outside in ((0, 4), (2, 2), (None, 0)):
        out = tiled(white, TileSpec(64, 12, 1, border=border), box(4))
        np.testing.assert_allclose(out[0, 35], (9 - outside) / 9, atol=1e-6)
        np.testing.assert_allclose(out[45, -1], (9 - outside) / 9, atol=1e-6)
        np.testing.assert_allclose(out[4:-4, 4:-4], 1, atol=1e-6)


@pytest.mark.parametrize("border", [-1, 13])
def test_a_border_beyond_the_overlap_is_refused(border):
    with pytest.raises(OptionError, match="border"):
        TileSpec(64, 12, border=border)


def test_a_seam_shows_when_the_overlap_is_too_small():
    picture = np.random.default_rng(1).random((150, 131, 3), np.float32)
    one = tiled(picture, TileSpec(400, 12, 4), box(9))
    assert np.abs(tiled(picture, TileSpec(40, 4, 4), box(9)) - one).max() > 0.01


def test_reflection_repeats_no_edge_sample():
    assert reflect_index(-3, 6, 4).tolist() == [3, 2, 1, 0, 1, 2, 3, 2, 1]
    assert reflect_index(-2, 3, 1).tolist() == [0] * 5


@settings(max_examples=200, deadline=None)
@given(
    length=st.integers(1, 3000),
    overlap=st.integers(0, 40),
    border=st.integers(0, 40),
    multiple=st.sampled_from([1, 4, 8]),
    core=st.integers(8, 300),
)
def test_cores_partition_the_picture_and_keep_the_grid(length, overlap, border, multiple, core):
    spec = TileSpec(2 * overlap + core + 2 * multiple, overlap, multiple, border=min(border, overlap))
    cut, other = plan_cores(length, 333, spec)
    parts, ov = cut.cores, spec.padded_overlap
    assert cut.side <= spec.tile or cut.side * other.side <= WHOLE * spec.tile**2
    assert cut.side % multiple == 0
    assert parts[0][0] == 0
    assert parts[-1][1] == length
    assert all(a < b for a, b in parts)
    assert all(a[1] == b[0] for a, b in itertools.pairwise(parts))
    assert all(start % multiple == 0 for start in cut.starts)
    end = -(-length // multiple) * multiple + spec.padded_border
    for start, (a, b) in zip(cut.starts, parts, strict=True):
        assert start <= a - ov or start == -spec.padded_border
        assert start + cut.side >= b + ov or start + cut.side == end
    assert cut.starts[0] == -spec.padded_border
    assert cut.starts[-1] + cut.side == end


def test_a_tile_without_a_core_is_refused():
    with pytest.raises(OptionError, match="no core left"):
        TileSpec(tile=64, overlap=32)


def test_a_wide_band_stays_within_its_memory():
    rows, _ = plan_cores(4000, 60000, TileSpec(512, 32, 8, 4, 4))
    assert max(b - a for a, b in rows.cores) * 4 * 60000 * 4 * 4 * 4 <= 200e6


@pytest.mark.parametrize("phase", [(0, 0), (3, 0), (0, 5), (7, 1)])
@pytest.mark.parametrize("size", [(61, 83), (8, 9), (5, 40)])
def test_blocks_of_a_shifted_grid_are_met_whole(phase, size):
    h, w = size
    picture = np.random.default_rng(1).random((h, w, 1), np.float32)
    spec = TileSpec(40, 8, 8, 1, 1)
    out = np.full((h, w, 1), np.nan, np.float32)

    def block_means(tile):
        th, tw = tile.shape[0] // 8, tile.shape[1] // 8
        means = tile.reshape(th, 8, tw, 8).mean(axis=(1, 3))
        return np.repeat(np.repeat(means, 8, 0), 8, 1)[..., None]

    def write(y0, rows):
        assert np.isnan(out[y0 : y0 + rows.shape[0]]).all()
        out[y0 : y0 + rows.shape[0]] = rows

    job = TileJob(lambda y0, y1, x0, x1: picture[y0:y1, x0:x1], block_means, write, lambda d, t: None)
    gh, gw, moved = on_grid(h, w, spec, job, phase)
    run_tiled(gh, gw, spec, moved)
    assert not np.isnan(out).any()
    for y in range(phase[0], h - 7, 8):
        for x in range(phase[1], w - 7, 8):
            # whole blocks away from the blended margins and from the reflected edge
            block = picture[y : y + 8, x : x + 8].mean()
            np.testing.assert_allclose(out[y + 3 : y + 5, x + 3 : x + 5], block, atol=1e-6)


def test_a_phase_outside_the_grid_is_refused():
    job = TileJob(None, None, None, None)
    with pytest.raises(OptionError, match="phase"):
        on_grid(9, 9, TileSpec(40, 8, 8), job, (8, 0))
