"""Tasks, the fleet, signals and reasons in the form that the API shows."""
