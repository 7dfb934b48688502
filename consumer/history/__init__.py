"""The past rates of one task, read from the rates topic when they are asked for."""
