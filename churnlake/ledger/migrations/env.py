# ruff: noqa: INP001 - Alembic loads this file by its path
"""Alembic's entry: runs the migrations on the connection that `Ledger.open` hands over."""

from alembic import context

from churnlake.ledger.schema import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
