//! The home directory of an image's user, for `${home}`.
//!
//! Flows in: the image's `User` setting and the bytes of its /etc/passwd. Flows out: a path, if one is certain.

use crate::guest_path::GuestPath;

/// The home of `user`, which is a name or a number with or without a `:group`; empty means root.
///
/// As the engine does, the first line of `passwd` whose name or number is `user` counts. Root not listed has
/// `/root`; anybody else not listed, or listed with something that is no absolute path, has none.
#[must_use]
pub fn home_of(user: &str, passwd: &[u8]) -> Option<GuestPath> {
    let user = user.split_once(':').map_or(user, |(user, _group)| user);
    let user = if user.is_empty() { "0" } else { user };
    let number: Option<u32> = user.parse().ok();
    let is_root = number == Some(0) || user == "root";

    for line in passwd.split(|byte| *byte == b'\n') {
        let fields: Vec<&[u8]> = line.trim_ascii_end().splitn(7, |byte| *byte == b':').collect();
        let [name, _password, uid, _gid, _comment, home, ..] = fields.as_slice() else { continue };
        let uid: Option<u32> = std::str::from_utf8(uid).ok().and_then(|uid| uid.parse().ok());
        if *name == user.as_bytes() || (number.is_some() && uid == number) {
            return home.starts_with(b"/").then(|| GuestPath::new(home).ok()).flatten();
        }
    }
    is_root.then(|| GuestPath::new("/root").ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &[u8] = b"# users\nroot:x:0:0:root:/root:/bin/sh\nbroken line\nweb:x:33:33::/var/www:/bin/sh\r\n\
        rel:x:40:40::srv:/bin/sh\nup:x:41:41::/a/../b:/bin/sh\nnone:x:42:42:::/bin/sh\nslash:x:43:43::/:/bin/sh\n\
        short:x:44:44::/home/short";

    fn home(user: &str) -> Option<String> {
        home_of(user, PASSWD).map(|home| home.to_string())
    }

    #[test]
    fn names_numbers_and_groups() {
        for (user, expected) in [
            ("", Some("/root")),
            ("0", Some("/root")),
            ("root", Some("/root")),
            ("0:0", Some("/root")),
            ("web", Some("/var/www")),
            ("33", Some("/var/www")),
            ("web:staff", Some("/var/www")),
            ("slash", Some("/")),
            ("short", Some("/home/short")),
            ("nobody", None),
            ("1000", None),
            ("rel", None),
            ("up", None),
            ("none", None),
            ("broken line", None),
            ("99999999999", None),
        ] {
            assert_eq!(home(user).as_deref(), expected, "{user:?}");
        }
    }

    #[test]
    fn root_has_a_home_without_a_passwd_and_the_listed_one_with_it() {
        assert_eq!(home_of("", b"").unwrap().to_string(), "/root");
        assert_eq!(home_of("root", b"root:x:0:0::/data:/bin/sh").unwrap().to_string(), "/data");
        assert_eq!(home_of("web", b""), None);
    }
}
