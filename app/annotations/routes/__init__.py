"""The pages of people who annotate, and of those who read what was said."""
