"""Commands that run one process of the pipeline, or all of them."""
