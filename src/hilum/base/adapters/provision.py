"""PostgreSQL made ready: numbered migrations forward only, and what SQLite has built in.

The tables are those of the stores' own schema scripts, read by `definitions`. What only several
processes on one database need is here: the turn that writers take, the generation that counts what
cached decisions rest on, and the wrapped keys, which every process must see.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from hilum.base.adapters.dialect import definitions
from hilum.errors import UnavailableError

if TYPE_CHECKING:
    from hilum.base.adapters.postgres import PostgresConnection

__all__ = ["EXTRAS", "migrate"]

_LOCK = 0x48494C55
"""Number of the lock under which one process at a time migrates ("HILU")."""

EXTRAS = (
    """
create or replace function instr(bytea, bytea) returns integer
  language sql immutable strict parallel safe return position($2 in $1);
create or replace function json_each(text) returns table(value bigint)
  language sql immutable strict parallel safe
  as 'select v::bigint from json_array_elements_text($1::json) v';
create table writer_turn(turn bigint not null) with (fillfactor = 10);
insert into writer_turn values (0);
create table generation(v bigint not null) with (fillfactor = 10);
insert into generation values (0);
create table changed(v bigint not null, cid bigint not null, gone boolean not null);
create index changed_v on changed(v);
create function count_generation() returns trigger language plpgsql as $$
  begin
    update generation set v = v + 1;
    if tg_table_name = 'directive_use' then
      insert into changed select g.v, -1, false from generation g;
    end if;
    return null;
  end $$;
create function count_compartments() returns trigger language plpgsql as $$
  begin
    update generation set v = v + 1;
    insert into changed select g.v, t.cid, tg_table_name = 'compartment' from touched t, generation g;
    delete from changed where v < (select v from generation) - 10000;
    return null;
  end $$;
create trigger directive_version_begins after insert on directive_version
  referencing new table as touched for each statement execute function count_compartments();
create trigger directive_version_counts after update on directive_version
  referencing new table as touched for each statement execute function count_compartments();
create trigger compartment_goes after delete on compartment
  referencing old table as touched for each statement execute function count_compartments();
create table wrapped_key(
  cid bigint not null, segment bigint not null, epoch bigint not null, wrapped bytea not null,
  primary key(cid, segment, epoch));
create table shredded(cid bigint primary key, epoch bigint not null);
""",
    """
create index receipt_of_leaf on receipt(substr(leaf, 1, 16));
""",
    """
set local check_function_bodies = off;
create function permitted(bigint) returns bigint language sql stable
  as 'select c.grp from crowd c where c.cid = $1';
create function has_part(bytea, bigint, text) returns boolean language sql stable
  as 'select position(c.grams in $1) > 0 from crowd_part c where c.part = $3 and c.cid = $2';
create function min(double precision, double precision) returns double precision
  language sql immutable parallel safe return least($1, $2);
""",
)
"""What PostgreSQL needs beside the stores' tables, by schema version."""

COUNTED = ("directive_use", "token", "reader")
"""Tables of which a change makes remembered sessions worthless. Every change of directives and broken
glass counts the compartment's version up, and that is counted with the compartment. Shredding is not
counted: the rows that it leaves are deleted next, and their compartment with them."""


def migrate(conn: PostgresConnection, migrations: Sequence[str]) -> int:
    """Bring a database to the newest schema; return its version. One process at a time does it.

    Args:
        conn: outside a transaction.
        migrations: the stores' SQL of version 1, 2, …

    Raises:
        UnavailableError: the database was written by a newer Hilum.
    """
    conn.execute("begin immediate")
    conn.execute("select pg_advisory_xact_lock(?)", (_LOCK,))
    conn.script("create table if not exists hilum_schema(version bigint not null)")
    version = int(conn.execute("select coalesce(max(version), 0) from hilum_schema").fetchone()[0])
    if version > len(migrations):
        conn.execute("rollback")
        raise UnavailableError(
            "newer-data",
            f"the database has schema {version}, this Hilum knows {len(migrations)}",
            hint="use the newer Hilum",
            retryable=False,
        )
    for number, script in enumerate(migrations[version:], start=version + 1):
        for sql in _statements(number, script):
            conn.script(sql)
        conn.execute("insert into hilum_schema values(?)", (number,))
    conn.execute("commit")
    return len(migrations)


def _statements(number: int, script: str) -> Iterator[str]:
    yield from definitions(script)
    if number > len(EXTRAS):
        return
    yield EXTRAS[number - 1]
    for table in COUNTED if number == 1 else ():
        yield (
            f"create trigger {table}_counts after insert or update or delete on {table}"
            " for each statement execute function count_generation()"
        )
