"""Vectors as a function of batches in the engines that hold the data: each gives the vectors of the encoder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from semvec.adapters.batches import BatchEncoder
from semvec.encoders.catalog import load_encoder
from tests import tiny
from tests.sample import TEXTS

ROWS = [text for text in TEXTS if text.strip()]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny.make_sentence_model(tmp_path_factory.mktemp("base")))


@pytest.fixture(scope="module")
def wanted(base: str) -> np.ndarray:
    return load_encoder(base, device="cpu").encode(ROWS).floats()


def same(rows: list[tuple[int, object]], wanted: np.ndarray) -> None:
    found = np.array([np.asarray(vector, dtype=np.float32) for _, vector in sorted(rows, key=lambda row: row[0])])
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_dask(base: str, wanted: np.ndarray) -> None:
    dask = pytest.importorskip("dask.dataframe")
    frame = dask.from_pandas(pd.DataFrame({"n": range(len(ROWS)), "text": ROWS}), npartitions=3)
    meta = {"n": "int64", "text": "str", "vector": "object"}
    made = frame.map_partitions(BatchEncoder(base, device="cpu"), meta=meta).compute(scheduler="threads")
    same(list(zip(made["n"], made["vector"], strict=True)), wanted)


def test_ray_data(base: str, wanted: np.ndarray, tmp_path: Path) -> None:
    ray = pytest.importorskip("ray")
    pytest.importorskip("ray.data")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=4, num_gpus=0, include_dashboard=False, log_to_driver=False, logging_level="error")  # logical ones
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        pd.DataFrame({"n": range(len(ROWS)), "text": ROWS}).to_parquet(tmp_path / "texts.parquet")
        rows = ray.data.read_parquet(str(tmp_path / "texts.parquet")).repartition(target_num_rows_per_block=4)
        made = rows.map_batches(
            BatchEncoder,
            fn_constructor_args=(base,),
            fn_constructor_kwargs={"device": "cpu"},
            batch_size=4,
            compute=ray.data.ActorPoolStrategy(size=1),
        )
        same([(row["n"], row["vector"]) for row in made.take_all()], wanted)
    finally:
        ray.shutdown()


def test_spark(base: str, wanted: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    sql = pytest.importorskip("pyspark.sql")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent.parent))
    spark = sql.SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").getOrCreate()
    try:
        frame = spark.createDataFrame(list(enumerate(ROWS)), "n long, text string").repartition(2)
        made = frame.mapInPandas(BatchEncoder(base, device="cpu").each, "n long, text string, vector array<float>").collect()
        same([(row.n, row.vector) for row in made], wanted)
        arrow = frame.mapInArrow(BatchEncoder(base, device="cpu").each, "n long, text string, vector array<float>").collect()
        same([(row.n, row.vector) for row in arrow], wanted)
    finally:
        spark.stop()
