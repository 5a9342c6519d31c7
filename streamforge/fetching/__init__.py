"""Videos that are fetched from where somebody says they are: from the web, or out of a bucket."""
