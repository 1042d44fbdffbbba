//! From arguments and configuration to what is asked of the library. What contradicts itself is found here.
//!
//! Must never show the registry's password, or keep it longer than the order.

use std::io::{BufRead, IsTerminal};
use std::time::Duration;

use redeploy_agent::config::Config;
use redeploy_agent::docker::RegistryLogin;
use redeploy_agent::image::PullPolicy;
use redeploy_agent::plan::{Request, RevertRequest};

use crate::cli::args::{RevertArgs, Verify, What};

/// No password is longer; what is, was never meant to be read.
const PASSWORD_BYTES_MAX: u64 = 64 << 10;

/// A redeploy, and how its image is had.
pub(super) struct Asked {
    pub(super) request: Request,
    pub(super) pull: PullPolicy,
    pub(super) login: Option<RegistryLogin>,
}

/// The arguments do not go together. Never shows what was read.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidRequest {
    /// Nothing could ever be verified.
    #[error(
        "--verify-timeout must be longer than settle_time of the configuration ({}), or no container without a health \
         check could ever pass",
        humantime::format_duration(*settle)
    )]
    TimeoutTooShort {
        /// The settling time.
        settle: Duration,
    },
    /// It would be seen.
    #[error("--registry-password-stdin: stdin is a terminal and would show the password: pipe it in")]
    PasswordOnTerminal,
    /// There is none.
    #[error("--registry-password-stdin: the first line of stdin is empty")]
    NoPassword,
    /// It cannot be read.
    #[error("--registry-password-stdin: stdin cannot be read as text: {0}")]
    Unreadable(std::io::ErrorKind),
}

pub(super) async fn redeploy(what: &What, config: &Config) -> Result<Asked, InvalidRequest> {
    let request = Request {
        container: what.container.clone(),
        image: what.image.clone(),
        use_existing_volumes: what.use_existing_volumes,
        skip_reinstall: what.skip_reinstall,
        archive_binds: what.archive_binds || config.archive_binds,
        verify_timeout: timeout(&what.verify, config)?,
        probe: what.verify.probe.clone(),
    };
    let login = match &what.registry_user {
        Some(user) => Some(RegistryLogin { user: user.clone(), password: read_password().await? }),
        None => None,
    };
    Ok(Asked { request, pull: what.pull, login })
}

pub(super) fn revert(args: &RevertArgs, config: &Config) -> Result<RevertRequest, InvalidRequest> {
    Ok(RevertRequest {
        container: args.container.clone(),
        volumes: args.volumes,
        verify_timeout: timeout(&args.verify, config)?,
        probe: args.verify.probe.clone(),
    })
}

fn timeout(verify: &Verify, config: &Config) -> Result<Duration, InvalidRequest> {
    let timeout = verify.verify_timeout.unwrap_or(config.verify_timeout);
    if timeout > config.settle_time {
        Ok(timeout)
    } else {
        Err(InvalidRequest::TimeoutTooShort { settle: config.settle_time })
    }
}

async fn read_password() -> Result<String, InvalidRequest> {
    let read = tokio::task::spawn_blocking(|| {
        let stdin = std::io::stdin();
        if stdin.is_terminal() {
            return Err(InvalidRequest::PasswordOnTerminal);
        }
        first_line(stdin.lock())
    });
    read.await.unwrap_or(Err(InvalidRequest::NoPassword))
}

/// The first line, without its end.
fn first_line(from: impl BufRead) -> Result<String, InvalidRequest> {
    let mut line = String::new();
    from.take(PASSWORD_BYTES_MAX)
        .read_line(&mut line)
        .map_err(|error| InvalidRequest::Unreadable(error.kind()))?;
    let password = line.trim_end_matches(['\n', '\r']);
    if password.is_empty() { Err(InvalidRequest::NoPassword) } else { Ok(password.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_is_the_first_line_and_nothing_else() {
        assert_eq!(first_line(&b"pa ss\r\nmore\n"[..]).unwrap(), "pa ss");
        assert_eq!(first_line(&b"pass"[..]).unwrap(), "pass");
        for bad in [&b""[..], b"\n", b"\xff\xfe\n"] {
            assert!(first_line(bad).is_err());
        }
    }

    #[test]
    fn errors_never_show_what_was_read() {
        let error = first_line(&b"secret\xff\n"[..]).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("secret"));
    }

    #[test]
    fn a_timeout_that_nobody_can_meet_is_refused() {
        let config = Config::built_in();
        let verify = |time| Verify { verify_timeout: time, probe: None };
        assert_eq!(timeout(&verify(None), &config).unwrap(), config.verify_timeout);
        assert!(timeout(&verify(Some(config.settle_time)), &config).is_err());
        assert!(timeout(&verify(Some(config.settle_time * 2)), &config).is_ok());
    }
}
