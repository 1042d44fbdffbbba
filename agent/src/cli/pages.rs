//! Completion scripts and manual pages, made from the same description of the arguments as the help.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;

use super::Exit;
use super::args::Cli;
use super::out::{put, say};

/// The completion script of a shell, on stdout.
pub(crate) fn completions(shell: clap_complete::Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "redeploy-agent", &mut script);
    put(&script);
    Exit::Done
}

/// The main page on stdout, or every page in `dir`.
pub(crate) fn manual(dir: Option<&Path>) -> Exit {
    let written = match dir {
        None => page(&Cli::command()).map(|page| put(&page)),
        Some(dir) => write_pages(dir),
    };
    match written {
        Ok(()) => Exit::Done,
        Err(error) => {
            say(&format!("redeploy-agent: cannot write the manual pages: {error}"));
            Exit::Refused
        }
    }
}

fn write_pages(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    for verb in std::iter::once(&command).chain(verbs) {
        let man = clap_mangen::Man::new(verb.clone());
        // Pages can be made again at any time: nothing durable is at stake.
        let mut file = File::create(dir.join(man.get_filename()))?;
        file.write_all(&page(verb)?)?;
    }
    Ok(())
}

fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    Ok(page)
}
