"""What a scan gives and costs."""

from __future__ import annotations

import html
import json
from dataclasses import dataclass, field


@dataclass(frozen=True, repr=False)
class Explain:
    """The facts of a scan, by arithmetic alone: no pixel is read for it. Printed, it is a short table."""

    #: Where the pixels come from.
    source: str
    #: The length of each axis of the source.
    shape: tuple[int, ...]
    #: The type of the source's pixels.
    source_dtype: str
    #: The name of each axis.
    axes: tuple[str, ...]
    #: Windows on each axis that the window slides over.
    grid_shape: tuple[int, ...]
    #: Pixels of a patch on each axis.
    patch_shape: tuple[int, ...]
    #: The names of the columns.
    columns: tuple[str, ...]
    #: How patches are held.
    layout: str
    #: The type of the pixels in the table.
    dtype: str
    #: Rows.
    rows: int
    #: What was done to the rows, in words; empty if they are neighbours of the grid.
    selection: tuple[str, ...]
    #: Bytes a row.
    row_bytes: int
    #: Bytes of all rows, if they were made at once.
    dense_bytes: int
    #: Bytes of the source's pixels.
    base_bytes: int
    #: How many times the source the table is.
    blow_up: float
    #: Rows of a batch.
    batch_rows: int
    #: Bytes of a batch.
    batch_bytes: int
    #: Batches made ahead.
    prefetch: int
    #: The most bytes of pixels of the source that are held at once.
    band_bytes: int
    #: The most bytes of decoded tiles that are kept for later, where rows are read in no order; otherwise 0.
    cache_bytes: int
    #: The most memory that draining a stream takes.
    peak_bytes: int
    #: What is copied.
    copies: str
    #: What a matrix in memory that is mostly not there would be (`Scan.matrix`), and the memory that it would take.
    matrix: str
    #: All of it as a table for people.
    text: str = field(compare=False)

    @classmethod
    def _parse(cls, text: str, facts: str) -> Explain:
        known = cls.__dataclass_fields__.keys()
        values = {name: value for name, value in json.loads(facts).items() if name in known}
        tuples = {name: tuple(value) for name, value in values.items() if isinstance(value, list)}
        return cls(**{**values, **tuples, "text": text})

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        rows = (line.partition("  ") for line in self.text.splitlines())
        cells = (
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(value.strip())}</td></tr>"
            for name, _, value in rows
        )
        return f"<table>{''.join(cells)}</table>"
