"""Independent checker: counts every stage from its own storage and trusts none of them."""
