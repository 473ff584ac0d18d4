"""The command line `t2s`: one command per verb, with readable output and an exit code.

Exit codes: 0 success; 1 a fault that a user can repair, described in one line on stderr; 2 a wrong option;
130 interrupted. ``commands/command_line.py`` lists the commands.
"""

import sys
from io import TextIOWrapper

from t2s_pipeline.commands.sql_options import answer, usual_options
from t2s_pipeline.core.errors import T2SError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.core.visible import shortened, visible


def main() -> None:
    """Run the command line. A fault that a user can repair becomes one line on stderr and exit code 1."""
    if isinstance(sys.stdout, TextIOWrapper):
        # A terminal of another encoding shows \xfc for a character that it lacks, and not a traceback.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        _run(sys.argv[1:])
    except T2SError as error:
        fail(str(error))
    except OSError as error:
        # A path that cannot be written, is a folder, or is on a disk that was removed. Any other case is a bug of ours.
        if error.errno is None:
            raise
        path = error.filename2 or error.filename
        fail(f"{f'{path}: ' if path else ''}{error.strerror}. T2S_HOME is {Settings.from_env().home}.")
    except KeyboardInterrupt:
        sys.exit(130)


def _run(words: list[str]) -> None:
    options = usual_options(words[1:]) if words[:1] == ["sql"] else None
    if options is not None:
        sys.exit(answer(options))
    # Importing typer takes longer than a query.
    from t2s_pipeline.commands.command_line import command_line

    command_line(words)(prog_name="t2s")


def fail(message: str) -> None:
    """Print one line on stderr and exit with code 1."""
    print(f"t2s: {visible(shortened(' '.join(message.split())))}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
