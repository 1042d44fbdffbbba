//! How many files this process may hold open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::RootError;

/// Raises the limit of open files to what this process may ask for, and gives the limit then in force (`u64::MAX`:
/// none). A walk holds one descriptor per level of nesting, a removal and an archive of many rounds some more: the
/// usual 1024 is too little for deep trees. Call it once, before anything is opened.
///
/// # Errors
/// [`RootError::OpenFiles`]; everything but very deep trees still works.
pub fn raise_open_files_limit() -> Result<u64, RootError> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let (soft, hard) = (current.unwrap_or(u64::MAX), maximum.unwrap_or(u64::MAX));
    if soft >= hard {
        return Ok(soft);
    }
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .map_err(|source| RootError::OpenFiles { soft, hard, source: source.into() })?;
    Ok(hard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_to_what_is_allowed_and_raising_it_again_changes_nothing() {
        let before = getrlimit(Resource::Nofile);
        let raised = raise_open_files_limit().unwrap();
        assert_eq!(raised, before.maximum.unwrap_or(u64::MAX));
        assert_eq!(getrlimit(Resource::Nofile).current, before.maximum);
        assert_eq!(raise_open_files_limit().unwrap(), raised);
    }
}
