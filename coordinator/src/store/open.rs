//! Opens the database, or says what is wrong with it and what to do.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Sqlite as Db, Transaction};

use super::{StoreError, failed};

static MIGRATOR: Migrator = sqlx::migrate!("./migrations");

/// How long a statement waits for another one's lock.
const BUSY: Duration = Duration::from_secs(10);

/// How long the scrubbing of the log waits for others; it is tried again.
const SCRUB_PATIENCE: Duration = Duration::from_millis(50);

/// Connections that only read.
const READERS: u32 = 4;

/// The real store: one connection writes, several read.
#[derive(Debug, Clone)]
pub struct Sqlite {
    pub(super) writer: SqlitePool,
    pub(super) reader: SqlitePool,
    /// Waits for nobody.
    scrubber: SqlitePool,
    /// A login was deleted, and older pages of it may be in the write-ahead log.
    pub(super) wiped: Arc<AtomicBool>,
}

/// The store cannot be used. Nothing was changed in it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be opened at all.
    #[error("cannot open the store {path}: check that it is a file of this coordinator, that its directory can be \
             written to and that the disk is not full", path = path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: sqlx::Error,
    },
    /// Its pages contradict each other.
    #[error("the store {path} is damaged ({finding}): put back a copy of it from before, together with its -wal file, \
             or move it away to begin with an empty one", path = path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What was found first.
        finding: String,
    },
    /// A newer program wrote it.
    #[error("the store {path} has schema {schema}, which is newer than this program knows: start the newer \
             redeploy-coordinator again, or put back a copy of the store from before the upgrade", path = path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its schema.
        schema: i64,
    },
    /// An older program wrote it, and may be using it now.
    #[error("the store {path} has schema {schema}, which is older than this program's: start this \
             redeploy-coordinator once, which brings it up to date", path = path.display())]
    Older {
        /// Which file.
        path: PathBuf,
        /// Its schema.
        schema: i64,
    },
    /// It cannot be brought to the schema of this program.
    #[error("cannot bring the store {path} to the schema of this program: check that the disk is not full",
            path = path.display())]
    Migrate {
        /// Which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: MigrateError,
    },
}

impl Sqlite {
    /// Opens the store at `path`, or makes it.
    ///
    /// # Errors
    /// [`OpenError`]
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let refused = |source| OpenError::Open { path: path.to_owned(), source };
        make_private(path).map_err(|error| refused(error.into()))?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            // What is wiped must not stay in a free page.
            .pragma("secure_delete", "ON")
            .busy_timeout(BUSY);
        let writer = options.clone().create_if_missing(true);
        let writer = SqlitePoolOptions::new().max_connections(1).connect_with(writer).await;
        let writer = writer.map_err(|error| damaged_or(path, error, refused))?;
        inspect(path, &writer).await?;
        MIGRATOR.run(&writer).await.map_err(|error| migration(path, error))?;
        let scrubber = options.clone().busy_timeout(SCRUB_PATIENCE);
        let scrubber = SqlitePoolOptions::new().max_connections(1).connect_lazy_with(scrubber);
        let reader = options.pragma("query_only", "ON");
        let reader = SqlitePoolOptions::new().max_connections(READERS).connect_with(reader).await;
        // What a killed process deleted may be in the log that it left.
        let wiped = Arc::new(AtomicBool::new(true));
        Ok(Self { writer, reader: reader.map_err(refused)?, scrubber, wiped })
    }

    /// Empties the write-ahead log if deleted logins may be in it. `false`: somebody reads or writes just now; try
    /// again later.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn scrub(&self) -> Result<bool, StoreError> {
        if !self.wiped.swap(false, Ordering::AcqRel) {
            return Ok(true);
        }
        let done: sqlx::Result<(i64, i64, i64)> =
            sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.scrubber).await;
        let is_done = matches!(done, Ok((0, ..)));
        if !is_done {
            self.wiped.store(true, Ordering::Release);
        }
        done.map(|_| is_done).map_err(failed("empty its write-ahead log"))
    }

    /// Opens the store at `path` beside the coordinator that may be using it: only if it has the schema of this
    /// program, so that nothing is changed under that one.
    ///
    /// # Errors
    /// [`OpenError`]
    pub async fn beside(path: &Path) -> Result<Self, OpenError> {
        let refused = |source| OpenError::Open { path: path.to_owned(), source };
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await;
        let pool = pool.map_err(|error| damaged_or(path, error, refused))?;
        let found: Result<i64, _> =
            sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations").fetch_one(&pool).await;
        pool.close().await;
        let schema = found.map_err(|error| damaged_or(path, error, refused))?;
        let known = MIGRATOR.iter().map(|migration| migration.version).max().unwrap_or(0);
        match schema.cmp(&known) {
            std::cmp::Ordering::Equal => Self::open(path).await,
            std::cmp::Ordering::Less => Err(OpenError::Older { path: path.to_owned(), schema }),
            std::cmp::Ordering::Greater => Err(OpenError::Newer { path: path.to_owned(), schema }),
        }
    }

    /// A transaction that holds the write lock from its beginning.
    pub(super) async fn begin(&self, action: &'static str) -> Result<Transaction<'_, Db>, StoreError> {
        self.writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed(action))
    }

    /// Waits for what is under way and closes the files.
    pub async fn close(&self) {
        self.scrubber.close().await;
        self.reader.close().await;
        // The last one empties the log and removes it.
        self.writer.close().await;
    }
}

/// SQLite would make it readable for everybody. Its log and its index get the same rights.
fn make_private(path: &Path) -> std::io::Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        made => made.map(drop),
    }
}

async fn inspect(path: &Path, pool: &SqlitePool) -> Result<(), OpenError> {
    let found: Result<String, _> = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(pool).await;
    let refused = |source| OpenError::Open { path: path.to_owned(), source };
    let finding = found.map_err(|error| damaged_or(path, error, refused))?;
    if finding == "ok" { Ok(()) } else { Err(OpenError::Damaged { path: path.to_owned(), finding }) }
}

/// SQLite's codes 11 (corrupt) and 26 (not a database) need other words than "cannot open".
fn damaged_or(
    path: &Path,
    error: sqlx::Error,
    otherwise: impl FnOnce(sqlx::Error) -> OpenError,
) -> OpenError {
    let code = error.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
    let primary = code.and_then(|code| code.parse::<u32>().ok()).map(|code| code & 0xff);
    match primary {
        Some(11 | 26) => OpenError::Damaged { path: path.to_owned(), finding: error.to_string() },
        Some(_) | None => otherwise(error),
    }
}

fn migration(path: &Path, source: MigrateError) -> OpenError {
    let path = path.to_owned();
    if let MigrateError::VersionMissing(schema) | MigrateError::VersionTooNew(schema, _) = source {
        OpenError::Newer { path, schema }
    } else {
        OpenError::Migrate { path, source }
    }
}
