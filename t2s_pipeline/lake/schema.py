"""Every table of the lake in one place: its columns, its partition columns, and what each column means.

Metric tables are in percent, as the field prints them; a single sample's ``iou`` is a fraction.
"""

from dataclasses import dataclass

import pyarrow as pa

from t2s_pipeline.vision.masks import RLE_TYPE

PROMPTS_TYPE = pa.list_(
    pa.struct(
        [
            ("bbox", pa.list_(pa.float32())),
            ("positive_points", pa.list_(pa.list_(pa.float32()))),
            ("negative_points", pa.list_(pa.list_(pa.float32()))),
        ]
    )
)
"""Parsed prompts, one struct an object, in pixels of the prompter's resized square; ``bbox`` null if not asked for."""


@dataclass(frozen=True)
class Column:
    name: str
    type: pa.DataType
    meaning: str


@dataclass(frozen=True)
class Table:
    """A table of the lake. Partition columns are strings kept in the folder names, not in the files."""

    name: str
    meaning: str
    partition_by: tuple[str, ...]
    columns: tuple[Column, ...]
    rows_per_group: int = 65_536

    @property
    def schema(self) -> pa.Schema:
        """The schema of a file: partition columns are not in it."""
        return pa.schema([(column.name, column.type) for column in self.columns])

    @property
    def meanings(self) -> dict[str, str]:
        """What each column of a file means."""
        return {column.name: column.meaning for column in self.columns}


def _table(name: str, meaning: str, partition_by: str, rows_per_group: int = 65_536, **columns) -> Table:
    fields = tuple(Column(key, kind, words) for key, (kind, words) in columns.items())
    return Table(name, meaning, tuple(partition_by.split()), fields, rows_per_group)


STR, INT, LONG, REAL, BOOL = pa.string(), pa.int32(), pa.int64(), pa.float64(), pa.bool_()

