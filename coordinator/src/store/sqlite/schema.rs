//! The tables: the first version, and what each later one adds.

/// Version 1.
pub(super) const SCHEMA: &str = "
BEGIN;
CREATE TABLE task (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, text TEXT NOT NULL, seed INTEGER NOT NULL,
                   state TEXT NOT NULL) STRICT;
CREATE TABLE round (context BLOB PRIMARY KEY, task TEXT NOT NULL, number INTEGER NOT NULL, step INTEGER NOT NULL,
                    setting BLOB NOT NULL, phase TEXT NOT NULL, state BLOB NOT NULL, opened INTEGER NOT NULL,
                    changed INTEGER NOT NULL, note TEXT NOT NULL, UNIQUE (task, number)) STRICT;
CREATE TABLE receipt (context BLOB NOT NULL, position INTEGER NOT NULL, digest BLOB NOT NULL,
                      PRIMARY KEY (context, position)) STRICT, WITHOUT ROWID;
CREATE TABLE partial (id INTEGER PRIMARY KEY, context BLOB NOT NULL, sum BLOB NOT NULL) STRICT;
CREATE INDEX partial_of_round ON partial (context);
CREATE TABLE aggregate (task TEXT NOT NULL, step INTEGER NOT NULL, devices INTEGER NOT NULL, sum BLOB NOT NULL,
                        deviations BLOB NOT NULL, rho REAL NOT NULL, PRIMARY KEY (task, step)) STRICT;
CREATE TABLE version (number INTEGER PRIMARY KEY, digest TEXT NOT NULL, length INTEGER NOT NULL, task TEXT NOT NULL,
                      round INTEGER, parent INTEGER, about TEXT NOT NULL, made INTEGER NOT NULL) STRICT;
CREATE TABLE audit (number INTEGER PRIMARY KEY, at INTEGER NOT NULL, what TEXT NOT NULL, hash BLOB NOT NULL) STRICT;
PRAGMA user_version = 1;
COMMIT;";
/// What version 2 adds.
pub(super) const ROLLOUTS: &str = "
BEGIN;
CREATE TABLE event (rollout TEXT NOT NULL, number INTEGER NOT NULL, event TEXT NOT NULL, PRIMARY KEY (rollout, number)) STRICT;
CREATE TABLE serving (changes INTEGER NOT NULL, document TEXT NOT NULL) STRICT;
PRAGMA user_version = 2;
COMMIT;";
/// What version 3 adds: why a task is not running.
pub(super) const REASONS: &str = "
BEGIN;
ALTER TABLE task ADD COLUMN why TEXT;
PRAGMA user_version = 3;
COMMIT;";
