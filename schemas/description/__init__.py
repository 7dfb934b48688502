"""The contract described for programs: an AsyncAPI document."""
