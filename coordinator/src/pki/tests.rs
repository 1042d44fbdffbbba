//! The authority: what it signs, what it does not, and what it does with its files.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, KeyPair, SanType};
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Authority, PkiError, key_hash, peer_of, sha256};
use crate::ids::HostId;

fn open(dir: &Path) -> Result<Authority, PkiError> {
    Authority::open(dir, SystemTime::now())
}

fn host() -> HostId {
    "0193a1b2-7c00-7000-8000-0123456789ab".parse().unwrap()
}

#[test]
fn it_is_made_once_for_its_owner_only_and_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("pki");
    let first = open(&dir).unwrap();
    let again = open(&dir).unwrap();
    assert_eq!(first.certificate(), again.certificate());
    for file in ["ca.key", "ca.crt"] {
        let mode = std::fs::metadata(dir.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    assert_eq!(first.join_token().unwrap().ca_fingerprint, sha256(again.certificate()));
    assert_ne!(first.join_token().unwrap(), first.join_token().unwrap());
}

#[test]
fn a_key_without_certificate_was_never_used_and_a_certificate_without_key_needs_a_human() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path()).unwrap().certificate().clone();
    std::fs::remove_file(dir.path().join("ca.crt")).unwrap();
    assert_ne!(open(dir.path()).unwrap().certificate(), &first);
    std::fs::remove_file(dir.path().join("ca.key")).unwrap();
    assert!(matches!(open(dir.path()), Err(PkiError::KeyMissing { .. })));
}

#[test]
fn damaged_files_and_those_of_another_authority_are_refused_with_what_to_do() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    open(dir.path()).unwrap();
    open(other.path()).unwrap();
    std::fs::copy(other.path().join("ca.key"), dir.path().join("ca.key")).unwrap();
    let error = open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("ca.crt") && error.contains("does not belong"), "{error}");
    std::fs::copy(other.path().join("ca.crt"), dir.path().join("ca.key")).unwrap();
    let error = open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("ca.key") && error.contains("backup"), "{error}");
}

#[test]
fn only_the_public_key_of_a_request_counts() {
    let dir = tempfile::tempdir().unwrap();
    let authority = open(dir.path()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut asked = CertificateParams::new(["coordinator.redeploy.internal".to_owned()]).unwrap();
    asked.subject_alt_names.push(SanType::URI("redeploy:host:somebody-else".try_into().unwrap()));
    let csr = asked.serialize_request(&key).unwrap();
    let now = SystemTime::now();
    let issued = CertificateDer::from(authority.issue(csr.der(), &host(), now).unwrap());
    assert_eq!(peer_of(&issued).unwrap().host, host());
    let (_, parsed) = X509Certificate::from_der(&issued).unwrap();
    assert_eq!(sha256(parsed.public_key().raw), key_hash(csr.der()).unwrap());
    assert!(!parsed.is_ca());
    let usage = parsed.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
    let ends = authority.host_not_after(now).duration_since(now).unwrap();
    assert!(ends <= Duration::from_secs(90 * 86_400));
    let again = authority.issue(csr.der(), &host(), now).unwrap();
    assert_ne!(peer_of(&issued).unwrap().serial, peer_of(&CertificateDer::from(again)).unwrap().serial);
}

#[test]
fn what_is_no_request_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let authority = open(dir.path()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut forged = CertificateParams::default().serialize_request(&key).unwrap().der().to_vec();
    // The signature stands at the end: whoever sends this does not hold the key.
    if let Some(last) = forged.last_mut() {
        *last ^= 1;
    }
    for csr in [&b""[..], b"garbage", &[0x30; 9000], &forged] {
        let issued = authority.issue(csr, &host(), SystemTime::now());
        assert!(matches!(issued, Err(PkiError::Request(_))), "{issued:?}");
    }
}

#[test]
fn a_certificate_without_a_host_names_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let authority = open(dir.path()).unwrap();
    assert!(peer_of(authority.certificate()).is_err());
    let (own, _) = authority.own_certificate(SystemTime::now()).unwrap();
    assert!(peer_of(&own).is_err());
    assert!(peer_of(&CertificateDer::from(vec![1, 2, 3])).is_err());
}

#[test]
fn strict_clients_find_the_authority_behind_the_coordinators_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let authority = open(dir.path()).unwrap();
    let (own, _) = authority.own_certificate(SystemTime::now()).unwrap();
    let (_, parsed) = X509Certificate::from_der(&own).unwrap();
    let (_, signer) = X509Certificate::from_der(authority.certificate()).unwrap();
    let named = parsed.extensions().iter().find_map(|extension| {
        let ParsedExtension::AuthorityKeyIdentifier(key) = extension.parsed_extension() else { return None };
        key.key_identifier.clone()
    });
    let key = signer.extensions().iter().find_map(|extension| {
        let ParsedExtension::SubjectKeyIdentifier(key) = extension.parsed_extension() else { return None };
        Some(key.clone())
    });
    assert!(named.is_some() && named == key, "{named:?} {key:?}");
}

#[test]
fn an_authority_whose_time_is_over_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let ends = open(dir.path()).unwrap().not_after();
    assert!(Authority::open(dir.path(), ends - Duration::from_secs(1)).is_ok());
    let error = Authority::open(dir.path(), ends).unwrap_err().to_string();
    assert!(error.contains("ended at") && error.contains("join every host again"), "{error}");
}

#[test]
fn no_certificate_outlives_its_authority() {
    let dir = tempfile::tempdir().unwrap();
    let authority = open(dir.path()).unwrap().signing_for(Duration::from_secs(10 * 86_400));
    let late = authority.not_after() - Duration::from_secs(60);
    assert_eq!(authority.host_not_after(late), authority.not_after());
    let now = SystemTime::now();
    assert_eq!(authority.host_not_after(now), now + Duration::from_secs(10 * 86_400));
}
