"""``tratto-lab``: data, training and evaluation. ``tratto`` shows the same commands where this package is installed."""

from __future__ import annotations

import typer

from tratto.cli.guard import HELP, GuardedGroup
from tratto_lab.cli.build import build, check
from tratto_lab.cli.collect import collect
from tratto_lab.cli.dedupe import dedupe
from tratto_lab.cli.learn import ablate, data_app, eval_app, train
from tratto_lab.cli.lift import eval_lift, shells
from tratto_lab.cli.packages import packages
from tratto_lab.cli.reface import eval_reface
from tratto_lab.cli.repair import damage_preview, eval_damage, eval_repair

app = typer.Typer(
    name="tratto-lab",
    cls=GuardedGroup,
    help="Data, training and evaluation for Tratto's networks.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=True,
    context_settings=HELP,
)
app.command()(train)
app.command()(ablate)
eval_app.command(name="repair")(eval_repair)
eval_app.command(name="damage")(eval_damage)
eval_app.command(name="reface")(eval_reface)
eval_app.command(name="lift")(eval_lift)
data_app.command(name="damage")(damage_preview)
data_app.command(name="dedupe")(dedupe)
data_app.command(name="collect")(collect)
data_app.command(name="packages")(packages)
data_app.command(name="build")(build)
data_app.command(name="check")(check)
data_app.command(name="shells")(shells)
app.add_typer(eval_app, name="eval")
app.add_typer(data_app, name="data")


def main() -> None:
    """Run the command line."""
    app(prog_name="tratto-lab")


if __name__ == "__main__":
    main()
