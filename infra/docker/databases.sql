-- Run once, by the first start of PostgreSQL on an empty volume. The database `prefect` is made by the image itself.
CREATE DATABASE mlflow;
