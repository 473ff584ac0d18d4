-- If the questions are left out on which the sampled answers of a system disagree, how large is the error of the rest?
-- Risk is 100 minus gIoU of the kept answers, strict protocol. The answers with the highest agreement are kept first.
--   coverage: share of the answers that are kept, percent
--   kept: number of answers that are kept
--   agreement_at_least: the lowest agreement among the kept answers, a fraction
--   risk: 100 minus the mean IoU of the kept answers, percent
--   risk_of_all: 100 minus the mean IoU of all answers, percent; keeping answers at random would give this value
--   risk_at_best: the risk if the worst answers were known and left out first, percent
--   completions: K, the sampled answers per question that agreement is measured over
WITH answers AS (
    SELECT
        a.system,
        a.dataset,
        a.split,
        a.completions,
        a.agreement,
        s.iou,
        row_number() OVER (per_split ORDER BY a.agreement DESC, a.sample_id, a.question_index) AS surest,
        row_number() OVER (per_split ORDER BY s.iou DESC, a.sample_id, a.question_index) AS best,
        count(*) OVER per_split AS n
    FROM agreement AS a
    JOIN sample_scores AS s USING (system, dataset, split, sample_id, question_index)
    WHERE s.protocol = 'strict' AND s.status <> 'missing'
    WINDOW per_split AS (PARTITION BY a.system, a.dataset, a.split)
),

levels AS (
    SELECT unnest([10, 20, 30, 40, 50, 60, 70, 80, 90, 100]) AS coverage
)

SELECT
    k.system,
    k.dataset,
    k.split,
    any_value(k.completions) AS completions,
    l.coverage,
    count(*) FILTER (k.surest <= ceil(k.n * l.coverage / 100.0)) AS kept,
    round(min(k.agreement) FILTER (k.surest <= ceil(k.n * l.coverage / 100.0)), 4) AS agreement_at_least,
    round(100 - 100 * avg(k.iou) FILTER (k.surest <= ceil(k.n * l.coverage / 100.0)), 2) AS risk,
    round(100 - 100 * avg(k.iou), 2) AS risk_of_all,
    round(100 - 100 * avg(k.iou) FILTER (k.best <= ceil(k.n * l.coverage / 100.0)), 2) AS risk_at_best
FROM answers AS k
CROSS JOIN levels AS l
GROUP BY k.system, k.dataset, k.split, l.coverage
ORDER BY k.system, k.dataset, k.split, l.coverage
