-- On which classes is a system good, and on which bad? Percent; a sample counts once, however many questions it has.
--   n: samples of the category
--   empty_targets: samples of the category without a target
WITH per_sample AS (
    SELECT
        a.system,
        a.dataset,
        a.split,
        a.protocol,
        coalesce(s.category, '(none)') AS category,
        a.sample_id,
        avg(a.iou) AS iou,
        avg(a.intersection) AS intersection,
        avg(a.union) AS union_area,
        avg(a.hit::DOUBLE) AS hit,
        bool_or(a.gt_empty) AS gt_empty
    FROM sample_scores AS a
    JOIN samples AS s USING (dataset, split, sample_id)
    GROUP BY ALL
)

SELECT
    system,
    dataset,
    split,
    protocol,
    category,
    count(*) AS n,
    count(*) FILTER (gt_empty) AS empty_targets,
    round(100 * avg(iou), 2) AS giou,
    round(100 * sum(intersection) / nullif(sum(union_area), 0), 2) AS ciou,
    round(100 * avg(hit), 2) AS p_at_50
FROM per_sample
GROUP BY ALL
ORDER BY system, dataset, split, protocol DESC, giou DESC, category
