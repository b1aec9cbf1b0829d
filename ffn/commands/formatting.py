"""Values and tables as text."""

from collections.abc import Mapping, Sequence


def flat(value: object) -> str:
    """A value in one line, without brackets."""
    if isinstance(value, dict):
        return ", ".join(f"{name}={flat(content)}" for name, content in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their longest cell, flushed right but for words in the first."""
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].rjust(widths[0]) if header[0] == "frames" else cells[0].ljust(widths[0])
        return "  ".join([first, *(cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))])

    return "\n".join(map(line, [header, *rows]))


def table_of(rows: Sequence[Mapping[str, str]]) -> str:
    """The table of rows, at least one, that name their cells alike."""
    return table(list(rows[0]), [list(row.values()) for row in rows])
