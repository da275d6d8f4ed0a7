"""Alembic's environment: the address and the tables come from the test."""
from alembic import context
from sqlalchemy import create_engine

config = context.config
only = config.attributes['only']
engine = create_engine(config.get_main_option('sqlalchemy.url'))
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=config.attributes['metadata'],
        version_table=config.attributes['version_table'],
        include_name=lambda name, kind, parents: (
            name in only if kind == 'table' else True))
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
