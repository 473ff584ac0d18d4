"""Every table of the lake: its columns, its partition columns, and what each column means.

Metric tables are in percent; the ``iou`` of a sample is a fraction. ``revisions.py`` says what a changed table needs.
"""

import pyarrow as pa

from t2s_pipeline.lake.prompts import PROMPTS_TYPE
from t2s_pipeline.lake.risk_columns import RISK_COLUMNS
from t2s_pipeline.lake.sample_columns import SAMPLE_COLUMNS
from t2s_pipeline.lake.scene_columns import OBJECT_COLUMNS, QUESTION_COLUMNS, SCENE_COLUMNS
from t2s_pipeline.lake.step_columns import STEP_COLUMNS
from t2s_pipeline.lake.table import QUESTION_KEY, Tables, interval_columns
from t2s_pipeline.lake.training_columns import LOG_COLUMNS
from t2s_pipeline.vision.mask_type import RLE_TYPE

STR, INT, LONG, REAL, BOOL = pa.string(), pa.int32(), pa.int64(), pa.float64(), pa.bool_()
TABLES = Tables()
"""Every table by its name, in the order of this file."""
IMAGES = TABLES.add(
    "images",
    "An image, stored once: the file itself, or the PNG made from a file that is no 8-bit picture.",
    "dataset split",
    rows_per_group=64,
    image_id=(STR, "unique within dataset and split"),
    file_name=(STR, "path relative to the root folder of the dataset; of a chip with #x,y,width,height in pixels"),
    width=(INT, "pixels, as displayed"),
    height=(INT, "pixels, as displayed"),
    sha256=(STR, "hash of the original file; of a chip, of its pixels and its place"),
    bytes=(pa.large_binary(), "the file as it was, or the PNG made from it"),
    crs=(STR, "coordinate reference system of the pixels: EPSG:… or WKT; null if the file states none"),
    transform=(
        pa.list_(REAL),
        "a, b, c, d, e, f: x = a·column + b·row + c, y = d·column + e·row + f; null without crs",
    ),
)
SAMPLES = TABLES.add(
    "samples",
    "A target in an image, and every question about it.",
    "dataset split",
    rows_per_group=1024,
    **SAMPLE_COLUMNS,
)
SELECTIONS = TABLES.add(
    "selections",
    "The one question of a sample that a published rule asks, frozen; every question stays in samples.",
    "dataset split",
    version=2,
    rows_per_group=4096,
    rule=(STR, "by_hash (of seed, sample and index) or first"),
    sample_id=(STR, "the sample"),
    question_index=(INT, "which of its questions"),
    seed=(STR, "text that is hashed with the sample and the index; empty for first"),
    published=(BOOL, "the rule that the dataset's published numbers follow"),
)
REJECTS = TABLES.add(
    "rejects",
    "Something that a reader of a dataset could not use, and why.",
    "dataset split",
    source=(STR, "file, and row if there is one"),
    reason=(STR, "a short constant, good for GROUP BY"),
    detail=(STR, "what is wrong with it"),
)
NOTES = TABLES.add(
    "notes",
    "Something about a file or row of a dataset that was used: what is unusual, or how it was read.",
    "dataset split",
    source=(STR, "file, and row if there is one; empty: the whole split"),
    kind=(STR, "a short constant, good for GROUP BY"),
    detail=(STR, "what is special, and how it was read"),
    is_warning=(BOOL, "false for a record of how a file was read, e.g. the limits of a stretch"),
)
SCENES = TABLES.add(
    "scenes", "A raster of the imagery folder: where it lies, or why it cannot be asked.", "scene", **SCENE_COLUMNS
)
STANDING_QUESTIONS = TABLES.add(
    "standing_questions", "A row of questions.csv: it is asked about every scene.", "", **QUESTION_COLUMNS
)
SCENE_OBJECTS = TABLES.add(
    "scene_objects",
    "An object that a system found in a scene; or, without an object, what the answer to a question was.",
    "scene question_id system",
    **OBJECT_COLUMNS,
)
PSEUDO_LABELS = TABLES.add(
    "pseudo_labels",
    "A labelled instance, as a competing method makes it from a mask.",
    "method dataset split",
    sample_id=(STR, "the sample"),
    instance=(INT, "number of the instance within the sample, from 0"),
    bbox=(pa.list_(pa.float32()), "x0, y0, x1, y1 in pixels of the square; x1 and y1 are included"),
    points=(pa.list_(pa.list_(pa.float32())), "x, y of each point in pixels of the square; all lie on the mask"),
    area=(LONG, "pixels of the instance on the square"),
    side=(INT, "side of the square that the label is made for, pixels"),
    left_out=(LONG, "pixels of the mask on the square that are in no instance: noise, specks"),
    parameters=(STR, "JSON of the settings of the method"),
)
LABEL_QUALITY = TABLES.add(
    "label_quality",
    "The mask that the frozen segmenter makes from a sample's labels, as if a perfect prompter had answered with them.",
    "method segmenter dataset split",
    sample_id=(STR, "the sample"),
    image_id=(STR, "its image"),
    prompt_combination=(STR, "prompts that the segmenter got; the name of the method: as the method feeds its labels"),
    objects=(INT, "number of prompt objects that the segmenter got"),
    gt_empty=(BOOL, "the ground truth has no target"),
    prompts=(PROMPTS_TYPE, "prompts that the segmenter got, in pixels of the square"),
    side=(INT, "side of the square, pixels"),
    intersection=(LONG, "pixels in both masks, at native size"),
    union=(LONG, "pixels in at least one mask, at native size"),
    iou=(REAL, "IoU with the ground truth, a fraction; 1 if there is no target and no prompt"),
    mask=(RLE_TYPE, "the mask at native size; only for the combination with the name of the method"),
)
CHECKPOINTS = TABLES.add(
    "checkpoints",
    "The weights of a prompter at a training step.",
    "run",
    version=2,
    system=(STR, "the name under which the checkpoint answers"),
    experiment=(STR, "the named settings of its run"),
    step=(INT, "optimizer steps until then"),
    path=(STR, "folder; relative to T2S_HOME if it lies there"),
    sha256=(STR, "hash of the weights"),
    base_model=(STR, "the weights that training started from"),
    settings=(STR, "JSON of the experiment's settings"),
    created_at=(pa.timestamp("us", tz="UTC"), "time at which the checkpoint was complete"),
)
TRAINING_LOG = TABLES.add(
    "training_log",
    "One optimizer step of GRPO.",
    "run",
    rows_per_group=50,
    **LOG_COLUMNS,
)
TRAINING_SAMPLES = TABLES.add(
    "training_samples",
    "A completion that was sampled in training, and its reward: the best and the worst of a group, every few steps.",
    "run",
    step=(INT, "optimizer step in which it was sampled"),
    sample_id=(STR, "the sample"),
    question=(STR, "the question"),
    rank=(STR, "best or worst of its group"),
    text=(STR, "the completion"),
    reward=(REAL, "weighted sum of all parts; null without a reward because of a failure of the pipeline"),
    reward_parts=(pa.map_(STR, REAL), "each part of the reward, without its weight"),
    status=(STR, "ok, rejected (the answer is that there is no target), format_error, error"),
    prompts=(PROMPTS_TYPE, "in pixels of the prompter's square"),
    side=(INT, "the prompter's square, pixels"),
    mask=(RLE_TYPE, "union of the masks on the prompter's square; null if nothing was segmented"),
    panel=(STR, "picture file, relative to T2S_HOME"),
)
COMPLETIONS = TABLES.add(
    "completions",
    "The text that a system answered to a question.",
    "system dataset split",
    version=2,
    **QUESTION_KEY,
    text=(STR, "the completion, end-of-turn removed"),
    tokens=(INT, "length of the completion, tokens"),
    finish_reason=(STR, "stop or length"),
    seconds=(REAL, "duration of its batch divided by the size of the batch"),
    settings=(STR, "JSON of the generation settings"),
)
PREDICTIONS = TABLES.add(
    "predictions",
    "A parsed completion and the mask that the segmenter made from its prompts.",
    "system segmenter dataset split",
    version=2,
    **QUESTION_KEY,
    status=(STR, "ok, rejected (the answer is that there is no target), format_error, empty_mask, error"),
    detail=(STR, "the reason if the status is not ok"),
    repaired=(BOOL, "the JSON had to be repaired"),
    prompts=(PROMPTS_TYPE, "in pixels of the prompter's square"),
    side=(INT, "the prompter's square, pixels"),
    mask=(RLE_TYPE, "union of the masks at native size, for the strict protocol"),
    square_mask=(RLE_TYPE, "union of the masks on the prompter's square, for the reference protocol"),
    square_status=(STR, "status with the parser of the reference protocol, if it differs; else null"),
    scores=(pa.list_(pa.float32()), "IoU that the segmenter predicts for each object, a fraction"),
)
ANSWER_SETTINGS = TABLES.add(
    "answer_settings",
    "With which models and settings a system answered a split.",
    "system dataset split",
    prompter=(STR, "the prompter, by the name that is true for its weights; folder NAME for a checkpoint"),
    segmenter=(STR, "the segmenter, by the name that is true for its weights"),
    prompt_combination=(STR, "the boxes and points that the prompter was asked for"),
    settings=(STR, "JSON: recipe, generation, template (null: our instruction), hashes of both models' weights"),
)
AGREEMENT = TABLES.add(
    "agreement",
    "How far the sampled answers of a system to one question agree: its uncertainty, known without the ground truth.",
    "system dataset split",
    version=2,
    **QUESTION_KEY,
    completions=(INT, "K, the number of sampled answers"),
    agreement=(REAL, "mean IoU over pairs of their masks at native size, a fraction"),
    rejected=(INT, "number of answers that there is no target"),
    unread=(INT, "number of answers that could not be parsed or segmented; they agree with no other answer"),
    texts=(pa.list_(STR), "the answers"),
    settings=(STR, "JSON of the sampling settings"),
)
RISK_THRESHOLDS = TABLES.add(
    "risk_thresholds",
    "From which agreement on a system's answers count, so that a wanted risk is kept; chosen on one split.",
    "system dataset",
    **RISK_COLUMNS,
)
PREDICTION_REJECTS = TABLES.add(
    "prediction_rejects",
    "A prediction of another project that could not be used, or a sample without a prediction.",
    "system dataset split",
    source=(STR, "file, and position in it; empty if the prediction is missing"),
    reason=(STR, "missing, surplus, twice, question_not_found, no_result, invalid_mask, corrupt_label, …"),
    sample_id=(STR, "the sample, if it is known"),
    detail=(STR, "what is wrong with it"),
)
SAMPLE_SCORES = TABLES.add(
    "sample_scores",
    "The score of one answer against its ground truth.",
    "system dataset split protocol",
    sample_id=(STR, "the sample"),
    image_id=(STR, "its image: the unit of the bootstrap"),
    question_index=(INT, "which of the sample's questions"),
    intersection=(LONG, "pixels of the intersection"),
    union=(LONG, "pixels of the union, as the protocol counts it for cIoU"),
    iou=(REAL, "IoU, a fraction; 1 for a correct rejection"),
    hit=(BOOL, "the answer counts as correct for P@0.5; null if the protocol leaves the sample out"),
    gt_empty=(BOOL, "the ground truth has no target at the size that is scored"),
    pred_empty=(BOOL, "the predicted mask is empty"),
    status=(STR, "status of the prediction, or missing if the system gave none"),
)
BENCHMARK_METRICS = TABLES.add(
    "benchmark_metrics",
    "A system on a split under a protocol, in percent, with 95 % intervals (bootstrap by image).",
    "",
    system=(STR, "the system that answered"),
    dataset=(STR, "the benchmark"),
    split=(STR, "train, val or test"),
    protocol=(STR, "strict or reference"),
    n=(LONG, "number of samples"),
    answers=(LONG, "number of answers; more than n if every question of a sample counts"),
    giou=(REAL, "mean IoU over samples"),
    ciou=(REAL, "sum of intersections over sum of unions"),
    p_at_50=(REAL, "share of the samples above IoU 0.5"),
    **interval_columns("giou", "ciou", "p_at_50"),
    rejection_true=(LONG, "answers to empty targets whose mask is empty"),
    rejection_false=(LONG, "answers to empty targets whose mask is not empty"),
    format_errors=(LONG, "answers that could not be parsed, each scored 0"),
    errors=(LONG, "answers lost by a failure of the pipeline, each scored 0; it should be 0"),
    base=(STR, "the untrained system that its training started from, with the same segmenter; null without one"),
    differs=(STR, "how it differs from the published row of its name; empty if in nothing, null without such a row"),
)
PAIRED_DIFFERENCES = TABLES.add(
    "paired_differences",
    "One system minus another on the same images, in points, with a 95 % interval (paired bootstrap by image).",
    "",
    system=(STR, "the system that answered"),
    baseline=(STR, "the system that it is compared with"),
    dataset=(STR, "the benchmark"),
    split=(STR, "train, val or test"),
    protocol=(STR, "strict or reference"),
    metric=(STR, "giou, ciou or p_at_50"),
    n=(LONG, "number of samples that both answered"),
    difference=(REAL, "system minus baseline, percentage points"),
    low=(REAL, "lower end of the interval"),
    high=(REAL, "upper end of the interval"),
)
RESCORES = TABLES.add(
    "rescores",
    "A chosen checkpoint that was evaluated again from its weights, against its accepted scores (strict protocol).",
    "system dataset split",
    scored_at=(pa.timestamp("us", tz="UTC"), "time of the new evaluation"),
    n=(LONG, "number of samples that were answered both times"),
    giou=(REAL, "gIoU of the new evaluation, percent"),
    accepted_giou=(REAL, "gIoU on the leaderboard, percent"),
    difference=(REAL, "new minus accepted, percentage points"),
    low=(REAL, "lower end of the 95 % interval (paired bootstrap by image)"),
    high=(REAL, "upper end of the interval"),
    dropped=(BOOL, "the whole interval lies below zero: worse by more than chance explains"),
)
PUBLISHED_METRICS = TABLES.add(
    "published_metrics",
    "A number that the paper prints, in one of its two editions.",
    "",
    version=2,
    paper_table=(INT, "number of the table in the paper, 1 to 6"),
    system=(STR, "as the paper names it"),
    prompter=(STR, "as the paper names it"),
    segmenter=(STR, "as the paper names it"),
    prompt_combination=(STR, "the boxes and points that the prompter is asked for"),
    dataset=(STR, "key of the dataset"),
    split=(STR, "train, val or test"),
    metric=(STR, "giou, ciou, p_at_50, rejection_true, rejection_false"),
    value=(REAL, "percent, or a count"),
    edition=(STR, "where it is printed: preprint (arXiv 2512.19302) or journal (ISPRS, 2026)"),
    note=(STR, "what the source says about the number"),
    measured_as=(STR, "the name of our system that corresponds to it"),
)
STEP_TIMES = TABLES.add("step_times", "What a step took when it worked: the last 10,000.", "step_name", **STEP_COLUMNS)
