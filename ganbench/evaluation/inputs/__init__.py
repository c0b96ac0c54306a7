"""Image sources that can be scored: folders, archives, arrays, data sets and generators."""
