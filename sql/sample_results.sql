-- How well did a system do on each sample? Means over the questions of the sample.
--   morphology: regular, elongated, thin, irregular; (empty): no target; (not measured): run t2s ingest again
--   category: class in the dataset; (none) without classes
--   iou: mean IoU over the questions of the sample, a fraction
--   intersection: mean pixels of the intersection
--   union_area: mean pixels of the union, as the protocol counts it for cIoU
--   hit: share of the questions whose answer counts as correct for P@0.5
SELECT
    a.system,
    a.dataset,
    a.split,
    a.protocol,
    coalesce(s.category, '(none)') AS category,
    CASE WHEN s.is_empty THEN '(empty)' ELSE coalesce(s.morphology, '(not measured)') END AS morphology,
    a.sample_id,
    avg(a.iou) AS iou,
    avg(a.intersection) AS intersection,
    avg(a.union) AS union_area,
    avg(a.hit::DOUBLE) AS hit,
    bool_or(a.gt_empty) AS gt_empty
FROM sample_scores AS a
JOIN samples AS s USING (dataset, split, sample_id)
GROUP BY ALL
