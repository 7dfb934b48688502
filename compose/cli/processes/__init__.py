"""Commands that run a process of the pipeline, or all of them."""
