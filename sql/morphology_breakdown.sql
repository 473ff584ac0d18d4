-- On which shapes of targets is a system good, and on which bad? Percent; a sample counts once.
--   n: samples of the morphology
--   giou: mean IoU over samples, percent
--   ciou: sum of intersections over sum of unions, percent
--   p_at_50: share of the samples above IoU 0.5, percent
SELECT
    system,
    dataset,
    split,
    protocol,
    morphology,
    count(*) AS n,
    round(100 * avg(iou), 2) AS giou,
    round(100 * sum(intersection) / nullif(sum(union_area), 0), 2) AS ciou,
    round(100 * avg(hit), 2) AS p_at_50
FROM sample_results
GROUP BY ALL
ORDER BY system, dataset, split, protocol DESC, morphology
