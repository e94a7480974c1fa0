"""Every DAG on a running Airflow of its own: triggered as people do, broken, killed, and judged."""
