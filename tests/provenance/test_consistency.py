import copy
import json
from dataclasses import replace

import pytest

from tratto.core import canonical
from tratto.core.errors import ReceiptError
from tratto.jobs import known_models
from tratto.models.store import all_cards
from tratto.provenance.consistency import Known, KnownModel, basis_of, compare_models, contradictions
from tratto.provenance.receipt import claim, validate_receipt
from tratto.provenance.verify import verify

ZERO = "0" * 64


def changed(receipt, change):
    out = copy.deepcopy(receipt)
    change(out)
    return out


def two_steps(r):
    """Turn one step into two that follow each other."""
    middle = "1" * 64
    first, second = copy.deepcopy(r["steps"][0]), copy.deepcopy(r["steps"][0])
    first["output_digest"] = second["input_digest"] = middle
    r["steps"] = [first, second]
    for recipe in r["recipe"].values():
        recipe["steps"] = [recipe["steps"][0], copy.deepcopy(recipe["steps"][0])]


def test_true_receipts_do_not_contradict_themselves(make_result):
    for job in ({}, {"scale": 2, "masked": True}, {"changed": False}, {"alpha": True, "bits": 16}):
        assert contradictions(make_result(**job)[0].receipt) == []
    assert contradictions(changed(make_result()[0].receipt, two_steps)) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda r: r["steps"][0].update(input_digest=ZERO), "steps[0].input_digest: expected the digest of the input"),
        (lambda r: r["steps"][0].update(output_digest=ZERO), "steps[0].output_digest: expected the digest of the out"),
        (lambda r: r["outputs"]["picture"].update(samples_sha256=ZERO), "steps[0].output_digest"),
        (lambda r: r["inputs"]["picture"].update(samples_sha256=ZERO), "steps[0].input_digest"),
        (lambda r: (two_steps(r), r["steps"][1].update(input_digest=ZERO)), "steps[1].input_digest: expected the outp"),
        (lambda r: (two_steps(r), r["steps"].pop()), "expected the steps of recipe.resolved"),
        (lambda r: r["steps"].clear(), "expected the steps of recipe.resolved in their order, got none"),
        (lambda r: r["steps"][0].update(step="sharpen"), "in their order, got sharpen"),
        (lambda r: r["recipe"]["asked"]["steps"].clear(), "asked and resolved must hold the same steps"),
        (lambda r: r["steps"][0]["params"].update(strength=0.5), "steps[0].params: expected those of recipe.resolved"),
        (lambda r: r["recipe"]["resolved"]["steps"][0]["params"].update(strength=0.5), "steps[0].params"),
        (lambda r: r["steps"][0].update(provider="nlm"), "steps[0].provider: expected 'mean'"),
        (lambda r: r["outputs"]["picture"].update(kernel="lanczos"), "picture.kernel"),
        (
            lambda r: r["outputs"]["picture"]["maps"]["confidence"].update(basis="none"),
            "confidence.basis: expected 'model'",
        ),
        (
            lambda r: (
                r.update(forensic=True),
                r["steps"][0]["params"].update(fast=True),
                r["recipe"]["resolved"]["steps"][0]["params"].update(fast=True),
            ),
            "lower precision",
        ),
        (lambda r: (r.update(forensic=True), r["steps"][0].update(precision="bf16")), "of lower precision"),
        (lambda r: (r.update(forensic=True), r["steps"][0].update(precision="fp16")), "of lower precision"),
        (lambda r: (r.update(forensic=True), r["steps"][0].update(precision="fp32, int8")), "of lower precision"),
        # an unknown word shows nothing
        (lambda r: (r.update(forensic=True), r["steps"][0].update(precision="half")), "of lower precision"),
        (lambda r: r["steps"][0].update(precision="bf16"), "steps[0].precision: expected full precision"),
        (lambda r: r["steps"][0].update(precision="fp64, fp16"), "steps[0].precision: expected full precision"),
    ],
)
def test_what_does_not_fit_is_named(make_result, change, words):
    bad = changed(make_result()[0].receipt, change)
    with pytest.raises(ReceiptError) as error:
        validate_receipt(bad)
    assert words in str(error.value)


