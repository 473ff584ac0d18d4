-- What did each step take? Seconds and memory by step of each session (a demo is one session), the latest session first.
--   session: the process that ran the steps: when it started (UTC), and its number
--   times: how often the step did its work in that session
--   seconds: seconds of all these times together
--   longest: seconds of the longest of them
--   process_mb: most resident memory of the process that ran the steps, megabytes
--   children_mb: most resident memory of its child processes together, such as the worker, megabytes
--   rows_written: rows of all partitions that the step made
SELECT
    session,
    step_name,
    count(*) AS times,
    round(sum(seconds), 1) AS seconds,
    round(max(seconds), 1) AS longest,
    round(max(process_mb)) AS process_mb,
    round(max(children_mb)) AS children_mb,
    sum(rows_written)::BIGINT AS rows_written
FROM step_times
GROUP BY session, step_name
ORDER BY session DESC, min(started_at), step_name
