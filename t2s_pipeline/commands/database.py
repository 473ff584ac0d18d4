"""`t2s database`: the results as one DuckDB file, for notebooks and BI tools."""

from t2s_pipeline.core.settings import Settings


def database() -> None:
    """Write all tables and views to one DuckDB file, T2S_HOME/results.duckdb, for other tools.

    The file is a copy of the present results: write it again after the next evaluation. Any DuckDB can open it, for
    reading or writing. The pipeline itself does not read it.
    """
    from t2s_pipeline.lake.database import build_database

    path = build_database(Settings.from_env())
    print(f"{path}  {path.stat().st_size / 1e6:,.1f} MB")
