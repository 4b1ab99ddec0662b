"""Facts of a batch: what it carries as provenance, such as the measured bound of an audit.

The id of a batch stands in every one of its ledger entries, so it is part of the hash chain. An id made by `batch_id`
holds a digest of the facts: facts changed afterwards no longer fit the ledger, and `starling doctor` says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, exists, insert, select

from engine.errors import ConfigError
from engine.store.rows import chunks, now, plain
from engine.store.schema import batches, entries

DIGITS = 32


def digest_of(facts: Mapping[str, Any]) -> str:
    """Return the SHA-256, as hex, of the facts' canonical JSON: sorted keys, no spaces, ASCII, NaN as null.

    Raises:
        ConfigError: the facts hold something JSON has no word for.
    """
    try:
        text = json.dumps(plain(facts), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            "the facts of a batch must be plain JSON", value=error, way_out="Use numbers, texts, lists and mappings."
        ) from error
    return hashlib.sha256(text.encode()).hexdigest()


def batch_id(prefix: str, facts: Mapping[str, Any]) -> str:
    """Return `prefix`-`digest`, a batch id that these facts alone fit; the digest has 128 bits.

    The same prefix and facts give the same id, so that a repeated request is the same batch. Where two batches may
    carry equal facts, the prefix must tell them apart.
    """
    return f"{prefix}-{digest_of(facts)[:DIGITS]}"


def check_facts(batch: str, facts: Mapping[str, Any]) -> str:
    """Return the digest of these facts. Raises ConfigError where the batch id does not hold it."""
    digest = digest_of(facts)
    if not batch.endswith(f"-{digest[:DIGITS]}"):
        raise ConfigError(
            "not saved: the id of a batch with facts must hold their digest",
            value=batch,
            way_out="Make the id with engine.store.facts.batch_id(prefix, facts).",
        )
    return digest


def write_facts(connection: Connection, batch: str, actor: str, facts: Mapping[str, Any]) -> None:
    """Keep the facts of a batch; where it has some already, those stay, which are the same as the id tells.

    Raises:
        ConfigError: the batch id does not hold the digest of these facts.
    """
    digest = check_facts(batch, facts)
    if connection.scalar(select(batches.c.batch).where(batches.c.batch == batch)) is None:
        row = {"batch": batch, "time": now(), "actor": actor, "facts": plain(facts), "digest": digest}
        connection.execute(insert(batches), row)


def read_facts(connection: Connection, names: list[str] | None = None) -> dict[str, dict[str, Any]]:
    """Return the facts of the batches that carry some, oldest first; of all batches or of `names`."""
    query = select(batches.c.batch, batches.c.facts).order_by(batches.c.time, batches.c.batch)
    parts = [query] if names is None else [query.where(batches.c.batch.in_(part)) for part in chunks(names)]
    return {row.batch: row.facts for part in parts for row in connection.execute(part)}


def find_flaws(connection: Connection) -> list[str]:
    """Return which facts do not fit their batch, one sentence each; empty when all do."""
    return [
        f"batches: the facts of {row.batch} {flaw}"
        for row in connection.execute(select(batches).order_by(batches.c.batch))
        if (flaw := _flaw(connection, row.batch, row.facts, row.digest)) is not None
    ]


def _flaw(connection: Connection, batch: str, facts: Any, digest: str) -> str | None:
    if not isinstance(facts, dict) or digest_of(facts) != digest:
        return "do not match their digest"
    if not batch.endswith(f"-{digest[:DIGITS]}"):
        return "do not match the batch id, which the ledger holds"
    if not connection.scalar(select(exists().where(entries.c.batch == batch))):
        return "belong to no ledger entry"
    return None
