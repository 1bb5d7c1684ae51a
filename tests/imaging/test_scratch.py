import mmap

import numpy as np

from tratto.imaging.scratch import allocate, release


def test_small_arrays_stay_in_memory_and_large_ones_are_file_backed():
    small = allocate((4, 5), np.uint8, in_memory=100)
    assert small.base is None
    large = allocate((100, 5), np.uint16, in_memory=100)
    base = large
    while isinstance(base, np.ndarray):
        base = base.base
    assert isinstance(base, mmap.mmap) or isinstance(getattr(base, "obj", None), mmap.mmap)
    assert not large.any()


def test_release_keeps_the_contents():
    a = allocate((300, 400), np.uint16, in_memory=10)
    a[:] = np.arange(120000).reshape(300, 400) % 65536
    release(a)
    release(a[10:20])
    assert a[299, 399] == 119999 % 65536
    assert a.sum(dtype=np.int64) == (np.arange(120000) % 65536).sum()
    release(None)
    release(np.zeros(3))
