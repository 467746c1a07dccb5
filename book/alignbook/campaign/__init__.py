"""The runs behind the tables: grids of experiments, who makes them, and what they say together."""
