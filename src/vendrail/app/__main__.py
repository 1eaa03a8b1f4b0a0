"""The command line: `vendrail --help`.

Commands are loaded when they are called, not when they are listed: the services behind them take a
second to import, and `--help` must not. So this table names each command's module and its help; a
test holds the table against the modules.
"""

import os
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from vendrail import __version__
from vendrail.app.terminal import out, tell_error
from vendrail.kernel.errors import Error


class Row(NamedTuple):
    """One command, as it is listed: its name, the module in `commands`, its help."""

    name: str
    module: str
    help: str


COMMANDS = (
    Row("demo", "demo", "Start a whole marketplace to play with, on this machine."),
    Row("serve", "serve", "Serve the platform, or some of its services."),
    Row("sandbox", "sandbox", "Serve the emulated providers alone."),
    Row("migrate", "migrate", "Bring the database to the newest form."),
    Row("doctor", "doctor", "Check this machine and this installation."),
    Row("audit", "audit", "Prove the books: every promise about money and keys."),
    Row("ledger", "ledger", "The sealed journal, and what it proves."),
    Row("close", "close", "The books of each day: cut, summed, sealed, and never written again."),
    Row("backup", "backup", "Write the platform into one file, while it runs."),
    Row("restore", "restore", "Bring a backup back, here or elsewhere."),
    Row("keys", "keys", "Take key files in, and keys out."),
    Row("orders", "orders", "Show orders, and give money back."),
    Row("sagas", "sagas", "What has not ended, and what is stuck."),
    Row("unmatched", "unmatched", "Money that fits nothing, and what becomes of it."),
    Row("payouts", "payouts", "Money that goes to merchants, and the reserves it comes from."),
    Row(
        "fees",
        "fees",
        "What merchants pay on a sale: the rules, and what others would have brought.",
    ),
    Row("risk", "risk", "Orders under review, and who is on a list."),
    Row(
        "create-operator",
        "create_operator",
        "Invite an operator who may do everything, by a link that is good once.",
    ),
    Row("people", "people", "Who works here, who is invited, who is locked out."),
    Row(
        "sales",
        "sales",
        "Merchants who may not sell: nothing of theirs is found, ordered or paid.",
    ),
    Row("letters", "letters", "What is told to people by mail, and what became of it."),
    Row("webhooks", "webhooks", "Merchants' programs that do not hear, and telling them again."),
    Row("api-keys", "api_keys", "Keys for merchants' programs: made, listed, revoked."),
    Row("epay-keys", "epay_keys", "Numbers and keys for card sites that charge by Epay."),
    Row("channels", "channels", "Accounts with payment providers."),
    Row("chains", "chains", "Money on chains: what is held, and what is signed offline."),
    Row(
        "routing",
        "routing",
        "Over which channels payments go, and what another choice would have brought.",
    ),
    Row("vault", "vault", "The keys that seal everything else."),
    Row("config", "config", "Every setting: value, where it came from, what it does."),
    Row("bench", "bench", "Measure speed on a database of its own."),
    Row("docs", "docs", "Write the generated part of docs/reference."),
)


def start_logs() -> None:
    """Set up logs before anything can write one; the command sets its own level when it reads it.

    Only what a person should see beside the result, on standard error, without secrets.
    """
    logs = import_module("vendrail.kernel.telemetry.logs")  # Not for the list of commands.
    logs.init_logs("warning")


def load(row: Row) -> Any:
    """Import a command's module and give its command, ready to run."""
    return typer.main.get_command(import_module(f"vendrail.app.commands.{row.module}").app)


class Deferred(TyperCommand):
    """A command in the list; the real one is loaded when it is called."""

    def __init__(self, row: Row) -> None:
        super().__init__(row.name, help=row.help)
        self._row = row

    def make_context(
        self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any
    ) -> Any:
        """Hand over to the real command."""
        start_logs()
        return load(self._row).make_context(info_name, args, parent=parent, **extra)


class Root(TyperGroup):
    """All commands; what goes wrong on purpose is told in one line, with its own exit code."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for row in COMMANDS:
            self.add_command(Deferred(row), row.name)

    def invoke(self, ctx: Any) -> Any:
        """Run a command; an error that says what to do needs no traceback."""
        try:
            return super().invoke(ctx)
        except Error as error:
            raise typer.Exit(tell_error(error)) from error


app = typer.Typer(
    cls=Root,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: str) -> None:
    if value:
        out().print(f"vendrail {__version__}")
        raise typer.Exit


@app.callback()
def root(
    home: Annotated[
        Path | None,
        typer.Option(help="The folder with data, secrets and vendrail.toml; else VENDRAIL_HOME."),
    ] = None,
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it.")
    ] = False,
) -> None:
    """Vendrail: payments and settlement for key-selling marketplaces.

    Example: [bold]vendrail demo[/]

    Exit codes: 0 done; 1 something was found; 2 the request is wrong; 3 try later; 4 we are broken.
    """
    if home is not None:
        os.environ["VENDRAIL_HOME"] = str(home)  # Workers that are started inherit it.


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
