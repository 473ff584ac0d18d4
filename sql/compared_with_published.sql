-- What did we measure for each number that the paper prints? One row a number and protocol; blank where not run.
-- Systems of ours that the paper does not list follow, with the published value blank. Tables 1 to 6 select from this.
--   published: what the paper prints: percent, or a count
--   protocol: how the measured value was counted; blank where not run
--   measured: what we measured; blank where not run
--   low: lower end of the measured 95 % interval
--   high: upper end
--   difference: measured less published
--   n: samples measured; for rejection, answers to empty targets
--   measured_as: the system of ours that was measured
WITH measured AS (
    SELECT system, dataset, split, protocol, n, 'giou' AS metric, giou AS value, giou_low AS low, giou_high AS high
    FROM benchmark_metrics
    UNION ALL
    SELECT system, dataset, split, protocol, n, 'ciou', ciou, ciou_low, ciou_high
    FROM benchmark_metrics
    UNION ALL
    SELECT system, dataset, split, protocol, n, 'p_at_50', p_at_50, p_at_50_low, p_at_50_high
    FROM benchmark_metrics
    UNION ALL
    SELECT
        system, dataset, split, protocol, rejection_true + rejection_false,
        'rejection_true', rejection_true::DOUBLE, NULL, NULL
    FROM benchmark_metrics
    UNION ALL
    SELECT
        system, dataset, split, protocol, rejection_true + rejection_false,
        'rejection_false', rejection_false::DOUBLE, NULL, NULL
    FROM benchmark_metrics
),

unpublished AS (
    SELECT
        CASE
            WHEN m.dataset = 'earthreason' AND m.metric IN ('giou', 'ciou') THEN 1
            WHEN m.dataset = 'earthreason' AND m.metric IN ('rejection_true', 'rejection_false') THEN 2
            WHEN m.dataset IN ('rrsis-d', 'risbench', 'refsegrs') AND m.metric IN ('giou', 'ciou', 'p_at_50') THEN 3
        END AS paper_table,
        m.*
    FROM measured AS m
    ANTI JOIN published_metrics AS p
        ON p.measured_as = m.system AND p.dataset = m.dataset AND p.split = m.split AND p.metric = m.metric
    -- Intermediate checkpoints have a view of their own, checkpoint_trend.
    WHERE NOT contains(m.system, '--')
),

beside AS (
    SELECT
        p.paper_table, p.system, p.prompter, p.segmenter, p.prompt_schema, p.dataset, p.split, p.metric,
        p.value AS published, m.protocol, m.value AS measured, m.low, m.high, m.n, p.measured_as, p.note
    FROM published_metrics AS p
    LEFT JOIN measured AS m
        ON m.system = p.measured_as AND m.dataset = p.dataset AND m.split = p.split AND m.metric = p.metric
    UNION ALL
    SELECT
        paper_table, system, NULL, NULL, NULL, dataset, split, metric,
        NULL, protocol, value, low, high, n, system, 'not in the paper'
    FROM unpublished
    WHERE paper_table IS NOT NULL
)

SELECT
    paper_table,
    system,
    prompter,
    segmenter,
    prompt_schema,
    dataset,
    split,
    metric,
    published,
    protocol,
    round(measured, 2) AS measured,
    round(low, 2) AS low,
    round(high, 2) AS high,
    round(measured - published, 2) AS difference,
    n,
    measured_as,
    note
FROM beside
ORDER BY
    paper_table, dataset, split, list_position(['giou', 'ciou', 'p_at_50', 'rejection_true', 'rejection_false'], metric),
    coalesce(published, measured) DESC, system, prompter, segmenter, prompt_schema, protocol DESC
