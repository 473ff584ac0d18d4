"""`t2s ask`: ask an image of your own."""

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from t2s_pipeline.commands.evaluate import AnsweringChanges
from t2s_pipeline.core.errors import InputError, T2SError
from t2s_pipeline.core.outside_files import OutsideFileError, home_expanded, outside_text
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.scenes.imagery_folder import RASTERS

if TYPE_CHECKING:
    from t2s_pipeline.methods.system import System
    from t2s_pipeline.steps.scene_answers import SceneOptions, SceneQuestion

ImagesAndQuestion = Annotated[
    list[str],
    typer.Argument(
        metavar='IMAGE… "QUESTION"',
        help="Rasters that GDAL reads, folders of them or patterns, and the question as the last word.",
    ),
]
ObjectsName = Annotated[
    str, typer.Option(metavar="NAME", help="File with the objects: its ending is .gpkg, .geojson or .parquet.")
]


def ask(
    words: ImagesAndQuestion,
    questions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A text file with one question per line, in place of QUESTION.")
    ] = None,
    system: Annotated[
        str | None, typer.Option(help="Who answers, as for `t2s evaluate`. Default: the best system that is here.")
    ] = None,
    prompts: Annotated[
        list[str] | None,
        typer.Option(
            metavar="box=…,point=…,not=…",
            help="Skip the prompter and prompt the segmenter: box=x0,y0,x1,y1, point=x,y, not=x,y, in pixels. Once per "
            "object.",
        ),
    ] = None,
    on_map: Annotated[
        bool, typer.Option("--on-map", help="The coordinates of --prompts are those of the image's CRS.")
    ] = False,
    draws: Annotated[
        int, typer.Option(min=0, help="Sampled answers per view; each object gets the share that agrees.")
    ] = 0,
    out: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where the files go. Default: T2S_HOME/answers.")
    ] = None,
    objects: ObjectsName = "objects.gpkg",
    bands: Annotated[
        str, typer.Option(help="The bands that are red, green and blue, such as 4,3,2, or one band.")
    ] = "",
    tile: Annotated[
        int, typer.Option(min=0, help="Side of a tile of a large scene, in pixels. Default: what the prompter sees.")
    ] = 0,
    overlap: Annotated[
        int | None, typer.Option(min=0, help="Pixels that neighbouring tiles share. Default: an eighth of --tile.")
    ] = None,
    resolution: Annotated[
        float | None, typer.Option(help="Metres per pixel at which the scene is read. Default: its own.")
    ] = None,
    override: AnsweringChanges = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Repeat finished work.")] = False,
) -> None:
    """Ask images a question; the answer is a mask and objects on the map.

    Writes mask.tif (a cloud-optimized GeoTIFF on the image's own grid), the objects with their areas, panel.png and
    answer.json. A large scene is searched in tiles. If the command is stopped, the same command goes on.
    """
    from t2s_pipeline.commands.answers import answer_and_print
    from t2s_pipeline.steps.scene_answers import SceneOptions

    settings = Settings.from_env()
    settings.require_worker()
    chosen = SceneOptions(tile, overlap, resolution, _bands(bands), draws, tuple(prompts or ()), on_map, objects, fresh)
    _require_objects_name(objects)
    asked = list(_asked(settings, words, questions, chosen, out))
    answer_and_print(settings, _system(settings, system, override or (), chosen), asked, chosen)


def _system(settings: Settings, name: str | None, overrides: Sequence[str], options: "SceneOptions") -> "System":
    """The system that answers; says which one if nobody named it."""
    from t2s_pipeline.steps.best_system import best_system, knows_drawn_scenes_only, segments_prompts
    from t2s_pipeline.systems.resolve import resolve

    if name is None and options.prompts:
        segmenter = dict(text.partition("=")[::2] for text in overrides).get("segmenter", "")
        system = segments_prompts(settings, segmenter)
        print(f"{system.segmenter} segments your prompts.")
        return system
    if name is not None:
        system = resolve(name, settings, overrides)
        print(f"{system.name} answers.")
    else:
        choice = best_system(settings)
        system = resolve(choice.system.name, settings, overrides) if overrides else choice.system
        print(f"{system.name} answers: {choice.reason}. --system names another one.")
    if knows_drawn_scenes_only(system):
        print(f"{system.name} is the embedded miniature: it knows drawn scenes only, and guesses on real imagery.")
    return system


def _asked(
    settings: Settings, words: list[str], file: Path | None, options: "SceneOptions", out: Path | None
) -> "Iterator[SceneQuestion]":
    """Every question about every image, with the folder of its answer."""
    from t2s_pipeline.steps.scene_answers import SceneQuestion, answer_folder, require_question

    questions, images = _questions(words, file, bool(options.prompts))
    questions = [question if options.prompts and not question else require_question(question) for question in questions]
    paths = list(dict.fromkeys(path for image in images for path in _paths(image)))
    folder = home_expanded(out or settings.home / "answers").absolute()
    for path in paths:
        for question in questions:
            alone = out is not None and len(paths) == len(questions) == 1
            yield SceneQuestion(path, question, folder if alone else answer_folder(folder, path, question))


def _questions(words: list[str], file: Path | None, has_prompts: bool) -> tuple[list[str], list[str]]:
    """The questions, and the images among the words."""
    if file is not None:
        try:
            lines = outside_text(home_expanded(file)).splitlines()
        except OutsideFileError as fault:
            raise InputError(
                f"{file} cannot be read ({fault.detail}): give a text file with one question per line."
            ) from fault
        questions = [line.strip() for line in lines if line.strip()]
        if not questions:
            raise InputError(f"{file} holds no question: write one per line.")
        return questions, words
    *images, last = words
    if has_prompts and (not images or home_expanded(last).exists()):
        return [""], words
    if not images:
        raise InputError('Give an image and a question: t2s ask scene.tif "Where are the ships?"')
    return [last], images


def _paths(image: str) -> list[Path]:
    """The files that a word means: itself, the rasters in a folder, or what a pattern matches."""
    path = home_expanded(image)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in RASTERS)
        if not files:
            raise InputError(f"{path} holds no raster ({', '.join(RASTERS)}).")
        return files
    if path.exists() or not glob.has_magic(image):
        return [path]
    files = sorted(map(Path, glob.glob(str(path), recursive=True)))
    if not files:
        raise InputError(f"No file matches {image}.")
    return [file for file in files if file.is_file()]


def _bands(text: str) -> tuple[int, ...]:
    if not text:
        return ()
    words = text.split(",")
    if len(words) not in (1, 3) or not all(word.strip().isdecimal() and int(word) > 0 for word in words):
        raise InputError(f"--bands {text}: give one number or three, from 1 on, such as 4,3,2.")
    return tuple(map(int, words))


def _require_objects_name(name: str) -> None:
    from t2s_pipeline.scenes.vector_files import require_format

    if Path(name).name != name:
        raise InputError(f"--objects {name}: give a name without a folder; --out says where the files go.")
    try:
        require_format(Path(name))
    except InputError as fault:
        raise T2SError(f"--objects {name}: {fault}") from fault
