-- How good can a system get that imitates these pseudo-labels? The IoU of the masks from the labels themselves.
--   method: the method that made the labels; search: the best prompts that a small search around the labels found
--   prompt_combination: the prompts that the segmenter got; the name of the method: as the method feeds its labels
--   n: samples
--   targets: samples with a target
--   giou: mean IoU of the masks that the segmenter makes from the labels, percent, empty targets included
--   giou_targets: mean IoU without empty targets, percent
--   ciou: sum of intersections over sum of unions, percent
--   p_at_50: share of the samples above IoU 0.5, percent
--   worst_tenth: the IoU below which the worst tenth of the samples lies, percent
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
