"""The store: everything a project knows but the bytes of its images, in one SQLite file by default.

Store is the only door. Reads use snapshots of their own; writes go through one thread (writer.py) that
commits in groups and answers only after the COMMIT. Labels are an append-only, hash-chained ledger
(ledger.py, chain.py); the label in force is a projection of it (projection.py, label_table.py) that changes
in the same transaction and can be rebuilt; where each label comes from and who saw its image is read by
sources.py. Undo adds entries, it erases none (undo.py). A batch may carry facts that its id, and so the
chain, vouches for (batches.py, facts.py); an audit is accepted with its batch in one transaction (audits.py).
people.py reads pace and disagreement out of the ledger. measured.py keeps the images that measure models. An
import is one transaction (imports.py). Rounds move along a table of allowed moves and are fenced by tokens
(rounds.py). witness.py notes the ledger's end beside an SQLite database, so that a lost log does not pass for a
whole one; backup.py copies and checks. schema.py and migrations/ define the tables; sqlite.py alone speaks SQLite's own
dialect.
"""

from engine.store.backup import copy as copy_database
from engine.store.label_table import LabelTable
from engine.store.sqlite import BESIDE
from engine.store.store import Store

__all__ = ["BESIDE", "LabelTable", "Store", "copy_database"]
