"""The page to ask on (`t2s app`): its server, and in ``static/`` the page itself. The worker has the models."""
