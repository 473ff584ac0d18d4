-- Which scenes have no complete answer to a standing question, and why?
--   reason: why the scene cannot be asked, or the row of questions.csv cannot be used; or waiting, unreadable, incomplete, failed
--   detail: what is wrong
--   system: as questions.csv names it; empty: the best system that is here
--   row: the row of questions.csv
WITH answers AS (
    SELECT
        o.scene,
        o.question_id,
        o.system,
        -- Null: the answer is complete, with or without objects.
        any_value(o.status) FILTER (WHERE o.status IN ('unreadable', 'incomplete', 'failed')) AS fault,
        any_value(o.detail) FILTER (WHERE o.status IN ('unreadable', 'incomplete', 'failed')) AS detail
    FROM scene_objects AS o
    JOIN scenes AS s ON s.scene = o.scene AND s.sha256 IS NOT DISTINCT FROM o.scene_sha256
    GROUP BY o.scene, o.question_id, o.system
),

asked AS (
    SELECT
        s.scene,
        s.path,
        q.row,
        q.question,
        q.system,
        s.reason AS scene_reason,
        s.detail AS scene_detail,
        q.reason AS question_reason,
        q.detail AS question_detail,
        count(a.scene) AS answers,
        -- If several systems answered a question of the best system, one complete answer is enough.
        count(a.scene) FILTER (WHERE a.fault IS NULL) AS complete,
        any_value(a.fault) AS fault,
        any_value(a.detail) AS answer_detail
    FROM scenes AS s
    LEFT JOIN standing_questions AS q ON true
    LEFT JOIN answers AS a
        ON a.scene = s.scene AND a.question_id = q.question_id AND (q.system = '' OR q.system = a.system)
    GROUP BY ALL
)

SELECT
    scene,
    row,
    question,
    system,
    coalesce(question_reason, scene_reason, fault, 'waiting') AS reason,
    CASE
        WHEN question_reason IS NOT NULL THEN question_detail
        WHEN scene_reason IS NOT NULL THEN scene_detail
        ELSE answer_detail
    END AS detail,
    path
FROM asked
WHERE complete = 0 AND (row IS NOT NULL OR scene_reason IS NOT NULL)
ORDER BY scene, row
