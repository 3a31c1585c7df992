"""The record's tables in SQLite.

Rows of a compartment lie together: every index begins with ``cid``. Index columns hold keyed
hashes; ``body`` is sealed. A deleted resource keeps its row without a body, so that its versions
stay under the same facts.
"""

from __future__ import annotations

__all__ = ["COLUMNS", "INDEXES", "SCHEMA", "TABLES", "Raw"]

_FACTS = """
  cid integer not null, rid integer not null, type integer not null, id text not null, ver integer
  not null, seg integer not null, ts integer not null, updated integer not null, method integer not
  null, inst integer not null, codes blob not null, parts blob not null, authors blob not null, encs
  blob not null, body blob"""

_RID = "rid integer not null"

SCHEMA = f"""
create table if not exists compartment(
  cid integer primary key autoincrement, subject text not null unique, created integer not null);
create table if not exists resource({_FACTS.replace(_RID, "rid integer primary key")});
create unique index if not exists resource_id on resource(type, id);
create index if not exists resource_time on resource(cid, type, ts, rid);
create table if not exists history({_FACTS}, primary key(cid, rid, ver)) without rowid;
create table if not exists i_tok(cid integer not null, p integer not null, code integer not null,
  sys integer not null, ts integer not null, rid integer not null,
  primary key(cid, p, code, sys, ts, rid)) without rowid;
create table if not exists i_ref(cid integer not null, p integer not null, ref integer not null,
  ts integer not null, rid integer not null, primary key(cid, p, ref, ts, rid)) without rowid;
create table if not exists i_dat(cid integer not null, p integer not null, lo integer not null,
  hi integer not null, wlo integer not null, whi integer not null, rid integer not null,
  primary key(cid, p, lo, hi, wlo, whi, rid)) without rowid;
"""


INDEXES = {
    "i_tok": ("cid", "p", "code", "sys", "ts", "rid"),
    "i_ref": ("cid", "p", "ref", "ts", "rid"),
    "i_dat": ("cid", "p", "lo", "hi", "wlo", "whi", "rid"),
}
TABLES = ("resource", "history", *INDEXES)

COLUMNS = "x.cid, x.rid, x.type, x.id, x.ver, x.seg, x.ts, x.updated, x.method, x.body"
"""What every read selects, in the order of `Raw`."""

Raw = tuple[int, int, int, str, int, int, int, int, int, bytes | None]
