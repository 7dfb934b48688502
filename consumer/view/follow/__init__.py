"""How the view keeps up with the topics."""
