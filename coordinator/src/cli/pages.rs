//! Completion scripts and manual pages, made from the same description of the arguments as the help.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use clap::CommandFactory;

use super::args::Cli;
use super::exit::{Exit, Stop};

/// The completion script of a shell, on stdout.
pub(super) fn completions(shell: clap_complete::Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "redeployctl", &mut script);
    put(&script);
    Exit::Done
}

/// The main page on stdout, or every page in `dir`.
pub(super) fn manual(dir: Option<&Path>) -> Result<Exit, Stop> {
    let written = match dir {
        None => page(&Cli::command()).map(|page| put(&page)),
        Some(dir) => write_pages(dir),
    };
    match written {
        Ok(()) => Ok(Exit::Done),
        Err(error) => Err(Stop::refused(format!("cannot write the manual pages: {error}"))),
    }
}

/// Whoever closed the pipe has read enough.
fn put(bytes: &[u8]) {
    let _ = io::stdout().lock().write_all(bytes);
}

fn write_pages(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    write_page(&command, dir)?;
    for verb in command.get_subcommands() {
        write_page(verb, dir)?;
        verb.get_subcommands().try_for_each(|verb| write_page(verb, dir))?;
    }
    Ok(())
}

fn write_page(command: &clap::Command, dir: &Path) -> io::Result<()> {
    let name = clap_mangen::Man::new(command.clone()).get_filename();
    // Pages can be made again at any time: nothing durable is at stake.
    File::create(dir.join(name))?.write_all(&page(command)?)
}

fn page(command: &clap::Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    Ok(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page() {
        let dir = tempfile::tempdir().unwrap();
        write_pages(dir.path()).unwrap();
        for page in
            ["redeployctl.1", "redeployctl-deploy.1", "redeployctl-node-show.1", "redeployctl-token-create.1"]
        {
            let text = std::fs::read_to_string(dir.path().join(page)).unwrap_or_default();
            assert!(text.contains(".SH NAME"), "{page}");
        }
    }
}
