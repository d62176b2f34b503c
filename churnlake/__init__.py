"""What Churnlake knows about churn, in plain Python: no Spark, no Prefect."""
