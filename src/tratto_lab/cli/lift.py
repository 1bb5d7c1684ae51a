"""``tratto eval lift`` and ``tratto data shells``: objects from one photograph, measured; what their network learns."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tratto.cli.guard import exits
from tratto.cli.show import argument_path, make_folder

Models = Annotated[
    Path, typer.Argument(parser=argument_path, metavar="FOLDER", help="The .sh3f files of sweethome3d-furniture.")
]


@exits
def eval_lift(
    folder: Models,
    models: Annotated[int, typer.Option(min=1, help="Of each of the two groups that are held out.")] = 24,
    photographs: Annotated[int, typer.Option(min=1, help="Of each model.")] = 3,
    seed: Annotated[int, typer.Option(min=0, help="Of sides and lights.")] = 0,
    side: Annotated[int, typer.Option(min=64, max=512, help="Of photographs and views, pixels.")] = 256,
    refine: Annotated[int, typer.Option(min=0, help="Also with so many rounds of refinement; 0: without.")] = 0,
    steps: Annotated[
        int | None, typer.Option(min=0, help="Of the optimiser; 0: the shell as it is told, which takes seconds.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", parser=argument_path, metavar="DIR", help="For report.md, report.json, sheet.png."),
    ] = None,
) -> int:
    """Photograph models that nobody trained on, lift them, turn them, and say how close each method comes."""
    import numpy as np
    from PIL import Image

    from tratto.core.files import atomic_file, write_text
    from tratto_lab.evaluation import lift as ev

    if out is not None:
        make_folder(out)  # now: what cannot be written should not be measured for hours first
    methods = {"the shell as told" if steps == 0 else "tratto lift": ev.product(steps=steps)}
    if refine:
        methods[f"with --refine {refine}"] = ev.product(refine=refine)
    methods |= {"flat card": ev.flat_card(), "mirrored shell": ev.mirrored_shell(), "balloon": ev.balloon()}
    plan = ev.LiftPlan(models, photographs, seed, side)
    report, sheet = ev.evaluate_lift(folder, methods, plan, lambda name: typer.echo(name, err=True))
    text = ev.to_markdown(report)
    typer.echo(text)
    if out is not None:
        write_text(out / "report.md", text + "\n")
        write_text(out / "report.json", report.to_json() + "\n")
        if sheet is not None:
            with atomic_file(out / "sheet.png") as f:
                Image.fromarray(np.rint(255 * sheet).astype(np.uint8)).save(f, "PNG")
    return 0


@exits
def shells(
    folder: Models,
    out: Annotated[Path, typer.Option("--out", "-o", parser=argument_path, metavar="DIR", help="For the pack.")],
    views: Annotated[int, typer.Option(min=1, help="Of each model.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="Of sides and lights.")] = 0,
    bend: Annotated[
        float,
        typer.Option(min=0, max=0.5, help="How much the shapes that are trained on are changed; 0: stretched only."),
    ] = 0.0,
) -> int:
    """Render models from many sides, with what lies behind: the pack that the network for shapes is trained on."""
    from tratto_lab.corpus.shells import pack_shells

    make_folder(out)
    typer.echo(f"{out}: {pack_shells(folder, out, views, seed, bend)} views")
    return 0
