//! A real database to redeploy: PostgreSQL 15 from Debian's packages, a client that commits all the time, and the
//! questions that tell whether anything was lost.
//!
//! Flows in: a room, and where the data is to be: in a volume, or in the container's own file system. Flows out:
//! a server under load, and one verdict over client, table and files. Must never write to the data from outside.

mod image;
mod ledger;
mod writer;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use postgres::{Client, Config, IsolationLevel, NoTls};

use crate::engine::{Docker, text_at};
use crate::sandbox::Sandbox;
use crate::wait;

pub use image::Version;
pub use ledger::{Commit, Ledger};
pub use writer::Writer;

/// The directory that holds the cluster; the image's redeploy.conf lists it.
pub const DATA: &str = "/var/lib/postgresql";

const PORT: u16 = 5432;

const TABLES: &str = "
    CREATE TABLE accounts (id int PRIMARY KEY, touched bigint NOT NULL, padding text NOT NULL);
    CREATE TABLE rows (number bigint NOT NULL, account int NOT NULL, note text NOT NULL);
    CREATE INDEX rows_number ON rows (number);";

const FILL: &str =
    "INSERT INTO accounts SELECT id, 0, repeat(md5(id::text), 28) FROM generate_series(1, $1::int) AS id";

/// Each must be true, whatever was redeployed, and when: rows and accounts change together or not at all.
const TRUTHS: &[(&str, &str)] = &[
    (
        "accounts count what rows say",
        "SELECT (SELECT sum(touched) FROM accounts) = (SELECT count(*) FROM rows)",
    ),
    ("rows are as sent", "SELECT count(*) = 0 FROM rows WHERE note <> md5(number::text)"),
    (
        "accounts are as filled",
        "SELECT count(*) = 0 FROM accounts WHERE padding <> repeat(md5(id::text), 28)",
    ),
];

/// Where the data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Storage {
    /// In a named volume.
    Volume,
    /// In the container's own file system.
    Inside,
}

/// A server that stays the same to its clients, whichever container it is.
#[derive(Debug)]
pub struct Database {
    sandbox: Sandbox,
    container: String,
    accounts: i32,
}

impl Database {
    /// Starts version 1 with so many accounts: rows of about a kilobyte, updated all over while files are copied.
    ///
    /// # Errors
    /// It did not come up; its logs are in the error.
    pub fn start(test: &str, storage: Storage, accounts: i32) -> Result<Self> {
        let sandbox = Sandbox::new(test)?;
        let mut options = vec!["--stop-timeout=60", "--restart=always", "--network"];
        let network = sandbox.network("net")?;
        options.push(&network);
        let mount;
        if storage == Storage::Volume {
            mount = format!("{}:{DATA}", sandbox.volume("data")?);
            options.extend(["--volume", &mount]);
        }
        let container = sandbox.run("db", &options, &Version::V1.image()?, &[])?;
        let database = Self { sandbox, container, accounts };
        database.wait_until_healthy()?;
        let mut client = connect(&database.container)?;
        client.batch_execute(TABLES)?;
        client.execute(FILL, &[&accounts])?;
        Ok(database)
    }

    /// The room it is in.
    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The container's name.
    #[must_use]
    pub fn container(&self) -> &str {
        &self.container
    }

    /// Insists that this version serves, that every expected commit is there exactly once, that what belongs
    /// together agrees, that every file and index is sound, and that the client gets on.
    ///
    /// # Errors
    /// The first of these that does not hold.
    pub fn check(&self, version: Version, writer: &Writer, expected: impl Fn(&Commit) -> bool) -> Result<()> {
        let docker = self.sandbox.docker();
        let image = text_at(&docker.inspect(&self.container)?, "/Config/Image")?;
        ensure!(image == version.image()?, "{image} serves, not {version:?}");
        writer.expect_more(20, version.word())?;
        let ledger = writer.ledger();
        let mut client = connect(&self.container)?;
        let found = read_table(&mut client)?;
        let accounts: i64 = client.query_one("SELECT count(*) FROM accounts", &[])?.try_get(0)?;
        ensure!(accounts == i64::from(self.accounts), "{accounts} accounts instead of {}", self.accounts);
        let broken = ledger.broken_promises(&found, writer.last_sent(), expected);
        ensure!(broken.is_empty(), "{} broken promises: {}", broken.len(), first_of(&broken));
        self.amcheck()?;
        writer.expect_more(20, version.word())
    }

    /// Every table and index of every database, read to the last page, and every row looked up in its indexes.
    fn amcheck(&self) -> Result<()> {
        let words = [
            "pg_amcheck",
            "--host=/tmp",
            "--all",
            "--install-missing",
            "--heapallindexed",
            "--no-strict-names",
        ];
        self.sandbox.docker().exec(&self.container, &words).map(drop)
    }

    fn wait_until_healthy(&self) -> Result<()> {
        let docker = self.sandbox.docker();
        wait::until(wait::PATIENCE, "a healthy database", || {
            Ok(text_at(&docker.inspect(&self.container)?, "/State/Health/Status")? == "healthy")
        })
        .with_context(|| docker.logs(&self.container).unwrap_or_default())
    }
}

/// A connection to the server in a container, found anew each time: names and addresses change hands.
///
/// # Errors
/// Nobody there, or nobody who answers.
pub fn connect(container: &str) -> Result<Client> {
    let address = Docker.address(container, PORT)?;
    let mut config = Config::new();
    config.hostaddr(address.ip()).port(PORT).user("postgres").dbname("postgres");
    // A server that went away with its network answers nothing, not even no.
    config.connect_timeout(Duration::from_secs(2)).tcp_user_timeout(Duration::from_secs(3));
    config
        .keepalives_idle(Duration::from_secs(1))
        .keepalives_interval(Duration::from_secs(1))
        .keepalives_retries(2);
    Ok(config.connect(NoTls)?)
}

/// How often each number is there; all that must be true is, at the same instant.
fn read_table(client: &mut Client) -> Result<BTreeMap<i64, i64>> {
    let snapshot = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    let mut snapshot = snapshot.start()?;
    let rows = snapshot.query("SELECT number, count(*) FROM rows GROUP BY number", &[])?;
    let found = rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_>>()?;
    for (truth, question) in TRUTHS {
        let holds: bool = snapshot.query_one(*question, &[])?.try_get(0)?;
        ensure!(holds, "it is not true that {truth}");
    }
    Ok(found)
}

fn first_of(lines: &[String]) -> String {
    lines.iter().take(10).map(String::as_str).collect::<Vec<_>>().join("; ")
}
