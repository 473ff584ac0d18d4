-- Is a run learning? Reward, its spread, KL and length by step, with the reward smoothed over the last ten steps.
--   reward_smoothed: mean reward over the last ten steps
--   seconds_so_far: seconds since the first step
SELECT
    run,
    step,
    reward,
    avg(reward) OVER last_ten AS reward_smoothed,
    reward_std,
    reward_parts,
    zero_variance_share,
    valid_share,
    abstained,
    kl,
    loss,
    grad_norm,
    learning_rate,
    completion_tokens,
    clipped_share,
    seconds,
    sum(seconds) OVER so_far AS seconds_so_far,
    peak_mb
FROM training_log
WINDOW
    last_ten AS (PARTITION BY run ORDER BY step ROWS BETWEEN 9 PRECEDING AND CURRENT ROW),
    so_far AS (PARTITION BY run ORDER BY step)
ORDER BY run, step
