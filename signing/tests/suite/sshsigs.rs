//! SSH signatures: ours, and every way they can be wrong.

use signing::sshsig::{SshsigError, allowed_signers_line, check, sign};

use super::key;

#[test]
fn a_signature_holds_for_its_key_and_document_alone() {
    let (a, b) = (key(1), key(2));
    let armored = sign(&a, b"document");
    assert_eq!(check(&a.public(), b"document", armored.as_bytes()), Ok(()));
    assert_eq!(check(&a.public(), b"documenT", armored.as_bytes()), Err(SshsigError::Invalid));
    assert_eq!(check(&b.public(), b"document", armored.as_bytes()), Err(SshsigError::OtherKey));
    let windows = armored.replace('\n', "\r\n");
    assert_eq!(check(&a.public(), b"document", windows.as_bytes()), Ok(()));
    assert!(armored.lines().all(|line| line.len() <= 70) && armored.ends_with("-----\n"));
}

#[test]
fn every_cut_and_every_flipped_byte_is_refused() {
    let a = key(1);
    let armored = sign(&a, b"document");
    let end = armored.trim_end().len();
    for cut in 0..end {
        assert!(check(&a.public(), b"document", &armored.as_bytes()[..cut]).is_err(), "cut at {cut}");
    }
    for at in 0..end {
        let mut flipped = armored.clone().into_bytes();
        flipped[at] ^= 1;
        assert!(check(&a.public(), b"document", &flipped).is_err(), "flipped at {at}");
    }
    assert!(check(&a.public(), b"document", &vec![b'A'; 5000]).is_err());
    assert!(check(&a.public(), b"document", format!("{armored}{armored}").as_bytes()).is_err());
}

#[test]
fn a_principal_cannot_add_options_or_lines() {
    let public = key(1).public();
    let line = allowed_signers_line("vendor@example.com", &public).unwrap();
    assert!(
        line.starts_with("vendor@example.com namespaces=\"bundle\" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA")
    );
    for bad in ["", "a b", "a\nb", "*", "a,b", "!a", "\"a\"", "#a"] {
        assert_eq!(allowed_signers_line(bad, &public), None, "{bad:?}");
    }
}
