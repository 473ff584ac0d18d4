-- Does a run get better from checkpoint to checkpoint? Percent, with 95 % intervals, by optimizer step.
--   system: the checkpoint that was evaluated, by its name as a system
--   giou_change: percentage points since the previous evaluated checkpoint of the run
SELECT
    c.run,
    c.step,
    m.system,
    m.dataset,
    m.split,
    m.protocol,
    m.n,
    round(m.giou, 2) AS giou,
    round(m.giou_low, 2) AS giou_low,
    round(m.giou_high, 2) AS giou_high,
    round(m.ciou, 2) AS ciou,
    round(m.p_at_50, 2) AS p_at_50,
    round(m.giou - lag(m.giou) OVER trend, 2) AS giou_change,
    m.rejection_true,
    m.rejection_false,
    m.format_errors
FROM benchmark_metrics AS m
JOIN checkpoints AS c ON c.system = m.system
WINDOW trend AS (PARTITION BY c.run, m.dataset, m.split, m.protocol ORDER BY c.step)
ORDER BY c.run, m.dataset, m.split, m.protocol DESC, c.step
