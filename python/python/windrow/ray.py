"""Patches as a `Ray Data <https://docs.ray.io/en/latest/data/data.html>`_ dataset: a read task is a split.

>>> import windrow.ray                                                                  # doctest: +SKIP
>>> ds = windrow.ray.read_patches("scene.tif", (64, 64), step=32)                       # doctest: +SKIP
>>> ds.map_batches(model, batch_format="numpy").write_parquet("predictions/")           # doctest: +SKIP

Every task opens the file where it runs, by its path, and reads its rows alone. Ray runs a task again whose worker died;
since a split follows from the scan alone, the rows are the same, and none comes twice or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import ray.data
from ray.data import Datasource, ReadTask
from ray.data.block import BlockMetadata

from ._arrays import Source
from ._scan import scan
from ._table import Scan
from ._types import Lengths

if TYPE_CHECKING:
    from ray.data import Dataset


def read_patches(
    source: Source | Scan | Sequence[str | Scan],
    window_shape: Lengths | None = None,
    *,
    concurrency: int | None = None,
    override_num_blocks: int | None = None,
    ray_remote_args: dict[str, Any] | None = None,
    **options: Any,
) -> Dataset:
    """The windows of images as a dataset of Ray.

    Parameters
    ----------
    source
        The path of an image that all nodes see, or several; or scans, whose rows are chosen already. Of several, a column
        ``image`` tells the path.
    window_shape, options
        As for `windrow.scan`. The layout is "fixed-shape-tensor" unless another one is given: Ray gives such patches to
        functions of numpy as one array.
    concurrency, override_num_blocks, ray_remote_args
        As for `ray.data.read_datasource`: tasks at a time, tasks in all, and what each needs.
    """
    datasource = PatchDatasource(source, window_shape, **options)
    return ray.data.read_datasource(
        datasource,
        concurrency=concurrency,
        override_num_blocks=override_num_blocks,
        ray_remote_args=ray_remote_args,
    )


class PatchDatasource(Datasource):  # type: ignore[misc]
    """What `read_patches` reads from."""

    def __init__(
        self, source: Source | Scan | Sequence[str | Scan], window_shape: Lengths | None = None, **options: Any
    ) -> None:
        super().__init__()
        several = isinstance(source, (list, tuple))
        sources = list(source) if several else [source]  # type: ignore[arg-type]
        if not sources:
            raise ValueError("source: no image")
        self._scans = [_scan(one, window_shape, options) for one in sources]
        self._named = several
        schemas = {_schema(s, self._named) for s in self._scans}
        if len(schemas) > 1:
            raise ValueError(f"source: images of several types make no table: {sorted(map(str, schemas))}")

    def get_name(self) -> str:
        return "Patches"

    def estimate_inmemory_data_size(self) -> int | None:
        return sum(_bytes(s) for s in self._scans)

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        total = sum(map(len, self._scans))
        tasks = []
        for s in self._scans:
            count = max(1, round(parallelism * len(s) / total)) if total else 1
            name = s._source if isinstance(s._source, str) else None
            for split in s.splits(min(count, max(1, len(s)))):
                metadata = BlockMetadata(
                    num_rows=len(split),
                    size_bytes=_bytes(split),
                    input_files=(name,) if name else None,
                    exec_stats=None,
                )
                label = name if self._named else None
                schema = _schema(s, self._named)
                tasks.append(ReadTask(_reader(split, label), metadata, schema, per_task_row_limit))
        return tasks


def _scan(source: Any, window_shape: Lengths | None, options: dict[str, Any]) -> Scan:
    if isinstance(source, Scan):
        if window_shape is not None or options:
            raise ValueError("source: a scan has its windows and options already")
        return source
    if window_shape is None:
        raise ValueError("window_shape: expected pixels of a window on each axis")
    made: Scan = scan(source, window_shape, **{"layout": "fixed-shape-tensor", **options})
    return made


def _bytes(s: Scan) -> int:
    return int(s.explain().dense_bytes)


def _schema(s: Scan, named: bool) -> pa.Schema:
    """The columns. What the metadata says of the rows is not so of all splits together."""
    schema = pa.schema(s.schema).remove_metadata()
    return schema.insert(0, pa.field("image", pa.string(), nullable=False)) if named else schema


def _reader(split: Scan, name: str | None) -> Callable[[], Iterator[pa.Table]]:
    def read() -> Iterator[pa.Table]:
        schema = _schema(split, name is not None)
        stream = pa.RecordBatchReader.from_stream(split)
        empty = True
        for batch in stream:
            columns = batch.columns
            if name is not None:
                columns = [pa.repeat(pa.scalar(name), len(batch)), *columns]
            empty = False
            yield pa.Table.from_arrays(columns, schema=schema)
        if empty:
            yield schema.empty_table()

    return read


__all__ = ["PatchDatasource", "read_patches"]