@pytest.mark.parametrize("precision", ["", "fp32", "fp64", "uint8", "fp64, uint8"])
def test_full_precision_is_forensic(make_result, precision):
    def same(r):
        r.update(forensic=True)
        r["steps"][0].update(precision=precision)

    assert contradictions(changed(make_result()[0].receipt, same)) == []


def test_fast_allows_a_lower_precision(make_result):
    def fast(r):
        r["steps"][0]["precision"] = "bf16"
        for recipe in r["recipe"].values():
            recipe["steps"][0]["params"]["fast"] = True
        r["steps"][0]["params"]["fast"] = True

    assert contradictions(changed(make_result()[0].receipt, fast)) == []


def test_change_needs_a_step(make_result):
    def undone(r):
        r["steps"].clear()
        for recipe in r["recipe"].values():
            recipe["steps"].clear()

    bad = changed(make_result()[0].receipt, undone)
    found = " ".join(contradictions(bad))
    assert "no step was run" in found
    assert "without steps" in found
    bad["outputs"]["picture"]["samples_sha256"] = bad["inputs"]["picture"]["samples_sha256"]
    assert "the same samples" in " ".join(contradictions(bad))
    calm = make_result()[0].receipt
    calm = changed(calm, lambda r: r["outputs"]["picture"]["maps"]["edit"]["stats"].update(changed_fraction=0))
    assert "different samples" in " ".join(contradictions(calm))


@pytest.mark.parametrize(("same", "share", "fits"), [(True, 0.0, 1), (True, 0.1, 0), (False, 0.0, 0), (False, 0.1, 1)])
def test_the_share_that_a_lossy_file_lost_agrees_with_its_digests(make_bundle, same, share, fits):
    def encoded(r):
        file = r["outputs"]["picture"]["file"]
        file["recoded_fraction"] = share
        file["decoded_samples_sha256"] = r["outputs"]["picture"]["samples_sha256"] if same else ZERO

    assert len(contradictions(changed(make_bundle("photo.jpg").receipt, encoded))) == 1 - fits


def test_upscale_steps_give_the_scale(make_result):
    def renamed(r):
        for s in (r["steps"][0], r["recipe"]["asked"]["steps"][0], r["recipe"]["resolved"]["steps"][0]):
            s["step"] = "upscale"
            s["params"]["scale"] = 2

    receipt = changed(make_result(scale=2)[0].receipt, renamed)
    assert contradictions(receipt) == []
    receipt = changed(make_result(scale=4, size=(20, 24))[0].receipt, renamed)
    assert contradictions(receipt) == ["receipt.outputs.picture.scale: expected 2 as follows from the steps"]


def test_the_digests_of_a_palette_picture_stand_outside_the_chain(make_result):
    def palette(r):
        r["inputs"]["picture"]["picture"]["mode"] = r["outputs"]["picture"]["picture"]["mode"] = "palette"
        r["steps"][0]["input_digest"] = r["steps"][0]["output_digest"] = "2" * 64

    assert contradictions(changed(make_result()[0].receipt, palette)) == []


def test_basis():
    assert basis_of([], 0.5) == "not edited"
    assert basis_of(["model"], 0.0) == "not edited"
    assert basis_of(["model", "model"], 0.1) == "model"
    assert basis_of(["model", "none"], 0.1) == "mixed"


# ------------------------------------------------------------------------------------------------------ known models


KNOWN = Known(
    models={
        "mean-3": KnownModel("ab" * 32, "Apache-2.0", True, False),
        "dream-1": KnownModel("cd" * 32, "MIT", True, True),
        "hub-1": KnownModel("", "MIT", True, False),
    },
    providers={"mean": False, "dream": True},
    version="1.2",
)


