"""Power BI: a project of files (PBIP) that is generated from gold's contract."""
