-- If a system may keep silent where its own sampled answers disagree, how wrong is what it still says?
-- Risk is 100 less gIoU over the answers that are kept, strict protocol; the answers that agree most are kept first.
--   coverage: share of the answers that are kept, percent
--   kept: how many answers that is
--   agreement_at_least: the lowest agreement among those that are kept, a fraction
--   risk: 100 less the mean IoU of the kept answers, percent
--   risk_of_all: the same of all answers, which is what keeping at random would give
--   risk_at_best: the same if the worst answers were known and left out first
--   completions: K, the sampled answers that agreement is measured over
WITH known AS (
    SELECT
        a.system,
        a.dataset,
        a.split,
        a.completions,
        a.agreement,
        s.iou,
        row_number() OVER (place ORDER BY a.agreement DESC, a.sample_id, a.question_index) AS surest,
        row_number() OVER (place ORDER BY s.iou DESC, a.sample_id, a.question_index) AS best,
        count(*) OVER place AS n
    FROM agreement AS a
    JOIN sample_scores AS s USING (system, dataset, split, sample_id, question_index)
    WHERE s.protocol = 'strict' AND s.status <> 'missing'
    WINDOW place AS (PARTITION BY a.system, a.dataset, a.split)
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
FROM known AS k
CROSS JOIN levels AS l
GROUP BY k.system, k.dataset, k.split, l.coverage
ORDER BY k.system, k.dataset, k.split, l.coverage