@pytest.mark.parametrize(
    ("change", "wrong", "note"),
    [
        (lambda r: None, "", ""),
        (lambda r: r["steps"][0].update(provider="dream"), "dream may invent detail", ""),
        (lambda r: r["steps"][0]["models"][0].update(id="dream-1"), "dream-1 may invent detail", ""),
        # the weights of a generative model under a harmless name
        (
            lambda r: r["steps"][0]["models"][0].update(sha256="cd" * 32),
            "mean-3 has the weights of dream-1, which may invent detail",
            "",
        ),
        (
            lambda r: r["steps"][0]["models"][0].update(id="new-1", sha256="cd" * 32),
            "new-1 has the weights of dream-1",
            "",
        ),
        (lambda r: r["steps"][0]["models"][0].update(sha256=ZERO), "not those that the card of mean-3 names", ""),
        (
            lambda r: (r["steps"][0]["models"][0].update(sha256=ZERO), r["tool"].update(version="1.1")),
            "",
            "names here (version 1.2; the receipt is of version 1.1)",
        ),
        (lambda r: r["steps"][0]["models"][0].update(licence="MIT"), "the licence of mean-3", ""),
        (lambda r: r["steps"][0]["models"][0].update(id="new-1"), "", "the model new-1 is unknown here"),
        (lambda r: r["steps"][0]["models"][0].update(id="hub-1"), "", "the card of hub-1 names no hash"),
        (lambda r: r["steps"][0].update(provider="other"), "", "the provider other is unknown here"),
        (lambda r: r["steps"][0].update(generative=True, models=[]), "must name its model", ""),
    ],
)
def test_models(make_result, change, wrong, note):
    receipt = changed(make_result()[0].receipt, lambda r: (r["tool"].update(version="1.2"), change(r)))
    got_wrong, got_notes = compare_models(receipt, KNOWN)
    assert len(got_wrong) == bool(wrong)
    assert len(got_notes) == bool(note)
    assert wrong in " ".join(got_wrong)
    assert note in " ".join(got_notes)


def reseal(made, receipt):
    from tratto.core.hashing import FileFacts
    from tratto.provenance.seal import build_seal

    (made.bundle / "receipt.json").write_bytes(canonical.dumps(receipt))
    names = [p.name for p in made.bundle.iterdir() if p.name not in ("receipt.json", "seal.json")]
    facts = {n: FileFacts.of((made.bundle / n).read_bytes()) for n in names}
    whole = FileFacts.of((made.bundle / "receipt.json").read_bytes())
    seal = build_seal(whole, FileFacts.of(made.output.read_bytes()), facts)
    (made.bundle / "seal.json").write_bytes(canonical.dumps(seal))


def by_realesrgan(r):
    """Let the step be one of Real-ESRGAN, and let the receipt deny what that means."""
    r["steps"][0]["provider"] = r["steps"][0]["params"]["provider"] = "realesrgan"
    r["recipe"]["resolved"]["steps"][0]["params"]["provider"] = "realesrgan"
    card = all_cards()["realesrgan-x4plus"]
    r["steps"][0]["models"] = [card.ref().to_json()]


@pytest.mark.parametrize("forensic", [False, True])
def test_a_known_generative_model_cannot_be_denied(make_bundle, tmp_path, forensic):
    made = make_bundle()
    receipt = changed(made.receipt, lambda r: (by_realesrgan(r), r.update(forensic=forensic)))
    validate_receipt(receipt)  # the receipt alone does not show it
    reseal(made, receipt)
    lone = tmp_path / "receipt.json"
    lone.write_bytes(canonical.dumps(receipt))
    for path in (made.output, lone):
        verdict = verify(path, known=known_models())
        assert verdict.word == "altered"
        found = " ".join(verdict.reasons)
        assert "realesrgan may invent" in found
        assert "realesrgan-x4plus may invent" in found


def test_a_known_generative_model_that_is_admitted(make_bundle):
    receipt = changed(make_bundle().receipt, by_realesrgan)
    receipt["steps"][0]["generative"] = True
    share = receipt["outputs"]["picture"]["maps"]["edit"]["stats"]["changed_fraction"]
    receipt["claim"] = json.loads(canonical.dumps(claim(True, 1, share, "bicubic")))
    validate_receipt(receipt)
    assert compare_models(receipt, replace(known_models(), steps=None)) == ([], [])  # its step is made up


def test_what_is_known_comes_from_cards_and_table():
    known = known_models()
    assert known.providers["realesrgan"] is True
    assert known.providers["tratto"] is False
    assert known.models["realesrgan-x4plus"].generative is True
    assert known.models["tratto-restore-x1"].sha256 == all_cards()["tratto-restore-x1"].sha256 != ""
    assert known.version
