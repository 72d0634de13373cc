//! Grants: sealed and opened here, and what must not open.

#![allow(clippy::unwrap_used)]

use super::*;

fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

fn file_of(identity: &Identity) -> Identities {
    Identities::parse(identity.to_file().as_bytes(), None).unwrap()
}

fn same(a: &Identity, b: &Identity) -> bool {
    a.to_text().expose_secret() == b.to_text().expose_secret()
}

#[test]
fn a_grant_opens_for_its_customer_and_for_nobody_else() {
    let (release, acme, other) = (Identity::generate(), Identity::generate(), Identity::generate());
    let grant = seal(&release, SealTo::Recipients(&[acme.recipient()])).unwrap();
    assert!(same(&release, &open(&grant, OpenWith::Identities(&file_of(&acme))).unwrap()));
    let error = open(&grant, OpenWith::Identities(&file_of(&other))).unwrap_err();
    assert_eq!(error, GrantError::NotForYou);
    let error = open(&grant, OpenWith::Passphrase(&secret("x"))).unwrap_err();
    assert_eq!(error, GrantError::NotByPassphrase);
    assert!(!wants_passphrase(&grant));
}

#[test]
fn a_passphrase_grant_opens_with_that_passphrase_alone() {
    let release = Identity::generate();
    let grant = seal(&release, SealTo::Passphrase(&secret("correct horse"))).unwrap();
    assert!(wants_passphrase(&grant));
    assert!(same(&release, &open(&grant, OpenWith::Passphrase(&secret("correct horse"))).unwrap()));
    let error = open(&grant, OpenWith::Passphrase(&secret("wrong"))).unwrap_err();
    assert_eq!(error, GrantError::WrongPassphrase);
    let error = open(&grant, OpenWith::Identities(&file_of(&release))).unwrap_err();
    assert_eq!(error, GrantError::PassphraseNeeded);
    assert_eq!(seal(&release, SealTo::Passphrase(&secret(""))), Err(GrantError::EmptyPassphrase));
}

#[test]
fn a_locked_identity_file_opens_with_its_passphrase() {
    let identity = Identity::generate();
    let file = lock_identity(&identity, &secret("pw")).unwrap();
    assert!(file.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"));
    assert_eq!(Identities::parse(file.as_bytes(), None).unwrap_err(), GrantError::PassphraseNeeded);
    let opened = Identities::parse(file.as_bytes(), Some(&secret("pw"))).unwrap().into_one().unwrap();
    assert!(same(&identity, &opened));
}

#[test]
fn work_past_the_limit_is_refused_before_it_is_done() {
    let release = Identity::generate();
    let grant = seal(&release, SealTo::Passphrase(&secret("pw"))).unwrap();
    let at = grant.windows(4).position(|bytes| bytes == b" 18\n").unwrap();
    let mut costly = grant.clone();
    costly[at + 1..at + 3].copy_from_slice(b"21");
    let error = open(&costly, OpenWith::Passphrase(&secret("pw"))).unwrap_err();
    assert_eq!(error, GrantError::Work { asked: 21, limit: 20 });
}

#[test]
fn every_cut_and_every_flipped_bit_is_noticed() {
    let (release, acme) = (Identity::generate(), Identity::generate());
    let grant = seal(&release, SealTo::Recipients(&[acme.recipient()])).unwrap();
    let file = file_of(&acme);
    for end in 0..grant.len() {
        assert!(open(&grant[..end], OpenWith::Identities(&file)).is_err(), "cut at {end}");
    }
    for at in 0..grant.len() {
        let mut flipped = grant.clone();
        flipped[at] ^= 1 << (at % 8);
        assert!(open(&flipped, OpenWith::Identities(&file)).is_err(), "flipped at {at}");
    }
    let mut longer = grant.clone();
    longer.push(0);
    assert_eq!(open(&longer, OpenWith::Identities(&file)).unwrap_err(), GrantError::Damaged);
}

#[test]
fn what_is_inside_must_be_one_identity() {
    let acme = Identity::generate();
    let two = format!("{}{}", *acme.to_file(), *Identity::generate().to_file());
    for inside in ["", "hello\n", two.as_str()] {
        let grant = seal_bytes(inside.as_bytes(), SealTo::Recipients(&[acme.recipient()])).unwrap();
        let error = open(&grant, OpenWith::Identities(&file_of(&acme))).unwrap_err();
        assert_eq!(error, GrantError::Content);
    }
}

#[test]
fn files_of_keys_are_read_strictly() {
    let identity = Identity::generate();
    let recipient = identity.recipient().to_string();
    let text = identity.to_text();
    let text = text.expose_secret();
    let list = |file: &str| Recipient::parse_file(file.as_bytes());
    assert_eq!(list(&format!("# acme\n\n{recipient}\r\n")).unwrap(), [identity.recipient()]);
    assert_eq!(list("# nothing\n"), Err(GrantError::Nothing { what: "recipient" }));
    assert_eq!(list(&format!("{recipient}\nssh-ed25519 AAAA\n")), Err(GrantError::Recipient { line: 2 }));
    assert_eq!(list(text), Err(GrantError::IdentityAsRecipient { line: 1 }));
    let many = format!("{recipient}\n").repeat(limits::IDENTITIES);
    assert_eq!(list(&many).unwrap().len(), limits::IDENTITIES);
    assert_eq!(list(&(many + &recipient)), Err(GrantError::TooMany { limit: limits::IDENTITIES }));

    let identities =
        |file: &str| Identities::parse(file.as_bytes(), None).map(|found| found.as_slice().len());
    assert_eq!(identities(&format!("{text}\n{text}\n")), Ok(2));
    assert_eq!(identities(&recipient), Err(GrantError::Identity { line: 1 }));
    assert_eq!(identities(""), Err(GrantError::Nothing { what: "identity" }));
    assert_eq!(identities("AGE-PLUGIN-YUBIKEY-1QQQQ\n"), Err(GrantError::Identity { line: 1 }));
    assert!(matches!(Identities::parse(&[b'#'; 70_000], None), Err(GrantError::TooLong { .. })));
    assert!(!format!("{identity:?}").contains("SECRET"));
}
