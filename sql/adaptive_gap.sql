-- How much could a prompter gain that chooses the kind of its prompts per object? Two yardsticks, per shape of the targets.
--   morphology: regular, elongated, thin, irregular; (all): every target; (not measured): run t2s ingest again
--   n: targets
--   best_fixed: the one combination with the highest gIoU over all targets
--   giou_fixed: what that combination reaches on these targets, percent
--   giou_best_kind: what the best kind per object reaches, known from the truth, percent
--   gap: the difference, percentage points
WITH targets AS (
    SELECT
        q.*,
        unnest(['(all)', coalesce(s.morphology, '(not measured)')]) AS morphology
    FROM label_quality AS q
    JOIN samples AS s USING (dataset, split, sample_id)
    WHERE NOT q.gt_empty AND q.method <> 'search' AND q.prompt_combination <> q.method
),

kinds AS (
    SELECT
        method,
        segmenter,
        dataset,
        split,
        morphology,
        prompt_combination,
        count(*) AS n,
        100 * avg(iou) AS giou
    FROM targets
    GROUP BY ALL
),

fixed AS (
    SELECT
        method,
        segmenter,
        dataset,
        split,
        arg_max(prompt_combination, giou) AS best_fixed
    FROM kinds
    WHERE morphology = '(all)' AND prompt_combination <> 'adaptive'
    GROUP BY ALL
)

SELECT
    a.method,
    a.segmenter,
    a.dataset,
    a.split,
    a.morphology,
    a.n,
    f.best_fixed,
    round(k.giou, 2) AS giou_fixed,
    round(a.giou, 2) AS giou_best_kind,
    round(a.giou - k.giou, 2) AS gap
FROM kinds AS a
JOIN fixed AS f USING (method, segmenter, dataset, split)
JOIN kinds AS k
    ON
        k.method = a.method AND k.segmenter = a.segmenter AND k.dataset = a.dataset AND k.split = a.split
        AND k.morphology = a.morphology AND k.prompt_combination = f.best_fixed
WHERE a.prompt_combination = 'adaptive'
ORDER BY a.dataset, a.split, a.method, a.segmenter, a.morphology
