"""Behind the topic: workers fold events into state; the view, replay and export read the same records."""
