//! What PostgreSQL keeps of a password (RFC 5803, and "pg_authid" in its manual): with it the server knows who has the
//! password, and nobody can make the password of it. It is made here, so that no password is ever in a statement, which the
//! server may log.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

use crate::secrets::Secret;

/// As many as the server's own default.
const ROUNDS: u32 = 4096;

/// Of this password, with a salt of its own.
///
/// # Errors
/// When the kernel has no randomness to give, or the password holds letters that have several spellings.
pub(super) fn verifier(password: &Secret) -> anyhow::Result<String> {
    let mut salt = [0_u8; 16];
    getrandom::fill(&mut salt)
        .map_err(|error| anyhow::anyhow!("the kernel gives no random bytes: {error}"))?;
    let text = password.expose();
    // Others would have to be prepared first (RFC 4013), by the same rules at both ends.
    anyhow::ensure!(
        text.bytes().all(|byte| (b' '..0x7f).contains(&byte)),
        "a database's password is of ASCII's printable letters"
    );
    salted(text.as_bytes(), &salt, ROUNDS)
}

fn salted(password: &[u8], salt: &[u8], rounds: u32) -> anyhow::Result<String> {
    let salted = pbkdf2::pbkdf2_hmac_array::<Sha256, 32>(password, salt, rounds);
    let mac = Hmac::<Sha256>::new_from_slice(&salted)?;
    let key = |name: &[u8]| mac.clone().chain_update(name).finalize().into_bytes();
    let base64 = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
    Ok(format!(
        "SCRAM-SHA-256${rounds}:{}${}:{}",
        base64(salt),
        base64(&Sha256::digest(key(b"Client Key"))),
        base64(&key(b"Server Key"))
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_is_that_of_the_rfcs_example() {
        // RFC 7677, section 3; the keys are what its client and its server prove there.
        let salt = BASE64_STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==");
        let made = salted(b"pencil", &salt.expect("base64"), 4096);
        assert_eq!(
            made.expect("made"),
            "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==\
             $WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn a_verifier_is_another_each_time_and_holds_no_password() {
        let password = Secret::of("s3cr3t with a blank".to_owned());
        let (one, two) = (
            verifier(&password).expect("made"),
            verifier(&password).expect("made"),
        );
        assert_ne!(one, two);
        assert!(one.starts_with("SCRAM-SHA-256$4096:") && !one.contains("s3cr3t"));
        assert!(verifier(&Secret::of("s\u{e9}cret".to_owned())).is_err());
    }
}
