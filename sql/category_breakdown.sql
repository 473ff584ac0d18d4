-- On which classes is a system good, and on which bad? Percent; a sample counts once, however many questions it has.
--   n: samples of the category
--   empty_targets: samples of the category without a target
WITH known AS (
    SELECT dataset, split, sample_id, coalesce(category, '(none)') AS category, hash(sample_id) >> 16 AS mark
    FROM samples
),

expected AS (
    SELECT dataset, split, category, count(*) AS n, sum(mark) AS marks
    FROM known
    GROUP BY ALL
),

answers AS (
    SELECT
        a.system,
        a.dataset,
        a.split,
        a.protocol,
        k.category,
        count(*) AS n,
        sum(k.mark) AS marks,
        count(*) FILTER (a.gt_empty) AS empty_targets,
        avg(a.iou) AS iou,
        sum(a.intersection) AS intersection,
        sum(a.union) AS union_area,
        avg(a.hit::DOUBLE) AS hit
    FROM sample_scores AS a
    JOIN known AS k USING (dataset, split, sample_id)
    GROUP BY ALL
),

-- Most systems answer each sample of a category once. Then the mean of a sample is its answer, and the rows need not be
-- grouped by sample, which takes several times as long as everything else. Each sample is there once if the number of
-- answers and the sum of the hashes of their samples are those of the category.
compared AS (
    SELECT a.*, a.n = e.n AND a.marks = e.marks AS is_once
    FROM answers AS a
    JOIN expected AS e USING (dataset, split, category)
),

per_sample AS (
    SELECT
        r.system,
        r.dataset,
        r.split,
        r.protocol,
        r.category,
        r.sample_id,
        avg(r.iou) AS iou,
        avg(r.intersection) AS intersection,
        avg(r.union_area) AS union_area,
        avg(r.hit) AS hit,
        bool_or(r.gt_empty) AS gt_empty
    FROM (
        SELECT a.* EXCLUDE ("union", hit), a.union AS union_area, a.hit::DOUBLE AS hit, k.category
        FROM sample_scores AS a
        JOIN known AS k USING (dataset, split, sample_id)
    ) AS r
    JOIN (FROM compared WHERE NOT is_once) AS c USING (system, dataset, split, protocol, category)
    GROUP BY ALL
),

categories AS (
    SELECT
        system,
        dataset,
        split,
        protocol,
        category,
        count(*) AS n,
        count(*) FILTER (gt_empty) AS empty_targets,
        avg(iou) AS iou,
        sum(intersection) AS intersection,
        sum(union_area) AS union_area,
        avg(hit) AS hit
    FROM per_sample
    GROUP BY ALL
    UNION ALL BY NAME
    SELECT system, dataset, split, protocol, category, n, empty_targets, iou, intersection, union_area, hit
    FROM compared
    WHERE is_once
)

SELECT
    system,
    dataset,
    split,
    protocol,
    category,
    n,
    empty_targets,
    round(100 * iou, 2) AS giou,
    round(100 * intersection / nullif(union_area, 0), 2) AS ciou,
    round(100 * hit, 2) AS p_at_50
FROM categories
ORDER BY system, dataset, split, protocol DESC, giou DESC, category
