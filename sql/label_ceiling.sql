-- How good can a system get that imitates these pseudo-labels? The segmenter's IoU from the labels themselves.
--   method: whose labels, or search: the best prompts that a small search around them found
--   prompt_combination: what was fed; the method's own name: as the method itself feeds its labels
--   n: samples
--   targets: those with a target
--   giou: mean IoU of what the segmenter makes of the labels, percent, empty targets included
--   giou_targets: the same without empty targets
--   ciou: intersections over unions, percent
--   p_at_50: share above IoU 0.5, percent
--   worst_tenth: IoU that the worst tenth stays below, percent
SELECT
    method,
    segmenter,
    dataset,
    split,
    prompt_combination,
    count(*) AS n,
    count(*) FILTER (NOT gt_empty) AS targets,
    round(100 * avg(iou), 2) AS giou,
    round(100 * avg(iou) FILTER (NOT gt_empty), 2) AS giou_targets,
    round(100 * sum("intersection") / nullif(sum("union"), 0), 2) AS ciou,
    round(100 * avg((iou > 0.5)::INT), 2) AS p_at_50,
    round(100 * quantile_cont(iou, 0.1), 2) AS worst_tenth
FROM label_quality
GROUP BY ALL
ORDER BY dataset, split, giou DESC, method, segmenter, prompt_combination
