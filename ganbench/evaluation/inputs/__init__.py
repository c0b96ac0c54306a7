"""Sources of images that anybody may have: folders, archives, arrays, data sets, generators."""
