"""`t2s database`: the results as one DuckDB file, for notebooks and BI tools."""

from t2s_pipeline.core.settings import Settings


def database() -> None:
    """Write T2S_HOME/results.duckdb: every table and view in one file, for other tools.

    It is a copy of this moment: build it again after the next evaluation. Open it with any DuckDB, read-only or not;
    nothing of the pipeline reads it.
    """
    from t2s_pipeline.lake.database import build_database

    path = build_database(Settings.from_env())
    print(f"{path}  {path.stat().st_size / 1e6:,.1f} MB")
