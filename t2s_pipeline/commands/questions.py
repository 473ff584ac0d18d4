"""`t2s questions`: show and check the standing questions."""

from t2s_pipeline.core.errors import InputError
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.core.visible import visible


def questions() -> None:
    """Show the standing questions of T2S_HOME/questions.csv, and check every row.

    The header is question,system,schedule. The schedule is `every new scene` (also if it is empty), or a time in UTC
    such as `daily 02:00` or `monday 02:00`. Without a system, the best one that is here answers. The exit code is 1 if
    a row cannot be used.
    """
    from t2s_pipeline.commands.scene_list import print_questions

    settings = Settings.from_env()
    faults = print_questions(settings)
    if len(faults) > 1:
        for fault in faults:
            print(visible(fault))
        raise InputError(f"{len(faults)} rows of {settings.standing_questions} cannot be used.")
    if faults:
        raise InputError(faults[0])
