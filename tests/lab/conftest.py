"""Weights of published measures, made up."""

import hashlib
import io
import pickle

import numpy as np
import pytest


def sha(data):
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of its own, whose files may be written by `put`."""
    from tratto_lab.evaluation.measures import files

    monkeypatch.setenv("TRATTO_MEASURES", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    known = dict(files.FILES)
    monkeypatch.setattr(files, "FILES", known)

    def put(name, data):
        (tmp_path / "cache" / name).write_bytes(data)
        known[name] = files.File(known[name].package, known[name].member, sha(data))

    return put


def conv(rng, rows, ins, outs):
    scale = (2 / (rows * rows * ins)) ** 0.5
    kernel = rng.normal(0, scale, (rows, rows, ins, outs)).astype(np.float32)
    return {"kernel": kernel, "bias": np.zeros(outs, np.float32)}


@pytest.fixture
def networks(cache):
    """Weights at random, in the layout of the packages."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    shapes = ((11, 3, 64), (5, 64, 192), (3, 192, 384), (3, 384, 256), (3, 256, 256))
    alex = {"AlexNet_0": {f"Conv_{k}": conv(rng, *shape) for k, shape in enumerate(shapes)}}
    for k, (_, _, outs) in enumerate(shapes):
        alex[f"NetLinLayer_{k}"] = {"Conv_0": {"kernel": np.abs(rng.normal(0, 1, (1, 1, outs, 1))).astype(np.float32)}}
    cache("alexnet.ckpt", pickle.dumps(alex, 4))
    widths = (3, 64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512)
    vgg = {f"Conv_{k}": conv(rng, 3, widths[k], widths[k + 1]) for k in range(13)}
    heads = {
        f"NetLinLayer_{k}": {"Conv_0": {"kernel": np.abs(rng.normal(0, 1, (1, 1, outs, 1))).astype(np.float32)}}
        for k, outs in enumerate((64, 128, 256, 512, 512))
    }
    cache("vgg16.ckpt", pickle.dumps({"VGG16_0": vgg} | heads, 4))
    stream = io.BytesIO()
    torch.save({"alpha": torch.full((1, 1475, 1, 1), 0.1), "beta": torch.full((1, 1475, 1, 1), 0.1)}, stream)
    cache("dists.pt", stream.getvalue())
