"""Claims of papers, as data, and their answers from the rows of a suite."""
