"""`reid-index doctor`."""

import click


@click.command()
def doctor() -> None:
    """Check the installation."""
