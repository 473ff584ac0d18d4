"""Dagster jobs, schedules and sensors, and the process that runs one from the command line."""
