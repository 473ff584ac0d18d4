"""The programs that `t2s demo` and `t2s train` become: each runs one Dagster job in its own process.

They are the only part of the command line that imports Dagster. The jobs themselves are defined in jobs/.
"""
