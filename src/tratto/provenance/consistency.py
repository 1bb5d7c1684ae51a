"""What a receipt must agree with: itself, and what is known of the models it names.

A receipt states many things twice: the steps stand in the recipe and in the records, the samples between two steps end
one and begin the next. Somebody who changes one statement has to change all of them, and not all can be made to fit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tratto.core.artifact import main_role
from tratto.core.errors import ReceiptError
from tratto.core.recipe import Recipe
from tratto.core.text import shown


@dataclass(frozen=True)
class KnownModel:
    """What a model card says, as far as a receipt repeats it.

    Attributes
    ----------
    sha256 : str
        Of its weights; empty if the card does not know it.
    licence : str
        SPDX expression where there is one.
    commercial_use : bool
        False if its licence forbids that.
    generative : bool
        True if it may invent detail.
    former : tuple of str
        Hashes of weights that it had before, and that are still here.
    """

    sha256: str
    licence: str
    commercial_use: bool
    generative: bool
    former: tuple[str, ...] = ()


@dataclass(frozen=True)
class Known:
    """The models and providers that are known here. This package lies below both, so a caller hands them in.

    Attributes
    ----------
    models : mapping of str to KnownModel
        By id.
    providers : mapping of str to bool
        Name of each provider: may it invent detail?
    version : str
        Version of Tratto that all this belongs to.
    steps : callable or None
        Name of a step to its class; None: recipes are not compared with the fields of their steps.
    """

    models: Mapping[str, KnownModel] = field(default_factory=dict)
    providers: Mapping[str, bool] = field(default_factory=dict)
    version: str = ""
    # an audit remembers by what it was asked with, and a function prints with its place in memory
    steps: Callable[[str], type] | None = field(default=None, repr=False)


def contradictions(receipt: Mapping[str, Any]) -> list[str]:
    """Return where a receipt of valid form contradicts itself in what its steps did.

    Parameters
    ----------
    receipt : mapping
        Valid by the schema.

    Returns
    -------
    list of str
        Plain sentences; empty if all fits.
    """
    return [*_recipe(receipt), *_chain(receipt), *_change(receipt), *_encoding(receipt)]


def _recipe(receipt: Mapping[str, Any]) -> list[str]:
    """Compare the records with the recipe as resolved, and that with the recipe as asked."""
    steps = receipt["steps"]
    asked, resolved = receipt["recipe"]["asked"]["steps"], receipt["recipe"]["resolved"]["steps"]
    out = []
    done = [s["step"] for s in steps]
    if done != [s["step"] for s in resolved]:
        out.append(f"receipt.steps: expected the steps of recipe.resolved in their order, got {_listed(done)}")
        return out
    if done != [s["step"] for s in asked]:
        out.append("receipt.recipe: asked and resolved must hold the same steps in the same order")
    seed = receipt["recipe"]["resolved"]["seed"]
    kernel = "bicubic"
    for i, (record, planned) in enumerate(zip(steps, resolved, strict=True)):
        params = record["params"]
        if record["seed"] != seed:
            out.append(f"receipt.steps[{i}].seed: expected {seed} as in recipe.resolved, got {record['seed']}")
        if params != planned["params"]:
            out.append(f"receipt.steps[{i}].params: expected those of recipe.resolved")
        if isinstance(params.get("provider"), str) and params["provider"] != record["provider"]:
            out.append(
                f"receipt.steps[{i}].provider: expected {params['provider'][:60]!r} as in its parameters, "
                f"got {record['provider'][:60]!r}"
            )
        lower = _lower_precision(record["precision"])
        if receipt["forensic"] and (params.get("fast") is True or lower is not False):
            out.append(f"receipt.steps[{i}]: a forensic receipt must not hold a step of lower precision")
        elif lower and params.get("fast") is not True:
            out.append(
                f"receipt.steps[{i}].precision: expected full precision, since its parameters do not allow a lower "
                f"one (fast), got {record['precision']!r}"
            )
        kernel = params.get("kernel", kernel)
    made = receipt["outputs"].get("picture")
    if made is not None and kernel != made["kernel"]:
        out.append("receipt.outputs.picture.kernel: expected that of the last step which names one")
    scale = 1
    for s in steps:
        if s["step"] == "upscale" and isinstance(s["params"].get("scale"), int):
            scale *= s["params"]["scale"]
    if made is not None and made["scale"] is not None and any(s["step"] == "upscale" for s in steps):
        if scale != made["scale"]:
            out.append(f"receipt.outputs.picture.scale: expected {scale} as follows from the steps")
    return out


#: How exactly a step computed. ``uint8`` is the full precision of methods that work on whole samples.
FULL_PRECISION = frozenset({"", "fp32", "fp64", "uint8", "uint16"})
LOWER_PRECISION = frozenset({"bf16", "fp16", "tf32", "fp8", "int8", "int4"})


def _lower_precision(stated: str) -> bool | None:
    """Return whether a step computed in less than full precision; None if the word is unknown."""
    words = {w.strip() for w in stated.split(",")}
    if words & LOWER_PRECISION:
        return True
    return False if words <= FULL_PRECISION else None


def _chain(receipt: Mapping[str, Any]) -> list[str]:
    """Follow the digests from the input through every step to the output.

    A palette picture is worked on as RGB and turned back at the end, so its own digests stand outside the chain: the
    first is checked where the original is at hand (:mod:`.recheck`), the last where it was enlarged and stays RGB.
    """
    steps, source, role = receipt["steps"], receipt["inputs"]["picture"], main_role(receipt["outputs"])
    out = receipt["outputs"][role]
    palette = source["picture"]["mode"] == "palette"
    if not steps:
        same = role == "picture" and source["samples_sha256"] == out["samples_sha256"] and out["scale"] == 1
        return [] if same else ["receipt.outputs: without steps the result must hold the samples of the source"]
    wrong = []
    if not palette and steps[0]["input_digest"] != source["samples_sha256"]:
        wrong.append("receipt.steps[0].input_digest: expected the digest of the input picture's samples")
    for i, (one, two) in enumerate(pairwise(steps)):
        if one["output_digest"] != two["input_digest"]:
            wrong.append(f"receipt.steps[{i + 1}].input_digest: expected the output of the step before")
    back_in_palette = palette and role == "picture" and out["picture"]["mode"] == "palette"
    if not back_in_palette and steps[-1]["output_digest"] != out["samples_sha256"]:
        wrong.append(f"receipt.steps[{len(steps) - 1}].output_digest: expected the digest of the output's samples")
    return wrong


def _change(receipt: Mapping[str, Any]) -> list[str]:
    """Compare how much changed with whether anything was done."""
    out = receipt["outputs"].get("picture")
    if out is None:
        return []
    source, steps, maps = receipt["inputs"]["picture"], receipt["steps"], out["maps"]
    # where no pixel lies over one of the source, all of it is new
    changed = 1.0 if maps["edit"] is None else maps["edit"]["stats"]["changed_fraction"]
    at = "receipt.outputs.picture.maps"
    wrong = []
    if changed > 0 and not steps:
        wrong.append(f"{at}.edit: pixels changed, but no step was run")
    same = source["samples_sha256"] == out["samples_sha256"]
    if same and changed > 0:
        wrong.append(f"{at}.edit: pixels changed, but input and output have the same samples")
    kind = ("mode", "bits", "alpha", "width")
    alike = all(source["picture"][k] == out["picture"][k] for k in kind) and out["picture"]["mode"] != "palette"
    if alike and changed == 0 and not same:
        wrong.append(f"{at}.edit: nothing changed, but input and output have different samples")
    basis = basis_of([s["confidence_basis"] for s in steps], changed)
    if maps["confidence"] is not None and maps["confidence"]["basis"] != basis:
        wrong.append(f"{at}.confidence.basis: expected {basis!r} as follows from the steps")
    return wrong


def _encoding(receipt: Mapping[str, Any]) -> list[str]:
    """Compare what is said of a lossy file with its digests."""
    out = receipt["outputs"][main_role(receipt["outputs"])]
    share = None if out["file"] is None else out["file"].get("recoded_fraction")
    if share is None:
        return []
    same = out["file"]["decoded_samples_sha256"] == out["samples_sha256"]
    # fewer bits and palettes have another digest in the form that a lossy format holds
    plain = "picture" in out and out["picture"]["bits"] == 8 and out["picture"]["mode"] != "palette"
    if (same and share > 0) or (plain and not same and share == 0):
        return [
            "receipt.outputs.picture.file.recoded_fraction: expected one that agrees with the digests of the samples"
        ]
    return []


def basis_of(bases: Sequence[str], changed_fraction: float) -> str:
    """Return where the error estimate of a whole job comes from, given that of each step: one word."""
    bases = [b for b in bases if b != "not edited"]  # steps that only look at the picture
    if not bases or changed_fraction == 0:
        return "not edited"
    return bases[0] if len(set(bases)) == 1 else "mixed"


def compare_models(receipt: Mapping[str, Any], known: Known) -> tuple[list[str], list[str]]:
    """Compare the steps with what is known of their providers and models.

    Weights of one id may differ from version to version, so another hash contradicts only a receipt of the version
    that ``known`` describes; otherwise it is noted.

    Parameters
    ----------
    receipt : mapping
        Valid.
    known : Known
        What the models of this machine are.

    Returns
    -------
    wrong, notes : list of str
        What contradicts; what could not be compared.
    """
    wrong: list[str] = []
    notes: list[str] = []
    if known.steps is not None:
        try:
            Recipe.from_json(receipt["recipe"]["resolved"], known.steps)
        except ReceiptError as e:
            if receipt["tool"]["version"] == known.version:
                wrong.append(f"receipt.recipe.resolved: {e}")
            else:
                notes.append(f"the recipe was not compared with the steps of this version: {e}")
    # the same weights under another name are the same weights
    inventive = {m.sha256: name for name, m in known.models.items() if m.generative and m.sha256}
    for i, step in enumerate(receipt["steps"]):
        at = f"step {i + 1}"
        generative = known.providers.get(step["provider"])
        if generative is None and step["provider"]:
            notes.append(f"{at}: the provider {shown(step['provider'], 60)} is unknown here, so nothing is known of it")
        elif generative and not step["generative"]:
            wrong.append(f"{at}: {step['provider']} may invent detail, but the receipt says that the step does not")
        for model in step["models"]:
            more_wrong, more_notes = _model(model, step["generative"], inventive, (known, receipt["tool"]["version"]))
            wrong += [f"{at}: {w}" for w in more_wrong]
            notes += [f"{at}: {n}" for n in more_notes]
        if not step["models"] and step["generative"] and not _calculated(step):
            wrong.append(f"{at}: a generative step must name its model")
    return wrong, notes


#: Steps that show what never was without any model: what they put in is calculated.
CALCULATED = ("repaint", "inpaint", "reconstruct")
#: Providers that calculate what they put in, of steps whose other providers ask a model.
CALCULATING = ("mirror",)


def _calculated(step: Mapping[str, Any]) -> bool:
    """Return whether a step can show what never was without any model."""
    return step["step"] in CALCULATED or step["provider"] in CALCULATING


def _model(
    model: Mapping[str, Any], generative: bool, inventive: Mapping[str, str], ours: tuple[Known, str]
) -> tuple[list[str], list[str]]:
    known, version = ours
    name = shown(model["id"], 60)
    card = known.models.get(model["id"])
    invents = card is not None and card.generative
    if not generative and (invents or model["sha256"] in inventive):
        which = name if invents else f"{name} has the weights of {inventive[model['sha256']]}, which"
        return [f"{which} may invent detail, but the receipt says that the step does not"], []
    if card is None:
        return [], [f"the model {name} is unknown here: its hash and what it does were not compared"]
    if not card.sha256:
        return [], [f"the card of {name} names no hash to compare with"]
    if model["sha256"] not in (card.sha256, *card.former):
        words = f"the weights are not those that the card of {name} names"
        if version == known.version:
            return [words], []
        return [], [f"{words} here (version {known.version}; the receipt is of version {shown(version, 60)})"]
    if (card.licence, card.commercial_use) != (model["licence"], model["commercial_use"]):
        return [f"the licence of {name} is not the one its card names"], []
    return [], []


def _listed(names: Sequence[str]) -> str:
    return ", ".join(shown(n, 60) for n in names[:5]) or "none"
