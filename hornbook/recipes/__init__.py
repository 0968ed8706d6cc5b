"""Floor 6: whole runs: recipes that return configurations, the road from text to model, lesson, report."""
