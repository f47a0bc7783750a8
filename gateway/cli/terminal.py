"""Text on the terminal: results to standard output, notes to standard error.

Colours are left out by `typer.echo` where the stream is not a terminal, and by the context's `color` where
NO_COLOR is set (https://no-color.org).
"""

import typer


def printable(text: str) -> str:
    """`text` with everything that is not printable as an escape: what comes over the network must not
    steer the terminal, and a lone surrogate can't be written at all."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def note(text: str) -> None:
    """A line about what goes on, for people, on standard error."""
    typer.echo(typer.style(text, dim=True), err=True)


def problem(text: str) -> None:
    """The one message that says why the command ends, on standard error."""
    typer.echo(f"{typer.style('tidegate:', fg='red')} {text}", err=True)


def table(rows: list[tuple[str, ...]], indent: str = "") -> list[str]:
    """Lines with the columns of `rows` aligned, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        indent + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
