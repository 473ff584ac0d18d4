"""The results for people: the leaderboard, the results page, its charts, pictures and sentences."""
