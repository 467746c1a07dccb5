"""The networks: classifier, maskers, their weights, and how both are run and compiled."""
