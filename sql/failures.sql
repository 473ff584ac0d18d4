-- Which answers went wrong, how, and why? Answers at or below IoU 0.5 under the strict protocol, worst first.
--   reason: no answer, failure of ours, format error, false alarm, missed target, wrong place, over- or under-segmentation
--   recall: share of the target that the predicted mask covers
--   precision: share of the predicted mask that is target
--   target_area: pixels of the ground truth
--   predicted_area: pixels of the predicted mask
--   question: the question as it was asked
--   answer: the text that the system gave, if it gave one
--   detail: what was wrong with the answer
WITH wrong AS (
    SELECT
        a.*,
        s.questions,
        s.mask_area AS target_area,
        -- Under strict, the union is the union of the two masks, so the predicted area follows from it.
        a.union - s.mask_area + a.intersection AS predicted_area
    FROM sample_scores AS a
    JOIN samples AS s USING (dataset, split, sample_id)
    WHERE a.protocol = 'strict' AND a.iou <= 0.5
),

measured AS (
    SELECT
        *,
        CASE WHEN target_area > 0 THEN intersection / target_area END AS recall,
        CASE WHEN predicted_area > 0 THEN intersection / predicted_area END AS precision
    FROM wrong
),

-- The answers of a system can have been segmented by several segmenters; parsing does not depend on which.
parsed AS (
    SELECT system, dataset, split, sample_id, question_index, any_value(detail) AS detail
    FROM predictions
    GROUP BY ALL
)

SELECT
    m.system,
    m.dataset,
    m.split,
    CASE
        WHEN m.status = 'missing' THEN 'no answer'
        WHEN m.status = 'error' THEN 'failure of ours'
        WHEN m.status = 'format_error' THEN 'format error'
        WHEN m.gt_empty THEN 'false alarm'
        WHEN m.pred_empty THEN 'missed target'
        WHEN m.recall < 0.5 AND m.precision < 0.5 THEN 'wrong place'
        WHEN m.precision < m.recall THEN 'over-segmentation'
        ELSE 'under-segmentation'
    END AS reason,
    round(m.iou, 4) AS iou,
    round(m.recall, 4) AS recall,
    round(m.precision, 4) AS precision,
    m.target_area,
    m.predicted_area,
    m.sample_id,
    m.question_index,
    m.questions[m.question_index + 1] AS question,
    p.detail,
    c.text AS answer
FROM measured AS m
LEFT JOIN parsed AS p
    ON p.system = m.system AND p.dataset = m.dataset AND p.split = m.split
    AND p.sample_id = m.sample_id AND p.question_index = m.question_index
LEFT JOIN completions AS c
    ON c.system = m.system AND c.dataset = m.dataset AND c.split = m.split
    AND c.sample_id = m.sample_id AND c.question_index = m.question_index
ORDER BY m.iou, m.union DESC, m.system, m.dataset, m.split, m.sample_id, m.question_index
