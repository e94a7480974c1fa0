"""Pure transforms: DataFrame in, DataFrame out, no I/O."""
