"""The steps of the pipeline, one method each: assets, the job `demo` and the command line all call these.

A step decides by fingerprint whether there is anything to do. The fingerprint covers the step's code, the
fingerprints of what it reads, and its settings, and is kept with the result, so finished work stands until one
of them changes. What loads a model runs in the worker; everything else is computed here. No torch, no dagster.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from t2s_pipeline.core.errors import NotMaterializedError
from t2s_pipeline.core.fingerprints import fingerprint
from t2s_pipeline.core.locks import only_one
from t2s_pipeline.core.progress import NoProgress, Progress
from t2s_pipeline.core.settings import Settings
from t2s_pipeline.datasets import ingest
from t2s_pipeline.datasets.catalog import find_dataset
from t2s_pipeline.datasets.question_choice import published_rule
from t2s_pipeline.datasets.reading import split_fingerprint
from t2s_pipeline.datasets.synthetic.layout import write_scenes
from t2s_pipeline.evaluation.metrics import benchmark_metrics
from t2s_pipeline.evaluation.pairs import all_differences, pairs
from t2s_pipeline.evaluation.published import PUBLISHED_CSV, published_metrics
from t2s_pipeline.evaluation.score import PROTOCOLS, score_predictions
from t2s_pipeline.lake import schema
from t2s_pipeline.lake.store import Partition, fingerprint_of, list_partitions, read_partition, write_partition
from t2s_pipeline.lake.summaries import Number, numbers
from t2s_pipeline.lake.table import Table
from t2s_pipeline.methods.experiments import BASELINE, experiment
from t2s_pipeline.methods.recipe import RECIPES
from t2s_pipeline.methods.sampling import Sampling
from t2s_pipeline.pseudo_labels import METHODS, SEARCH
from t2s_pipeline.steps import sources
from t2s_pipeline.systems.resolve import system
from t2s_pipeline.training.checkpoints import latest
from t2s_pipeline.training.run_folder import RunFolder
from t2s_pipeline.worker.launcher import Launch


@dataclass(frozen=True)
class StepReport:
    """What a step left behind: a partition, how many rows, and the numbers that describe it."""

    table: str
    partition: Partition
    rows: int
    skipped: bool
    metadata: dict[str, Number] = field(default_factory=dict)

    def __str__(self) -> str:
        where = " ".join(self.partition.values())
        told = ", ".join(f"{key} {_short(value)}" for key, value in self.metadata.items())
        already = " (already done)" if self.skipped else ""
        return f"{self.table:<18} {where}{': ' if where else ''}{told}{already}"


@dataclass(frozen=True)
class Steps:
    """The steps, bound to a T2S_HOME.

    ``launch`` runs the worker, ``say`` takes a sentence for people, ``fresh`` redoes finished work.
    """

    settings: Settings
    launch: Launch
    say: Callable[[str], None] = print
    fresh: bool = False
    progress: Progress = field(default_factory=NoProgress)
    """Where a long step in this process says how far it is; the worker has its own."""

    def scenes(self, train: int = 1200, val: int = 200, test: int = 200) -> StepReport:
        """Draw the embedded dataset, in EarthReason's layout."""
        counts = {"train": train, "val": val, "test": test}
        mark = fingerprint(code=sources.code("scenes"), counts=counts)
        done = sources.scenes_mark(self.settings) == mark
        skipped = done and not self.fresh
        if not skipped:
            write_scenes(self.settings.scenes, **counts, progress=False, fresh=True)
            sources.mark_scenes(self.settings, mark)
        return self._told(StepReport("scenes", {}, sum(counts.values()), skipped, counts))

    def tables(self, dataset: str, split: str) -> list[StepReport]:
        """Read a dataset's split into images, samples, selections and rejects."""
        found = find_dataset(self.settings, dataset)
        partition = {"dataset": dataset, "split": split}
        files = split_fingerprint(dataset, found.root, split, self.progress, found.reader)
        mark = fingerprint(code=sources.code("reading", *ingest.TABLES), files=files, dataset=dataset)
        skipped = all(self._stands(table, partition, mark) for table in ingest.TABLES)
        if not skipped:
            lake = self.settings.lake
            ingest.ingest_split(lake, dataset, found.root, split, mark, self.progress, found.reader)
        return [self._report(table, partition, skipped) for table in ingest.TABLES]

    def label(self, method: str, dataset: str, split: str, overrides: Sequence[str] = ()) -> StepReport:
        """Make a rival method's pseudo-labels of a split."""
        # Here, not above: SciPy takes half a second to import, and the code location must load in less than three.
        from t2s_pipeline.pseudo_labels.labellings import labelling, parameters
        from t2s_pipeline.pseudo_labels.table import label_samples

        chosen = labelling(method, overrides)
        place = {"dataset": dataset, "split": split}
        partition = {"method": method, **place}
        mark = fingerprint(
            code=sources.code("labelling", schema.PSEUDO_LABELS),
            parameters=parameters(chosen),
            samples=self._mark(schema.SAMPLES, place),
        )
        skipped = self._stands(schema.PSEUDO_LABELS, partition, mark)
        samples = read_partition(self.settings.lake, schema.SAMPLES, place, ["sample_id", "mask", "is_empty"])
        if not skipped:
            rows = label_samples(samples, chosen, processes=os.cpu_count() or 1)
            write_partition(self.settings.lake, schema.PSEUDO_LABELS, partition, rows, mark)
        ids = read_partition(self.settings.lake, schema.PSEUDO_LABELS, partition, ["sample_id"])["sample_id"]
        empty, labelled = pc.sum(samples["is_empty"]).as_py() or 0, pc.count_distinct(ids).as_py()
        counts = {
            "samples": samples.num_rows,
            "instances": len(ids),
            "empty_targets": empty,
            "targets_without_label": samples.num_rows - empty - labelled,
        }
        return self._told(StepReport(schema.PSEUDO_LABELS.name, partition, len(ids), skipped, counts))

    def judge_labels(self, segmenter: str, dataset: str, split: str) -> list[StepReport]:
        """Let a segmenter draw from the labels of a split, and from the best prompts near them."""
        place = {"dataset": dataset, "split": split}
        mark = fingerprint(
            code=sources.code("judging", schema.LABEL_QUALITY),
            segmenter=sources.weights_mark(segmenter),
            inference=[RECIPES[method].inference for method in METHODS],
            samples=self._mark(schema.SAMPLES, place),
            labels=[self._mark(schema.PSEUDO_LABELS, {"method": method, **place}) for method in METHODS],
        )
        partitions = [{"method": method, "segmenter": segmenter, **place} for method in (*METHODS, SEARCH)]
        skipped = all(self._stands(schema.LABEL_QUALITY, partition, mark) for partition in partitions)
        if not skipped:
            where = ("--dataset", dataset, "--split", split)
            self._worker("judge-labels", mark, "--segmenter", segmenter, *where)
        return [self._report(schema.LABEL_QUALITY, partition, skipped) for partition in partitions]

    def train(self, name: str, overrides: Sequence[str] = (), rendezvous: str = "") -> list[StepReport]:
        """Train an experiment's prompter with GRPO; leaves its log and its checkpoints.

        ``rendezvous`` is where its nodes meet, if it has several; this is the first.
        """
        plan = experiment(name, overrides)
        partition = {"run": plan.run}
        tables = (schema.TRAINING_LOG, schema.CHECKPOINTS)
        training_split = {"dataset": plan.dataset, "split": "train"}
        labels = {}
        if plan.recipe.labels:
            labels["labels"] = self._mark(schema.PSEUDO_LABELS, {"method": plan.recipe.labels, **training_split})
        mark = fingerprint(
            code=sources.code("training", *tables),
            experiment=plan.fingerprint,
            base=sources.weights_mark(plan.prompter),
            segmenter=sources.weights_mark(plan.segmenter),
            samples=self._mark(schema.SAMPLES, training_split),
            **labels,
        )
        kept = latest(self.settings.runs / plan.run)
        skipped = kept is not None and all(self._stands(table, partition, mark) for table in tables)
        if not skipped:
            settings = [word for override in overrides for word in ("--set", override)]
            # Without it, the worker would find the run finished under this very fingerprint.
            anew = ["--fresh"] if self.fresh else []
            meeting = ["--rendezvous", rendezvous] if rendezvous else []
            self._worker("train", mark, "--experiment", name, *settings, *anew, *meeting)
        elif RunFolder.of(plan, self.settings.home, mark).restate():
            self.say(f"{plan.run} answers by other settings now; what it learned stands.")
        return [self._report(table, partition, skipped) for table in tables]

    def complete(self, name: str, dataset: str, split: str) -> StepReport:
        """Let a system answer every question of a split."""
        answering = system(name, self.settings)
        partition = {"system": name, "dataset": dataset, "split": split}
        mark = fingerprint(
            code=sources.code("generating", schema.COMPLETIONS),
            prompter=sources.weights_mark(answering.prompter),
            prompts=[answering.combination, answering.recipe.coordinates],
            generation=answering.generation,
            samples=self._mark(schema.SAMPLES, {"dataset": dataset, "split": split}),
        )
        return self._worker_step("generate", schema.COMPLETIONS, partition, name, mark)

    def segment(self, name: str, dataset: str, split: str) -> StepReport:
        """Parse a system's answers and let its segmenter draw them."""
        answering = system(name, self.settings)
        answers = {"system": name, "dataset": dataset, "split": split}
        partition = {**answers, "segmenter": answering.drawn_by}
        mark = fingerprint(
            code=sources.code("segmenting", schema.PREDICTIONS),
            segmenter=sources.weights_mark(answering.segmenter),
            inference=answering.recipe.inference,
            completions=self._mark(schema.COMPLETIONS, answers),
        )
        return self._worker_step("segment", schema.PREDICTIONS, partition, name, mark)

    def agree(self, name: str, dataset: str, split: str, sampling: Sampling) -> StepReport:
        """Let a system answer each question several times, and see how far its answers agree."""
        answering = system(name, self.settings)
        partition = {"system": name, "dataset": dataset, "split": split}
        mark = fingerprint(
            code=sources.code("sampling", schema.AGREEMENT),
            sampling=sampling,
            prompter=sources.weights_mark(answering.prompter),
            segmenter=sources.weights_mark(answering.segmenter),
            prompts=answering.combination,
            inference=answering.recipe.inference,
            samples=self._mark(schema.SAMPLES, {"dataset": dataset, "split": split}),
        )
        options = json.dumps(asdict(sampling), sort_keys=True)
        return self._worker_step("agree", schema.AGREEMENT, partition, name, mark, "--sampling", options)

    def score(self, name: str, dataset: str, split: str, drawn_by: str | None = None) -> list[StepReport]:
        """Compare a system's masks with the ground truth, once a protocol; ``drawn_by`` names a foreign segmenter."""
        lake = self.settings.lake
        place = {"dataset": dataset, "split": split}
        predicted = {**place, "system": name, "segmenter": drawn_by or system(name, self.settings).drawn_by}
        reports = []
        for protocol in PROTOCOLS:
            partition = {**place, "system": name, "protocol": protocol}
            mark = fingerprint(
                code=sources.code("scoring", schema.SAMPLE_SCORES),
                predictions=self._mark(schema.PREDICTIONS, predicted),
                samples=self._mark(schema.SAMPLES, place),
            )
            skipped = self._stands(schema.SAMPLE_SCORES, partition, mark)
            if not skipped:
                samples = read_partition(lake, schema.SAMPLES, place)
                predictions = read_partition(lake, schema.PREDICTIONS, predicted)
                scores = score_predictions(samples, predictions, protocol, published_rule(dataset))
                write_partition(lake, schema.SAMPLE_SCORES, partition, scores, mark)
            reports.append(self._report(schema.SAMPLE_SCORES, partition, skipped))
        return reports

    def summarize(self) -> list[StepReport]:
        """Every scored system's metrics with intervals, and its difference from every other on the same images."""
        lake = self.settings.lake
        scored = list_partitions(lake, schema.SAMPLE_SCORES)
        marks = [self._mark(schema.SAMPLE_SCORES, partition) for partition in scored]
        tables = (schema.BENCHMARK_METRICS, schema.PAIRED_DIFFERENCES)
        mark = fingerprint(code=sources.code("summarizing", *tables), scored=scored, marks=marks)
        skipped = all(self._stands(table, {}, mark) for table in tables)
        if not skipped:
            rows = [schema.BENCHMARK_METRICS.schema.empty_table()]
            differences = [schema.PAIRED_DIFFERENCES.schema.empty_table()]
            for place, systems in _by_place(scored).items():
                scores = {}
                for name in systems:
                    partition = {"system": name, **dict(place)}
                    scores[name] = read_partition(lake, schema.SAMPLE_SCORES, partition)
                    rows.append(benchmark_metrics(scores[name], **partition))
                differences.append(all_differences(scores, pairs(systems, BASELINE), **dict(place)))
            write_partition(lake, schema.BENCHMARK_METRICS, {}, pa.concat_tables(rows), mark)
            write_partition(lake, schema.PAIRED_DIFFERENCES, {}, pa.concat_tables(differences), mark)
        return [self._report(table, {}, skipped) for table in tables]

    def publish(self) -> StepReport:
        """The paper's own numbers, for standing beside the measured ones."""
        mark = fingerprint(code=sources.code("publishing", schema.PUBLISHED_METRICS), csv=PUBLISHED_CSV.read_text())
        skipped = self._stands(schema.PUBLISHED_METRICS, {}, mark)
        if not skipped:
            write_partition(self.settings.lake, schema.PUBLISHED_METRICS, {}, published_metrics(), mark)
        return self._report(schema.PUBLISHED_METRICS, {}, skipped)

    def report(self, dataset: str | None = None) -> StepReport:
        """The results page, headed by ``dataset``. Always made anew: it takes seconds, and people delete pages."""
        # Here, not above: plotting takes a second to import, and the code location must load in less than three.
        from t2s_pipeline.reporting.page import build_report

        page = build_report(self.settings, dataset)
        return self._told(StepReport("report", {}, 1, False, {"page": str(page)}))

    def _stands(self, table: Table, partition: Partition, mark: str) -> bool:
        return not self.fresh and fingerprint_of(self.settings.lake, table, partition) == mark

    def _mark(self, table: Table, partition: Partition) -> str:
        """The fingerprint of something that this step reads."""
        mark = fingerprint_of(self.settings.lake, table, partition)
        if mark is None:
            where = ", ".join(f"{column} {value}" for column, value in partition.items())
            raise NotMaterializedError(f"{table.name} of {where} is needed first: materialize it, or run `t2s demo`.")
        return mark

    def _worker_step(
        self, verb: str, table: Table, partition: Partition, name: str, mark: str, *options: str
    ) -> StepReport:
        skipped = self._stands(table, partition, mark)
        if not skipped:
            place = ("--dataset", partition["dataset"], "--split", partition["split"])
            with only_one(self.settings.home, f"{table.name} {sorted(partition.items())}"):
                # Whom we waited for may have done it: the daemon and `t2s demo` want the same at times.
                skipped = self._stands(table, partition, mark)
                if not skipped:
                    self._worker(verb, mark, "--system", name, *place, *options)
        return self._report(table, partition, skipped)

    def _worker(self, verb: str, mark: str, *arguments: str) -> None:
        self.launch([verb, *arguments, "--home", str(self.settings.home), "--fingerprint", mark])

    def _report(self, table: Table, partition: Partition, skipped: bool) -> StepReport:
        rows, described = numbers(self.settings.lake, table, partition)
        return self._told(StepReport(table.name, partition, rows, skipped, described))

    def _told(self, report: StepReport) -> StepReport:
        self.say(str(report))
        return report


def _by_place(scored: Sequence[Partition]) -> dict[tuple[tuple[str, str], ...], list[str]]:
    """Dataset, split and protocol → the systems that were scored there."""
    places: dict[tuple[tuple[str, str], ...], list[str]] = {}
    for partition in scored:
        rest = {column: value for column, value in partition.items() if column != "system"}
        places.setdefault(tuple(rest.items()), []).append(partition["system"])
    return places


def _short(value: Number) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