IMAGES = _table(
    "images",
    "An image, stored once, as its original bytes.",
    "dataset split",
    rows_per_group=64,
    image_id=(STR, "unique within dataset and split"),
    file_name=(STR, "path below the dataset's root"),
    width=(INT, "pixels, as displayed"),
    height=(INT, "pixels, as displayed"),
    sha256=(STR, "of the original bytes"),
    bytes=(pa.large_binary(), "the file, never re-encoded"),
)
SAMPLES = _table(
    "samples",
    "A target in an image and every question asked about it.",
    "dataset split",
    rows_per_group=1024,
    sample_id=(STR, "unique within dataset and split"),
    image_id=(STR, "the image it belongs to; files of the same bytes are one image"),
    category=(STR, "the dataset's class, where it has one"),
    questions=(pa.list_(STR), "in the order of the source"),
    answers=(pa.list_(STR), "the source's worded answers"),
    mask=(RLE_TYPE, "ground truth at native size"),
    mask_area=(LONG, "target pixels"),
    is_empty=(BOOL, "true when there is no target"),
)
SELECTIONS = _table(
    "selections",
    "The one question of a sample that a published rule asks, frozen; every question stays in samples.",
    "dataset split",
    rows_per_group=4096,
    rule=(STR, "draw (by the hash of seed, sample and index) or first"),
    sample_id=(STR, "the sample"),
    question_index=(INT, "which of its questions"),
    seed=(STR, "of the draw, empty where nothing is drawn"),
    published=(BOOL, "the rule that the dataset's published numbers follow"),
)
REJECTS = _table(
    "rejects",
    "What a reader could not use, and why.",
    "dataset split",
    source=(STR, "file, and row where there is one"),
    reason=(STR, "a short constant, good for GROUP BY"),
    detail=(STR, "what was found"),
)
PSEUDO_LABELS = _table(
    "pseudo_labels",
    "A labelled instance as a rival method makes it from a mask.",
    "method dataset split",
    sample_id=(STR, "the sample"),
    instance=(INT, "0-based"),
    bbox=(pa.list_(pa.float32()), "x0, y0, x1, y1 in pixels of the square, the last ones included"),
    points=(pa.list_(pa.list_(pa.float32())), "x, y each, in pixels of the square; all on the mask"),
    area=(LONG, "pixels of the instance on the square"),
    side=(INT, "the square that the label is made for"),
    left_out=(LONG, "pixels of the sample's mask that are in no instance: noise, specks"),
    parameters=(STR, "JSON of the settings that made it"),
)
LABEL_QUALITY = _table(
    "label_quality",
    "What the frozen segmenter makes of the labels themselves, as if a perfect prompter had answered.",
    "method segmenter dataset split",
    sample_id=(STR, "the sample"),
    image_id=(STR, "its image"),
    prompt_combination=(STR, "what was fed to the segmenter; the method's own name: as the method itself feeds it"),
    objects=(INT, "prompt objects fed"),
    gt_empty=(BOOL, "the ground truth has no target"),
    prompts=(PROMPTS_TYPE, "in pixels of the square"),
    side=(INT, "the square, pixels"),
    intersection=(LONG, "pixels at native size"),
    union=(LONG, "pixels at native size"),
    iou=(REAL, "with the ground truth, a fraction; 1 for no prompts where there is no target"),
    mask=(RLE_TYPE, "what was drawn, at native size; of a method's own combination only"),
)
CHECKPOINTS = _table(
    "checkpoints",
    "A prompter's weights at a training step.",
    "run",
    system=(STR, "the name that completions and predictions carry"),
    experiment=(STR, "the named settings it comes of"),
    step=(INT, "optimizer steps"),
    path=(STR, "folder, below T2S_HOME where it lies there"),
    sha256=(STR, "of the weights"),
    base_model=(STR, "what training started from"),
    settings=(STR, "JSON of the experiment's settings"),
    created_at=(pa.timestamp("us", tz="UTC"), "when it was complete"),
)
TRAINING_LOG = _table(
    "training_log",
    "One optimizer step of GRPO.",
    "run",
    rows_per_group=50,
    step=(INT, "1-based"),
    reward=(REAL, "mean over the batch, all parts weighted"),
    reward_std=(REAL, "mean over groups of the standard deviation within the group"),
    reward_parts=(pa.map_(STR, REAL), "mean of each part, unweighted"),
    zero_variance_share=(REAL, "share of groups whose rewards are all equal"),
    valid_share=(REAL, "share of completions that parse"),
    abstained=(INT, "completions that got no reward because of a failure of ours"),
    kl=(REAL, "mean k3 estimate"),
    loss=(REAL, "the step's GRPO loss"),
    grad_norm=(REAL, "before clipping"),
    learning_rate=(REAL, "of this step"),
    completion_tokens=(REAL, "mean length"),
    longest_completion=(REAL, "tokens of the longest completion"),
    clipped_share=(REAL, "share of completions cut at the length limit"),
    entropy=(REAL, "mean over completion tokens of the prediction's entropy, nats"),
    seconds=(REAL, "the whole step"),
    generate_seconds=(REAL, "drawing the completions"),
    reward_seconds=(REAL, "segmenting and scoring"),
    update_seconds=(REAL, "log-probabilities, forward and backward passes, optimizer"),
    tokens_per_second=(REAL, "completion tokens over the whole step's seconds, all ranks"),
    peak_mb=(REAL, "of the rank with most: resident memory, or the device's where there is one"),
    samples=(pa.list_(STR), "sample_id of each prompt of the step, in the order of the run"),
    warnings=(pa.list_(STR), "health rules that are broken at this step"),
)
TRAINING_SAMPLES = _table(
    "training_samples",
    "A completion drawn while training, as it was judged: the best and the worst of a group, every so many steps.",
    "run",
    step=(INT, "optimizer step that it was drawn in"),
    sample_id=(STR, "the sample"),
    question=(STR, "what was asked"),
    rank=(STR, "best or worst of its group"),
    text=(STR, "the completion"),
    reward=(REAL, "all parts weighted; null if it abstained"),
    reward_parts=(pa.map_(STR, REAL), "each part, unweighted"),
    status=(STR, "ok, rejected (said: no target), format_error, error"),
    prompts=(PROMPTS_TYPE, "in pixels of the prompter's square"),
    side=(INT, "the prompter's square, pixels"),
    mask=(RLE_TYPE, "union at the prompter's square; null where nothing was drawn"),
    panel=(STR, "picture file, below T2S_HOME"),
)
COMPLETIONS = _table(
    "completions",
    "An answer text as the prompter gave it.",
    "system dataset split",
    sample_id=(STR, "the sample"),
    question_index=(INT, "which of the sample's questions"),
    text=(STR, "the completion, end-of-turn removed"),
    tokens=(INT, "completion length"),
    finish_reason=(STR, "stop or length"),
    seconds=(REAL, "its batch's time divided by the batch"),
    settings=(STR, "JSON of the generation settings"),
)
PREDICTIONS = _table(
    "predictions",
    "A completion, parsed and segmented.",
    "system segmenter dataset split",
    sample_id=(STR, "the sample"),
    question_index=(INT, "which of the sample's questions"),
    status=(STR, "ok, rejected (said: no target), format_error, empty_mask, error"),
    detail=(STR, "why, when not ok"),
    repaired=(BOOL, "the JSON had to be repaired"),
    prompts=(PROMPTS_TYPE, "in pixels of the prompter's square"),
    side=(INT, "the prompter's square, pixels"),
    mask=(RLE_TYPE, "union at native size, for the strict protocol"),
    square_mask=(RLE_TYPE, "union at the prompter's square, for the reference protocol"),
    square_status=(STR, "status under the reference protocol's laxer parser, where that differs; else null"),
    scores=(pa.list_(pa.float32()), "SAM's predicted IoU of each object"),
)
AGREEMENT = _table(
    "agreement",
    "How far a system's sampled answers to one question agree: its uncertainty, known without the truth.",
    "system dataset split",
    sample_id=(STR, "the sample"),
    question_index=(INT, "which of the sample's questions"),
    completions=(INT, "K, the answers that were sampled"),
    agreement=(REAL, "mean IoU over pairs of their masks at native size, a fraction"),
    rejected=(INT, "of the answers, those that said that there is no target"),
    unread=(INT, "of the answers, those that could not be parsed or drawn: they agree with nothing"),
    texts=(pa.list_(STR), "the answers"),
    settings=(STR, "JSON of the sampling settings"),
)
PREDICTION_REJECTS = _table(
    "prediction_rejects",
    "What of another project's predictions could not be taken in, and the samples for which none came.",
    "system dataset split",
    source=(STR, "file, and place in it; empty for what is missing"),
    reason=(STR, "missing, surplus, twice, question_not_found, no_result, invalid_mask, corrupt_label, …"),
    sample_id=(STR, "the sample, where it is known"),
    detail=(STR, "what was found"),
)
SAMPLE_SCORES = _table(
    "sample_scores",
    "One answer against its ground truth.",
    "system dataset split protocol",
    sample_id=(STR, "the sample"),
    image_id=(STR, "its image: the unit of the bootstrap"),
    question_index=(INT, "which of the sample's questions"),
    intersection=(LONG, "pixels"),
    union=(LONG, "pixels, as the protocol counts it for cIoU"),
    iou=(REAL, "fraction; 1 for a correct rejection"),
    hit=(BOOL, "counts for P@0.5 under the protocol; null where the protocol leaves the sample out"),
    gt_empty=(BOOL, "the ground truth has no target"),
    pred_empty=(BOOL, "the predicted mask is empty"),
    status=(STR, "the prediction's status, or missing where the system gave none"),
)
BENCHMARK_METRICS = _table(
    "benchmark_metrics",
    "A system on a split under a protocol, in percent, with 95 % intervals (bootstrap by image).",
    "",
    system=(STR, "who answered"),
    dataset=(STR, "the benchmark"),
    split=(STR, "train, val or test"),
    protocol=(STR, "strict or reference"),
    n=(LONG, "samples"),
    answers=(LONG, "answers, which is more than n where every question counts"),
    giou=(REAL, "mean IoU over samples"),
    ciou=(REAL, "sum of intersections over sum of unions"),
    p_at_50=(REAL, "share above IoU 0.5"),
    giou_low=(REAL, "lower end of the interval"),
    giou_high=(REAL, "upper end"),
    ciou_low=(REAL, "lower end of the interval"),
    ciou_high=(REAL, "upper end"),
    p_at_50_low=(REAL, "lower end of the interval"),
    p_at_50_high=(REAL, "upper end"),
    rejection_true=(LONG, "answers to empty targets that were left empty"),
    rejection_false=(LONG, "answers to empty targets that were not"),
    format_errors=(LONG, "answers that could not be parsed, each scored 0"),
    errors=(LONG, "answers lost to a failure of ours, each scored 0: should be none"),
)
PAIRED_DIFFERENCES = _table(
    "paired_differences",
    "One system less another on the same images, in points, with a 95 % interval (paired bootstrap by image).",
    "",
    system=(STR, "who answered"),
    baseline=(STR, "whom it is compared with"),
    dataset=(STR, "the benchmark"),
    split=(STR, "train, val or test"),
    protocol=(STR, "strict or reference"),
    metric=(STR, "giou, ciou or p_at_50"),
    n=(LONG, "samples both answered"),
    difference=(REAL, "percentage points"),
    low=(REAL, "lower end of the interval"),
    high=(REAL, "upper end"),
)
RESCORES = _table(
    "rescores",
    "A chosen checkpoint evaluated anew, from its weights on, and held against its accepted scores (strict protocol).",
    "system dataset split",
    scored_at=(pa.timestamp("us", tz="UTC"), "when it was evaluated anew"),
    n=(LONG, "samples answered both times"),
    giou=(REAL, "percent, this time"),
    accepted_giou=(REAL, "percent, as the leaderboard has it"),
    difference=(REAL, "percentage points, this time less accepted"),
    low=(REAL, "lower end of the 95 % interval (paired bootstrap by image)"),
    high=(REAL, "upper end"),
    dropped=(BOOL, "the whole interval lies below zero: worse by more than chance allows"),
)
PUBLISHED_METRICS = _table(
    "published_metrics",
    "The paper's own numbers.",
    "",
    paper_table=(INT, "1 to 6"),
    system=(STR, "as the paper names it"),
    prompter=(STR, "as the paper names it"),
    segmenter=(STR, "as the paper names it"),
    prompt_schema=(STR, "prompt combination"),
    dataset=(STR, "key of the dataset"),
    split=(STR, "train, val or test"),
    metric=(STR, "giou, ciou, p_at_50, rejection_true, rejection_false"),
    value=(REAL, "percent, or a count"),
    note=(STR, "what the source says of it"),
    measured_as=(STR, "the name our run of it carries as a system"),
)

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        IMAGES,
        SAMPLES,
        SELECTIONS,
        REJECTS,
        PSEUDO_LABELS,
        LABEL_QUALITY,
        CHECKPOINTS,
        TRAINING_LOG,
        TRAINING_SAMPLES,
        COMPLETIONS,
        PREDICTIONS,
        AGREEMENT,
        PREDICTION_REJECTS,
        SAMPLE_SCORES,
        BENCHMARK_METRICS,
        PAIRED_DIFFERENCES,
        RESCORES,
        PUBLISHED_METRICS,
    )
}
