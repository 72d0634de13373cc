//! What is and what is no signature of an image. Keys of every kind, and `openssl`'s own signatures, are tried by the program's tests.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use signing::cosign::{self, CosignError, CosignKey};
use signing::{SecretKey, limits, raw};

const IMAGE: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";

fn key() -> (SecretKey, CosignKey) {
    let secret = SecretKey::from_seed(&[7; 32].into());
    let public = CosignKey::from_pem(secret.public().to_pem().as_bytes()).unwrap();
    (secret, public)
}

fn payload(digest: &str, kind: &str) -> String {
    format!(
        "{{\"critical\":{{\"identity\":{{\"docker-reference\":\"h.io/a\"}},\"image\":{{\"docker-manifest-digest\":\"{digest}\"}},\"type\":\"{kind}\"}},\"optional\":{{\"a\":1}}}}"
    )
}

const KIND: &str = "cosign container image signature";

#[test]
fn only_the_very_text_by_the_very_key_about_the_very_image_holds() {
    let (secret, public) = key();
    let good = payload(IMAGE, KIND);
    let signed = STANDARD.encode(raw::sign(&secret, good.as_bytes()));
    assert_eq!(cosign::check(&public, IMAGE, (good.as_bytes(), &signed)), Ok(()));

    let other = IMAGE.replace('1', "2");
    let got = cosign::check(&public, &other, (good.as_bytes(), &signed));
    assert_eq!(got, Err(CosignError::Image { got: IMAGE.to_owned(), wanted: other }));
    let changed = good.replace("h.io", "h.ix");
    assert!(matches!(cosign::check(&public, IMAGE, (changed.as_bytes(), &signed)), Err(CosignError::Key(_))));
    let stranger = SecretKey::from_seed(&[8; 32].into());
    let theirs = STANDARD.encode(raw::sign(&stranger, good.as_bytes()));
    assert!(matches!(cosign::check(&public, IMAGE, (good.as_bytes(), &theirs)), Err(CosignError::Key(_))));
    for bad in ["", "AAAA", &signed[..40]] {
        assert!(matches!(cosign::check(&public, IMAGE, (good.as_bytes(), bad)), Err(CosignError::Key(_))));
    }
    for bad in ["not base64!", "A", &"A".repeat(limits::COSIGN_SIGNATURE_BYTES + 4)] {
        assert_eq!(
            cosign::check(&public, IMAGE, (good.as_bytes(), bad)),
            Err(CosignError::Encoding),
            "{bad}"
        );
    }
}

#[test]
fn a_text_that_names_no_image_as_cosign_does_is_refused_though_signed() {
    let (secret, public) = key();
    let twice = payload(IMAGE, KIND).replace("\"type\"", "\"type\":\"x\",\"type\"");
    let long = payload(IMAGE, KIND) + &" ".repeat(limits::COSIGN_PAYLOAD_BYTES);
    for (reason, text) in [
        ("empty", String::new()),
        ("no JSON", "x".to_owned()),
        ("a list", "[]".to_owned()),
        ("another type", payload(IMAGE, "atomic container signature")),
        ("a digest in upper case", payload(&format!("sha256:{}", "A".repeat(64)), KIND)),
        ("a digest of another kind", payload(&format!("sha512:{}", "1".repeat(64)), KIND)),
        ("a digest cut off", payload("sha256:11", KIND)),
        ("a key twice", twice),
        ("text after it", payload(IMAGE, KIND) + "{}"),
    ] {
        let signed = STANDARD.encode(raw::sign(&secret, text.as_bytes()));
        let got = cosign::check(&public, IMAGE, (text.as_bytes(), &signed));
        assert_eq!(got, Err(CosignError::Payload), "{reason}");
        assert_eq!(cosign::image(text.as_bytes()), None, "{reason}");
    }
    let signed = STANDARD.encode(raw::sign(&secret, long.as_bytes()));
    let got = cosign::check(&public, IMAGE, (long.as_bytes(), &signed));
    assert_eq!(got, Err(CosignError::TooLong { bytes: long.len() }));
    assert_eq!(cosign::image(long.as_bytes()), None);
}
