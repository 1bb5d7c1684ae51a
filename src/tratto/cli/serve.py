"""``tratto serve``: the page and the HTTP API."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tratto.cli.guard import exits
from tratto.cli.show import path_option


@exits
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on; others than 127.0.0.1 let other machines in.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port; 0 chooses a free one.", min=0, max=65535)] = 8787,
    name: Annotated[
        list[str] | None, typer.Option(help="A further host name to answer to, behind a proxy; repeatable.")
    ] = None,
    data: Annotated[Path | None, path_option("Folder for uploads, jobs and keys.", metavar="DIR")] = None,
    keep: Annotated[str, typer.Option(help="How long uploads and jobs stay: 30m, 12h, 7d, 2w.")] = "7d",
    workers: Annotated[int, typer.Option(help="Processes that do jobs.", min=0, max=64)] = 1,
    quota: Annotated[str, typer.Option(help="Most disk space of each owner: 500M, 50G.")] = "50G",
    max_upload: Annotated[str, typer.Option(help="Largest file that is taken: 500M, 2G.")] = "2G",
    max_megapixels: Annotated[float, typer.Option(help="Largest picture that is taken.", min=0.01)] = 250.0,
    max_output_megapixels: Annotated[float, typer.Option(help="Largest result of a job.", min=0.01)] = 400.0,
    max_minutes: Annotated[float, typer.Option(help="Longest estimated time of a job.", min=0.01)] = 60.0,
    ledger: Annotated[Path | None, path_option("Record each result in this ledger.", metavar="DIR")] = None,
    sign: Annotated[str, typer.Option(help="Identity that signs the results: auto, none or a name.")] = "auto",
    device: Annotated[str, typer.Option(help="Where networks run: auto, cpu, cuda or cuda:N.")] = "auto",
    check_every: Annotated[
        int,
        typer.Option(help="Replay one result in so many and measure what its source does not support; 0: none.", min=0),
    ] = 0,
    scorer: Annotated[
        list[str] | None,
        typer.Option(
            help="Let jobs send faces to a service that judges: gemini or moondream; repeatable. Its key comes "
            "from the environment.",
            metavar="NAME",
        ),
    ] = None,
    scorer_param: Annotated[
        list[str] | None, typer.Option(help="As of tratto reface: gemini.models=NAME,OTHER.", metavar="NAME=VALUE")
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Open no browser.")] = False,
) -> int:
    """Serve the page and the HTTP API on this machine; prints a link that is good once."""
    from tratto.server.settings import Settings, age, need_extra, size, usual_folder

    need_extra()
    from tratto.backends.devices import check_device
    from tratto.server.serve import serve as run

    check_device(device)
    settings = Settings(
        folder=(data or usual_folder()).absolute(),
        host=host,
        port=port,
        names=tuple(name or ()),
        keep=age(keep),
        workers=workers,
        quota=size(quota),
        upload_bytes=size(max_upload),
        pixels=int(max_megapixels * 1e6),
        output_pixels=int(max_output_megapixels * 1e6),
        minutes=max_minutes,
        sign=sign,
        device=device,
        ledger=None if ledger is None else ledger.absolute(),
        check_every=check_every,
        services=_services(tuple(scorer or ()), tuple(scorer_param or ())),
    )
    if sign not in ("auto", "none"):
        from tratto.jobs.signing import notary_of

        notary_of(None, sign)  # a name that is none is said now, not by every job

    def ready(link: str) -> None:
        typer.echo(f"Tratto is served from {settings.folder}; stop it with Ctrl-C. Open, once:\n{link}")
        if not no_open:
            import webbrowser

            webbrowser.open(link)

    run(settings, ready)
    return 0


def _services(names: tuple[str, ...], params: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return the services that jobs may ask, with their parameters; what would fail in every job is said now."""
    if not names and not params:
        return {}
    from tratto.core.capability import Use
    from tratto.core.errors import OptionError
    from tratto.core.options import BadOptions, parameter, with_names
    from tratto.providers.catalogue import settle
    from tratto.tasks.reface import RefaceOptions

    flags = {"scorer": "--scorer", "scorer_params": "--scorer-param"}
    try:
        given = RefaceOptions(scorer=names, scorer_params=dict(parameter(p) for p in params)).judging()[1]
    except BadOptions as e:
        raise OptionError("; ".join(with_names(p, lambda n: flags.get(n, n)) for p in e.problems)) from e
    except ValueError as e:
        raise OptionError(f"--scorer-param: {e}") from e
    found: dict[str, Use[Any]] = {name: settle(Use("face-judge", name, given.get(name, {}))) for name in names}
    return {name: dict(use.params) for name, use in found.items()}


@exits
def work(
    data: Annotated[Path | None, path_option("Folder of the server's data.", metavar="DIR")] = None,
    workers: Annotated[int, typer.Option(help="Processes that do jobs.", min=1, max=64)] = 1,
    device: Annotated[str, typer.Option(help="Where networks run; as the server does it unless given.")] = "",
) -> int:
    """Do jobs of a server's queue beside its own workers, on the same machine."""
    from tratto.server.settings import need_extra, usual_folder

    need_extra()
    from tratto.backends.devices import check_device
    from tratto.server.serve import work as run

    if device:
        check_device(device)
    run((data or usual_folder()).absolute(), workers, device, typer.echo)
    return 0
