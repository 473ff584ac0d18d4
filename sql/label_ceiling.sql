-- How good can a system get that imitates these pseudo-labels? The segmenter's IoU from the labels themselves.
--   n: labelled samples
--   giou: mean IoU of what the segmenter makes of the labels, percent
--   p_at_50: share above IoU 0.5, percent
--   worst_tenth: IoU that the worst tenth stays below, percent
SELECT
    method,
    segmenter,
    dataset,
    split,
    prompt_combination,
    count(*) AS n,
    round(100 * avg(iou), 2) AS giou,
    round(100 * avg((iou > 0.5)::INT), 2) AS p_at_50,
    round(100 * quantile_cont(iou, 0.1), 2) AS worst_tenth
FROM label_quality
GROUP BY ALL
ORDER BY dataset, split, giou DESC, method, segmenter, prompt_combination
