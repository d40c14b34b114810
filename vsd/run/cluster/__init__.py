"""A multirun's jobs as processes of their own: code and config frozen at their submission, watched until they end."""
