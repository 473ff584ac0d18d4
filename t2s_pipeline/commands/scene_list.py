"""How `t2s scenes` and `t2s questions` show scenes and standing questions in the terminal."""

from t2s_pipeline.core.settings import Settings


def print_scenes(settings: Settings) -> None:
    """The scenes of the imagery folder, and those of the table that are no longer there."""
    from t2s_pipeline.commands.printing import print_indented, text_table, wide_console
    from t2s_pipeline.lake.views import query
    from t2s_pipeline.scenes.imagery_folder import scenes_in

    console = wide_console()
    files, incomplete = scenes_in(settings.imagery)
    registered = {row["scene"]: row for row in query(settings, _REGISTERED).to_pylist()}
    listing = text_table(("scene", "size", "CRS", "m/pixel", "objects", "state"), right=("size", "m/pixel", "objects"))
    names = sorted({*(file.name for file in files), *registered})
    for name in names:
        row = registered.get(name, {})
        size = f"{row['width']} × {row['height']}" if row.get("width") else ""
        pixel = f"{row['pixel_size']:.3g}" if row.get("pixel_size") else ""
        state = row.get("detail") or ("" if row else "new")
        if row and not state and name not in {file.name for file in files}:
            state = "its file is gone"
        listing.add_row(name, size, row.get("crs_name") or "", pixel, str(row.get("objects", "")), state)
    if names:
        console.print(listing)
    for path in incomplete:
        print_indented(console, f"{path} was changed a moment ago: it is taken when it is whole.", indent=0)
    if not names and not incomplete:
        print_indented(console, f"{settings.imagery} holds no scene: put rasters or STAC items there.", indent=0)


_REGISTERED = """
SELECT s.scene, s.width, s.height, s.crs_name, s.pixel_size, s.detail, count(o.object) AS objects
FROM scenes AS s
LEFT JOIN scene_objects AS o ON o.scene = s.scene AND o.scene_sha256 = s.sha256
GROUP BY ALL
"""


def print_questions(settings: Settings) -> list[str]:
    """The standing questions; return a sentence about each row that cannot be used."""
    from t2s_pipeline.commands.printing import print_indented, text_table, wide_console
    from t2s_pipeline.steps.question_times import AT_ONCE
    from t2s_pipeline.steps.standing_questions import standing_questions

    console = wide_console()
    questions = standing_questions(settings)
    usable = [question for question in questions if not question.reason]
    if usable:
        listing = text_table(("row", "question", "system", "schedule"), right=("row",))
        for question in usable:
            system = question.system or "the best one here"
            listing.add_row(str(question.row), question.question, system, question.schedule or AT_ONCE)
        console.print(listing)
    elif not questions:
        print_indented(
            console,
            f"There are no standing questions. Write {settings.standing_questions} with the header "
            "question,system,schedule and one question per row; system and schedule may be empty.",
            indent=0,
        )
    return [question.detail for question in questions if question.reason]
