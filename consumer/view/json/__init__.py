"""Tasks, signals and reasons in the form that the API shows."""
