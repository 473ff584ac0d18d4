-- On which classes is a system good, and on which bad? Percent; a sample counts once, however many questions it has.
--   n: samples of the category
--   empty_targets: samples of the category without a target
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
FROM sample_results
GROUP BY ALL
ORDER BY system, dataset, split, protocol DESC, giou DESC, category
