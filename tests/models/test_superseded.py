"""Weights that got better: the ones before stay, and what names them by their hash gets them."""

import hashlib

import numpy as np
import pytest

from tratto.core.capability import Use
from tratto.core.errors import MissingWeights
from tratto.core.image import ColorMode, Image
from tratto.core.recipe import Recipe
from tratto.jobs import Job
from tratto.jobs.replaying import pinned_models
from tratto.models.store import get_card, open_weights
from tratto.providers.catalogue import Request
from tratto.steps.denoise import Denoise
from tratto.tasks.prepared import Prepared

CARD = """
id = "{id}"
file = "{id}.onnx"
sha256 = "{sha}"
licence = "CC0-1.0"
commercial_use = true
capability = "depth"
backend = "onnx"
paper = "none"
training_data = "none"
command = "none"
limits = "none"
"""


@pytest.fixture
def two(tmp_path, monkeypatch):
    hashes = {}
    for name, more in (("net", ""), ("net-before", 'formerly = "net"\n')):
        data = name.encode()
        hashes[name] = hashlib.sha256(data).hexdigest()
        (tmp_path / f"{name}.onnx").write_bytes(data)
        (tmp_path / f"{name}.toml").write_text(CARD.format(id=name, sha=hashes[name]) + more)
    monkeypatch.setenv("TRATTO_MODELS", str(tmp_path))
    return hashes


def test_a_card_is_found_by_the_hash_of_its_weights(two):
    assert get_card("net").sha256 == get_card("net", two["net"]).sha256 == two["net"]
    before = get_card("net", two["net-before"])
    assert (before.id, before.sha256) == ("net", two["net-before"])  # receipts call it by the same name
    assert open_weights(before).paths["net-before.onnx"].read_bytes() == b"net-before"
    with pytest.raises(MissingWeights, match="net with SHA-256 0000"):
        get_card("net", "0" * 64)
    request = Request(Use("depth", "x"), pins={"net": two["net-before"]})
    assert request.card("net").sha256 == two["net-before"]


def test_a_replay_asks_for_the_weights_that_its_receipt_names():
    image = Image(np.full((40, 40, 3), 90, np.uint8), ColorMode.RGB)
    job = Job()
    recipe = Recipe("restore", (Denoise("tratto"),))
    done = job.execute(recipe, image, job.inspect(image), Prepared())
    pins = pinned_models(done.receipt)
    assert pins == {"tratto-restore-x1": get_card("tratto-restore-x1").sha256}
    again = job.execute(recipe, image, job.inspect(image), Prepared(), pins=pins)
    assert again.records[0].output_digest == done.records[0].output_digest
    with pytest.raises(MissingWeights, match="tratto-restore-x1 with SHA-256 1111"):
        job.execute(recipe, image, job.inspect(image), Prepared(), pins={"tratto-restore-x1": "1" * 64})
