"""The options of `t2s ingest`, as typer reads them."""

from pathlib import Path
from typing import Annotated

import typer

DatasetName = Annotated[
    str,
    typer.Argument(help="A benchmark (t2s doctor lists them), custom, or a folder in EarthReason's layout."),
]
RootFolder = Annotated[Path | None, typer.Option(help="The folder of the benchmark. It is stored for later commands.")]
ImagesFolder = Annotated[Path | None, typer.Option(help="custom: the folder of images.")]
MasksFolder = Annotated[Path | None, typer.Option(help="custom: the folder of masks.")]
QueriesFile = Annotated[Path | None, typer.Option(help="custom: questions as .csv, .jsonl or .parquet.")]
CocoJson = Annotated[Path | None, typer.Option(help="custom: a COCO JSON file, instead of masks and queries.")]
VectorsFile = Annotated[
    Path | None, typer.Option(help="custom: polygons on the map as .gpkg, .geojson or .shp, instead of masks.")
]
QuestionField = Annotated[
    str | None, typer.Option(help="custom: the field of --vectors that holds the question or the class.")
]
LayerName = Annotated[str | None, typer.Option(help="custom: the layer of --vectors, if the file has several.")]
SamplePer = Annotated[
    str | None,
    typer.Option(
        metavar="class|feature",
        help="custom: a sample per class in a chip (default), or per polygon in a chip of --vectors.",
    ),
]
ChipSide = Annotated[
    int | None, typer.Option(min=1, help="custom: cut the images of --vectors into chips of so many pixels.")
]
ChipOverlap = Annotated[
    int | None, typer.Option(min=0, help="custom: the pixels that neighbouring chips share. Default: 0.")
]
OwnName = Annotated[str, typer.Option("--name", help="custom: a name for the dataset.")]
OwnSplit = Annotated[str, typer.Option(help="custom: the split of samples that give none.")]
OnlySplits = Annotated[list[str] | None, typer.Option("--only", help="Read only this split. Can be repeated.")]
BandNumbers = Annotated[
    str | None, typer.Option(help="Own data: the bands that are red, green, blue, e.g. 4,3,2; or the one shown.")
]
MaskValue = Annotated[
    str | None, typer.Option(help="Own data: the mask value, or the colour R,G,B, that is the target.")
]
MaskThreshold = Annotated[float | None, typer.Option(help="Own data: mask values above it are the target.")]
InvertMask = Annotated[bool, typer.Option("--invert-mask", help="Own data: the target is the rest.")]
TextEncoding = Annotated[
    str | None,
    typer.Option(help="custom: the encoding of --queries or of a shapefile, e.g. cp1252, if it is not UTF-8."),
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Read files again even if they have not changed.")]
AcceptLoss = Annotated[
    bool, typer.Option("--accept-loss", help="Replace a split also by far fewer samples from the same folder.")
]
