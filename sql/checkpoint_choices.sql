-- Which checkpoint of a run is its best, by which rule, and what were the alternatives? Chosen on val, never on test.
--   system: the checkpoint, by its name as a system
--   val_giou: gIoU on val under the strict protocol, percent; null where the checkpoint was not evaluated on val
--   val_ciou: cIoU on val under the strict protocol, percent
--   place: rank among the run's checkpoints that were evaluated on val
--   chosen: true for exactly one checkpoint per run and dataset
--   all_evaluated: every checkpoint of the run was evaluated on val, so the choice is final
--   rule: how the choice is made
--   scored_on_test: the checkpoint has test scores; only those of the chosen checkpoint should be used
WITH candidates AS (
    SELECT c.run, c.system, c.step, d.dataset
    FROM checkpoints AS c
    -- A run is judged on every dataset on whose val split at least one of its checkpoints was evaluated.
    JOIN (
        SELECT DISTINCT c.run, m.dataset
        FROM benchmark_metrics AS m
        JOIN checkpoints AS c ON c.system = m.system
        WHERE m.split = 'val'
    ) AS d USING (run)
),

judged AS (
    SELECT
        c.*,
        m.giou,
        m.ciou,
        row_number() OVER best AS place,
        EXISTS (
            SELECT 1 FROM benchmark_metrics AS t
            WHERE t.system = c.system AND t.dataset = c.dataset AND t.split = 'test'
        ) AS scored_on_test
    FROM candidates AS c
    LEFT JOIN benchmark_metrics AS m
        ON m.system = c.system AND m.dataset = c.dataset AND m.split = 'val' AND m.protocol = 'strict'
    WINDOW best AS (
        PARTITION BY c.run, c.dataset ORDER BY m.giou DESC NULLS LAST, m.ciou DESC NULLS LAST, c.step, c.system
    )
)

SELECT
    run,
    dataset,
    system,
    step,
    round(giou, 2) AS val_giou,
    round(ciou, 2) AS val_ciou,
    CASE WHEN giou IS NOT NULL THEN place END AS place,
    place = 1 AND giou IS NOT NULL AS chosen,
    bool_and(giou IS NOT NULL) OVER (PARTITION BY run, dataset) AS all_evaluated,
    'highest gIoU on val under the strict protocol; if equal, higher cIoU, then the earlier step' AS rule,
    scored_on_test
FROM judged
ORDER BY run, dataset, place
