"""`python -m search`: search, derive, retrain, and look at it."""

from __future__ import annotations

from importlib.util import find_spec

import click

from autoreid_deploy.cli.common import entry_point
from autoreid_deploy.errors import MissingExtraError
from search.commands.crowd import crowd
from search.commands.derive import derive
from search.commands.describe import describe
from search.commands.profile import profile
from search.commands.random import random
from search.commands.report import report
from search.commands.retrain import retrain
from search.commands.run import run
from search.commands.teach import teach


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Find a part-aware network for person retrieval and retrain it.

    In order: profile (measure the ops), run (search), derive (choose other cells from a search), retrain, report.
    In between, teach asks a larger network what it makes of the crops. crowd draws people to train on.
    """
    for package in ("torch", "matplotlib"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "search")


for command in (crowd, profile, run, derive, teach, retrain, random, report, describe):
    cli.add_command(command)

if __name__ == "__main__":
    entry_point(cli)()
