"""The tables as they are now; migrations/versions holds how they came to be. A test holds the two together.

Only portable types: whole numbers, text, JSON, bytes. `reviewed` and `active` are whole numbers so that a damaged
value is read as it is, not rounded to a truth value.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    quoted_name,
)

metadata = MetaData()

meta = Table(
    "meta",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

classes = Table(
    "classes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("position", Integer, nullable=False),
)

imports = Table(
    "imports",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("time", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("layout", Text, nullable=False),
    Column("summary", JSON, nullable=False),
    Column("digest", Text),  # SHA-256 over its image rows; NULL for imports before revision 0002
)

images = Table(
    "images",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sha256", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("width", Integer, nullable=False),
    Column("height", Integer, nullable=False),
    Column("channels", Integer, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("import_id", Integer, ForeignKey("imports.id"), nullable=False),
    Column("key", Text, nullable=False),  # NFC + casefold of name: what two file systems would call the same
    # Images of one group are not independent. May change, so no digest is over it. A word of SQL: always in quotes.
    Column(quoted_name("group", quote=True), Text),
    Index("ix_images_key", "key"),
)

entries = Table(
    "annotations",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("uid", Text, nullable=False, unique=True),
    Column("image_id", Integer, ForeignKey("images.id"), nullable=False),
    Column("base_version", Integer, nullable=False),
    Column("action", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("label", Text),
    Column("source", Text),
    Column("round", Integer),
    Column("confidence", Float(53)),
    Column("reviewed", Integer, nullable=False),
    Column("mark", Text),
    Column("batch", Text),
    Column("undoes", Integer, ForeignKey("annotations.seq")),
    Column("seconds", Float(53)),
    Column("time", Text, nullable=False),
    Column("prev_hash", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("seen_seconds", Float(53)),  # since revision 0005; hashed where it is not NULL
    Column("asked", Text),  # since revision 0007, as seen_seconds
    Index("ix_annotations_image_id_seq", "image_id", "seq"),
    Index("ix_annotations_actor_seq", "actor", "seq"),
    Index("ix_annotations_batch", "batch"),
    Index("ix_annotations_undoes", "undoes"),
)

current_labels = Table(
    "current_labels",
    metadata,
    Column("image_id", Integer, ForeignKey("images.id"), primary_key=True, autoincrement=False),
    Column("version", Integer, ForeignKey("annotations.seq"), nullable=False),
    Column("label", Text, ForeignKey("classes.name")),
    Column("source", Text),
    Column("round", Integer),
    Column("confidence", Float(53)),
    Column("reviewed", Integer, nullable=False),
    Column("mark", Text),
    Index("ix_current_labels_label", "label"),
    Index("ix_current_labels_version", "version"),
)

truth = Table(
    "truth",
    metadata,
    Column("image_id", Integer, ForeignKey("images.id"), primary_key=True, autoincrement=False),
    Column("label", Text, nullable=False),
)

rounds = Table(
    "rounds",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("state", Text, nullable=False),
    Column("active", Integer),  # 1 while it blocks another round, else NULL
    Column("algorithm", Text, nullable=False),
    Column("config", JSON, nullable=False),
    Column("ledger_seq", Integer, nullable=False),
    Column("created", Text, nullable=False),
    Column("started", Text),
    Column("ended", Text),
    Column("progress", JSON, nullable=False),
    Column("error", JSON(none_as_null=True)),
    Column("report", JSON(none_as_null=True)),
    Column("pid", Integer),
    Column("pid_created", Float(53)),
    Column("token", Text, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("uid", Text),  # random, in its folder's plan too; NULL for rounds from before revision 0009
    CheckConstraint("active IS NULL OR active = 1", name="ck_rounds_active"),
    # NULLs are distinct in a unique index, so this index covers the active rounds alone: at most one.
    Index("uq_rounds_active", "active", unique=True),
)

batches = Table(
    "batches",
    metadata,
    Column("batch", Text, primary_key=True),
    Column("time", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("facts", JSON, nullable=False),
    Column("digest", Text, nullable=False),  # SHA-256 of the facts; its first half ends the batch id
)

unfinished = Table(  # what is too long for one transaction, see engine.store.unfinished
    "unfinished",
    metadata,
    Column("job", Text, primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("time", Text, nullable=False),
    Column("done", Integer, nullable=False),
    Column("content", LargeBinary, nullable=False),  # zlib of JSON: what is to be done; once done, what came of it
)

past_audits = Table(  # of before revision 0007: a random sample of what a rule would accept
    "past_audits",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("created", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("round", Integer, ForeignKey("rounds.number"), nullable=False),
    Column("thresholds", JSON, nullable=False),
    Column("level", Float(53), nullable=False),
    Column("look", Integer, nullable=False),
    Column("ledger_seq", Integer, nullable=False),
    Column("population", LargeBinary, nullable=False),  # zlib of the image ids as little-endian int64
    Column("sample", JSON, nullable=False),
    Column("state", Text, nullable=False),
    Column("batch", Text, ForeignKey("batches.batch")),
    Column("facts", JSON, nullable=False),
)

audits = Table(
    "audits",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),  # past audits count too
    Column("created", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("scope", Text, nullable=False),
    Column("round", Integer, ForeignKey("rounds.number")),
    Column("thresholds", JSON(none_as_null=True)),
    Column("rate", Float(53)),
    Column("alpha", Float(53), nullable=False),
    Column("ledger_seq", Integer, nullable=False),
    Column("ledger_hash", Text, nullable=False),
    Column("salt", BigInteger, nullable=False),  # made of number and ledger_hash, see engine.quality.frozen
    Column("digest", Text, nullable=False),
    Column("names", JSON, nullable=False),  # that label_codes point to
    Column("sources", JSON, nullable=False),  # that source_codes point to
    Column("image_ids", LargeBinary, nullable=False),  # zlib of little-endian int64, ascending
    Column("label_codes", LargeBinary, nullable=False),  # zlib of little-endian int32
    Column("source_codes", LargeBinary, nullable=False),  # zlib of int8
    Column("suspicion", LargeBinary),  # zlib of little-endian float32; NULL for audits from before revision 0008
    Column("trusted", LargeBinary),  # zlib of the ids of labels taken as right; NULL where people's are audited too
    Column("state", Text, nullable=False),
    Column("ordinal", Integer),  # the how-manieth audit with an answer it is; NULL before its first
    Column("ended", Text),
    Column("batch", Text, ForeignKey("batches.batch")),
    Column("facts", JSON, nullable=False),
)

audit_draws = Table(
    "audit_draws",
    metadata,
    Column("audit", Integer, ForeignKey("audits.number"), primary_key=True, autoincrement=False),
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("image_id", Integer, ForeignKey("images.id"), nullable=False),
    Column("order", Text, nullable=False),
    Column("ledger_seq", Integer, nullable=False),  # the ledger's last entry when it was drawn
    UniqueConstraint("audit", "image_id"),
)

measured_orders = Table(
    "measured_orders",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("last_image", Integer, ForeignKey("images.id"), nullable=False),  # of those above the last order's
    Column("salt", BigInteger, nullable=False),  # made of number and ledger_hash, see engine.store.measured
    Column("ledger_seq", Integer, nullable=False),
    Column("ledger_hash", Text, nullable=False),
    Column("answers", Integer, nullable=False),  # given by then
)

measured = Table(
    "measured",
    metadata,
    Column("place", Integer, primary_key=True, autoincrement=False),
    Column("image_id", Integer, ForeignKey("images.id"), nullable=False, unique=True),
    Column("order", Integer, ForeignKey("measured_orders.number"), nullable=False),
    Column("ledger_seq", Integer, nullable=False),  # the ledger's last entry when it was drawn
    Column("label", Text),  # that it had in an export then, with its suspicion; NULL where a person had looked at it
    Column("suspicion", Float(53)),  # 0 without such a label; NULL for images drawn before revision 0008
)
