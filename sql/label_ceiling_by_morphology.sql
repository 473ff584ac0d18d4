-- Which kind of prompts could reach what, per shape of the targets? The IoU of the masks from the labels themselves.
--   prompt_combination: the prompts that the segmenter got; adaptive: of each object the kind that suits it best
--   morphology: regular, elongated, thin, irregular; (not measured): run t2s ingest again
--   n: targets
--   giou: mean IoU of the masks that the segmenter makes from the labels, percent
--   worst_tenth: the IoU below which the worst tenth of the targets lies, percent
SELECT
    q.method,
    q.segmenter,
    q.dataset,
    q.split,
    coalesce(s.morphology, '(not measured)') AS morphology,
    q.prompt_combination,
    count(*) AS n,
    round(100 * avg(q.iou), 2) AS giou,
    round(100 * quantile_cont(q.iou, 0.1), 2) AS worst_tenth
FROM label_quality AS q
JOIN samples AS s USING (dataset, split, sample_id)
WHERE NOT q.gt_empty
GROUP BY ALL
ORDER BY dataset, split, method, segmenter, morphology, giou DESC, prompt_combination
