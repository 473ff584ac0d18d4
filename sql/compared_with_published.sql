-- What did we measure for each number that the paper prints? One row per number and protocol; null where not run.
-- A measured number stands beside a published one only if its system has the settings of that row; the seed is free.
-- Every other system has rows of its own, with the published value null; the note says how it differs. Tables 1 to 6
-- select from this.
--   system: the system as the paper names it; the name of our system in a row of its own
--   prompter: the prompter as the paper names it; in a row of its own, the one that was used
--   segmenter: the segmenter as the paper names it; in a row of its own, the one that was used
--   prompt_combination: the boxes and points that the prompter is asked for
--   metric: giou, ciou, p_at_50, rejection_true or rejection_false
--   published: the number that the paper prints: percent, or a count
--   edition: where that number is printed: preprint or journal; both, where the journal prints another one
--   protocol: the protocol of the measured value (docs/protocols.md); null where not run
--   measured: the number that we measured; null where not run
--   low: lower end of the 95 % interval of the measured number
--   high: upper end of the 95 % interval of the measured number
--   difference: measured minus published
--   n: samples that were measured; for rejection, answers to empty targets
--   measured_as: our system that corresponds to it: a run, a base, or a system made outside this pipeline
--   note: what the source says about the number; in a row of its own, how the system differs from the published row
--   measured_system: the system that was measured: the checkpoint that val chose (checkpoint_choices), or released weights
WITH chosen AS (
    -- The checkpoint that represents its run: the one that val chose, on the dataset that the run was trained on.
    SELECT c.run, c.system
    FROM checkpoint_choices AS c
    JOIN checkpoints AS k USING (run, system)
    WHERE c.chosen
    QUALIFY row_number() OVER (
        PARTITION BY c.run
        ORDER BY coalesce(json_extract_string(k.settings, '$.dataset') = c.dataset, false) DESC, c.dataset
    ) = 1
),

metrics AS (
    -- The name of the run, not of its checkpoint. A base or an external system keeps its name.
    -- measured_as: the name in published_metrics. It is that of the run without its seed. The weights that the authors
    -- published are the same row of the paper.
    SELECT
        coalesce(c.run, m.system) AS system,
        m.system AS measured_system,
        regexp_replace(coalesce(c.run, m.system), '^released-|-seed[0-9]+$', '', 'g') AS measured_as,
        m.* EXCLUDE (system)
    FROM benchmark_metrics AS m
    LEFT JOIN chosen AS c ON c.system = m.system
    -- The other checkpoints of a run are in the view checkpoint_trend.
    WHERE c.run IS NOT NULL
        OR (NOT contains(m.system, '--') AND m.system NOT IN (SELECT run FROM chosen))
),

measured AS (
    SELECT * EXCLUDE (giou, giou_low, giou_high), 'giou' AS metric, giou AS value, giou_low AS low, giou_high AS high
    FROM metrics
    UNION ALL BY NAME
    SELECT * EXCLUDE (ciou, ciou_low, ciou_high), 'ciou' AS metric, ciou AS value, ciou_low AS low, ciou_high AS high
    FROM metrics
    UNION ALL BY NAME
    SELECT
        * EXCLUDE (p_at_50, p_at_50_low, p_at_50_high),
        'p_at_50' AS metric, p_at_50 AS value, p_at_50_low AS low, p_at_50_high AS high
    FROM metrics
    UNION ALL BY NAME
    SELECT
        * EXCLUDE (rejection_true) REPLACE (rejection_true + rejection_false AS n),
        'rejection_true' AS metric, rejection_true::DOUBLE AS value
    FROM metrics
    UNION ALL BY NAME
    SELECT
        * EXCLUDE (rejection_false) REPLACE (rejection_true + rejection_false AS n),
        'rejection_false' AS metric, rejection_false::DOUBLE AS value
    FROM metrics
),

own_rows AS (
    -- What stands beside no published number: another system, other settings, or a split that the paper leaves out.
    SELECT m.*
    FROM measured AS m
    ANTI JOIN published_metrics AS p
        ON m.differs = '' AND p.measured_as = m.measured_as
        AND p.dataset = m.dataset AND p.split = m.split AND p.metric = m.metric
),

placed AS (
    -- In every table with the published row of its name; without such a row, in the table of its dataset and metric.
    -- DISTINCT, because a row can be printed in two editions.
    SELECT DISTINCT
        coalesce(
            p.paper_table,
            CASE
                WHEN m.dataset = 'earthreason' AND m.metric IN ('giou', 'ciou') THEN 1
                WHEN m.dataset = 'earthreason' AND m.metric IN ('rejection_true', 'rejection_false') THEN 2
                WHEN m.dataset IN ('rrsis-d', 'risbench', 'refsegrs') AND m.metric IN ('giou', 'ciou', 'p_at_50') THEN 3
            END
        ) AS paper_table,
        CASE
            WHEN m.differs IS NULL THEN 'not in the paper'
            WHEN m.differs = '' THEN 'the paper has no number of this split'
            ELSE 'not the published ' || m.measured_as || ': ' || m.differs
        END AS note,
        m.* EXCLUDE (measured_as)
    FROM own_rows AS m
    LEFT JOIN published_metrics AS p
        ON p.measured_as = m.measured_as AND p.dataset = m.dataset AND p.split = m.split AND p.metric = m.metric
),

beside AS (
    SELECT
        p.paper_table, p.system, p.prompter, p.segmenter, p.prompt_combination, p.dataset, p.split, p.metric,
        p.value AS published, p.edition, m.protocol, m.value AS measured, m.low, m.high, m.n, p.measured_as,
        m.measured_system, p.note
    FROM published_metrics AS p
    LEFT JOIN measured AS m
        ON m.differs = '' AND m.measured_as = p.measured_as
        AND m.dataset = p.dataset AND m.split = p.split AND m.metric = p.metric
    UNION ALL
    SELECT
        m.paper_table, m.system, a.prompter, a.segmenter, a.prompt_combination, m.dataset, m.split, m.metric,
        NULL, NULL, m.protocol, m.value, m.low, m.high, m.n, m.system, m.measured_system, m.note
    FROM placed AS m
    LEFT JOIN answer_settings AS a
        ON a.system = m.measured_system AND a.dataset = m.dataset AND a.split = m.split
    WHERE m.paper_table IS NOT NULL
)

SELECT
    paper_table,
    system,
    prompter,
    segmenter,
    prompt_combination,
    dataset,
    split,
    metric,
    published,
    edition,
    protocol,
    round(measured, 2) AS measured,
    round(low, 2) AS low,
    round(high, 2) AS high,
    round(measured - published, 2) AS difference,
    n,
    measured_as,
    measured_system,
    note
FROM beside
ORDER BY
    paper_table, dataset, split, list_position(['giou', 'ciou', 'p_at_50', 'rejection_true', 'rejection_false'], metric),
    coalesce(published, measured) DESC, system, prompter, segmenter, prompt_combination, edition, protocol DESC
