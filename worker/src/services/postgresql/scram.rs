//! What PostgreSQL keeps of a password (RFC 5803, and "pg_authid" in its manual): with it the server knows who has the
//! password, and nobody can make the password of it. It is made here, so that no password is ever in a statement, which the
//! server may log.

use sha2::{Digest as _, Sha256};

use crate::secrets::Secret;

/// As many as the server's own default.
const ROUNDS: u32 = 4096;
const BLOCK: usize = 64;

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
    Ok(salted(text.as_bytes(), &salt, ROUNDS))
}

fn salted(password: &[u8], salt: &[u8], rounds: u32) -> String {
    let mut round = hmac(password, &[salt, &1_u32.to_be_bytes()].concat());
    let mut salted = round;
    for _ in 1..rounds {
        round = hmac(password, &round);
        for (sum, byte) in salted.iter_mut().zip(round) {
            *sum ^= byte;
        }
    }
    let stored = Sha256::digest(hmac(&salted, b"Client Key"));
    let server = hmac(&salted, b"Server Key");
    format!(
        "SCRAM-SHA-256${rounds}:{}${}:{}",
        base64(salt),
        base64(&stored),
        base64(&server)
    )
}

/// RFC 2104, for keys of at most one block or hashed to one.
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0_u8; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let padded = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text);
    let outer = Sha256::new().chain_update(padded(0x5c));
    outer.chain_update(inner.finalize()).finalize().into()
}

/// RFC 4648, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let at = |index: usize| u32::from(three.get(index).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for letter in 0..4 {
            text.push(match letter > three.len() {
                true => '=',
                false => char::from(LETTERS[(bits >> (18 - 6 * letter) & 63) as usize]),
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hmac_and_base64_are_those_of_their_rfcs() {
        let hex = crate::services::database::hex;
        // RFC 4231, test cases 2 and 6.
        assert_eq!(
            hex(&hmac(b"Jefe", b"what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(&hmac(
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First"
            )),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
        // RFC 4648, section 10.
        for (text, wanted) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(text.as_bytes()), wanted);
        }
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
