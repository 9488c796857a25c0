"""Inserts, each a transaction, and selects by the primary key, in a file on a tmpfs; a line of JSON."""
import json, sqlite3, sys, time

count = int(sys.argv[1])
db = sqlite3.connect("/tmp/db", isolation_level=None)
db.execute("create table pods (id integer primary key, name text)")
start = time.perf_counter()
for i in range(count):
    db.execute("insert into pods values (?, ?)", (i, f"pod-{i}"))
inserted = time.perf_counter()
for i in range(count):
    db.execute("select name from pods where id = ?", (i,)).fetchone()
selected = time.perf_counter()
print(json.dumps({"inserts": count / (inserted - start), "selects": count / (selected - inserted)}))
