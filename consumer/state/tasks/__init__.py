"""The health of tasks: a task's series are its subtasks, and one after the other reports."""
