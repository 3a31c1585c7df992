"""The record's tables in SQLite.

Rows of a compartment lie together: every index begins with ``cid``. Index columns hold keyed
hashes; ``body`` is sealed. A deleted resource keeps its row without a body, so that its versions
stay under the same facts.
"""

from __future__ import annotations

__all__ = [
    "COLUMNS",
    "INDEXES",
    "POPULATION",
    "SCHEMA",
    "SCHEMA_1",
    "SCHEMA_2",
    "TABLES",
    "Raw",
]

_FACTS = """
  cid integer not null, rid integer not null, type integer not null, id text not null, ver integer
  not null, seg integer not null, ts integer not null, updated integer not null, method integer not
  null, inst integer not null, codes blob not null, parts blob not null, authors blob not null, encs
  blob not null, body blob"""

_RID = "rid integer not null"

SCHEMA_1 = f"""
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
"""The tables of the first release: they never change."""

SCHEMA_2 = """
create table if not exists i_str(cid integer not null, p integer not null, starts blob not null,
  exact integer not null, rid integer not null, grams blob not null,
  primary key(cid, p, starts, exact, rid)) without rowid;
create table if not exists i_qty(cid integer not null, p integer not null, sys integer not null,
  code integer not null, lo real not null, hi real not null, rid integer not null,
  primary key(cid, p, sys, code, lo, hi, rid)) without rowid;
create table if not exists i_comp(cid integer not null, p integer not null, c1 integer not null,
  s1 integer not null, c2 integer not null, s2 integer not null, lo integer not null, hi integer not
  null, wlo integer not null, whi integer not null, qlo real not null, qhi real not null, qlo2 real
  not null, qhi2 real not null, starts blob not null, rid integer not null,
  primary key(cid, p, c1, s1, c2, s2, lo, hi, wlo, whi, qlo, qhi, qlo2, qhi2, starts, rid))
  without rowid;
create table if not exists i_near(cid integer not null, p integer not null, lat real not null,
  lon real not null, rid integer not null, primary key(cid, p, lat, lon, rid)) without rowid;
create table if not exists p_tok(p integer not null, code integer not null, sys integer not null,
  ts integer not null, rid integer not null, cid integer not null,
  primary key(p, code, sys, ts, rid, cid)) without rowid;
create table if not exists p_ref(p integer not null, ref integer not null, ts integer not null,
  rid integer not null, cid integer not null, primary key(p, ref, ts, rid, cid)) without rowid;
create table if not exists p_str(p integer not null, starts blob not null, rid integer not null,
  cid integer not null, primary key(p, starts, rid, cid)) without rowid;
create table if not exists p_dat(p integer not null, lo integer not null, hi integer not null,
  rid integer not null, cid integer not null, primary key(p, lo, hi, rid, cid)) without rowid;
create index if not exists resource_inst on resource(inst);
create index if not exists resource_all on resource(type, ts, rid);
create table if not exists index_state(version integer not null, rid integer not null);
insert into index_state select 2, -1 where not exists (select 1 from resource)
  and not exists (select 1 from index_state);
"""
"""What came with the complete search; `index_state` says by which rules the index rows were made, and up
to which resource (-1: all); a store without resources needs none."""

SCHEMA = SCHEMA_1 + SCHEMA_2

INDEXES = {
    "i_tok": ("cid", "p", "code", "sys", "ts", "rid"),
    "i_ref": ("cid", "p", "ref", "ts", "rid"),
    "i_dat": ("cid", "p", "lo", "hi", "wlo", "whi", "rid"),
    "i_str": ("cid", "p", "starts", "exact", "grams", "rid"),
    "i_qty": ("cid", "p", "sys", "code", "lo", "hi", "rid"),
    "i_comp": (
        "cid", "p", "c1", "s1", "c2", "s2", "lo", "hi", "wlo", "whi", "qlo", "qhi", "qlo2", "qhi2",
        "starts", "rid",
    ),
    "i_near": ("cid", "p", "lat", "lon", "rid"),
}  # fmt: skip
"""Index rows of every compartment, by compartment first."""
POPULATION = {
    "p_tok": ("p", "code", "sys", "ts", "rid", "cid"),
    "p_ref": ("p", "ref", "ts", "rid", "cid"),
    "p_str": ("p", "starts", "rid", "cid"),
    "p_dat": ("p", "lo", "hi", "rid", "cid"),
}
"""A second copy of a few parameters' rows, for searches across records; each is a part of the row of
the ``i_`` table of the same name."""
TABLES = ("resource", "history", *INDEXES, *POPULATION)

COLUMNS = "x.cid, x.rid, x.type, x.id, x.ver, x.seg, x.ts, x.updated, x.method, x.body"
"""What every read selects, in the order of `Raw`."""

Raw = tuple[int, int, int, str, int, int, int, int, int, bytes | None]
