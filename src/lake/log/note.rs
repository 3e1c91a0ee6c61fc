//! Signed notes of C2SP: who signs, and how strictly what was signed is read.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand_core::OsRng;
use signed_note::{Note, StandardSigner, StandardVerifier, Verifier, VerifierList};

/// How a signing key's text begins.
const PRIVATE: &str = "PRIVATE+KEY+";

/// Number of Ed25519 among the kinds of keys of a signed note.
const ED25519: u8 = 1;

/// What signs. Its secret is never shown.
#[derive(Clone)]
pub(in crate::lake) struct SigningKey {
    signer: StandardSigner,
    verifier: String,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.verifier).finish()
    }
}

impl SigningKey {
    /// A new key for `origin`, and its text, which must be kept secret.
    pub(in crate::lake) fn generate(origin: &str) -> (Self, String) {
        let (secret, _) = signed_note::generate_key(&mut OsRng, origin);
        let key = Self::parse(&secret, origin).expect("a key that was just made is well-formed");
        (key, secret)
    }

    /// The key of that text: `PRIVATE+KEY+…` as signed notes write it, or 64 hexadecimal digits. Errors do not repeat it.
    pub(in crate::lake) fn parse(text: &str, origin: &str) -> Result<Self, String> {
        let text = text.trim();
        let encoded = if text.starts_with(PRIVATE) {
            text.to_owned()
        } else {
            let seed = hexadecimal(text).ok_or(
                "it is neither PRIVATE+KEY+… as signed notes write it nor 64 hexadecimal digits",
            )?;
            encode(&ed25519_dalek::SigningKey::from_bytes(&seed), origin)
        };
        let signer = StandardSigner::new(&encoded)
            .map_err(|_| "it is not a signing key of a signed note")?;
        let name = signed_note::Signer::name(&signer);
        if name != origin {
            return Err(format!("it is named {name:?}, not {origin:?}"));
        }
        // PRIVATE, KEY, name, id and, which may itself have a plus, the key.
        let seed = encoded
            .splitn(5, '+')
            .nth(4)
            .and_then(|bytes| STANDARD.decode(bytes).ok())
            .and_then(|bytes| <[u8; 32]>::try_from(bytes.get(1..)?).ok())
            .ok_or("it is not a signing key of a signed note")?;
        let public = ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key();
        Ok(Self {
            verifier: signed_note::new_ed25519_verifier_key(origin, &public),
            signer,
        })
    }

    /// What everybody may know of it: `name+id+key`, with which its signatures are checked.
    pub(in crate::lake) fn verifier(&self) -> &str {
        &self.verifier
    }

    /// The note of `text`, signed. `text` is lines without control characters, ending in a newline.
    pub(in crate::lake) fn sign(&self, text: &str) -> Vec<u8> {
        let mut note = Note::new(text.as_bytes(), &[])
            .expect("the texts that are signed here are lines without control characters");
        note.add_sigs(&[&self.signer])
            .expect("a key that is in memory can always sign");
        note.to_bytes()
    }
}

fn encode(key: &ed25519_dalek::SigningKey, origin: &str) -> String {
    let public = [&[ED25519][..], key.verifying_key().as_bytes()].concat();
    let private = [&[ED25519][..], &key.to_bytes()].concat();
    format!(
        "{PRIVATE}{origin}+{:08x}+{}",
        signed_note::key_id(origin, &public),
        STANDARD.encode(private)
    )
}

fn hexadecimal(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
    }
    Some(bytes)
}

/// Whether a log may be called so: signed notes allow neither spaces nor `+`.
pub(in crate::lake) fn is_origin(name: &str) -> bool {
    signed_note::is_key_name_valid(name) && !name.chars().any(char::is_control)
}

/// Whether `text` is a verifier key.
pub(in crate::lake) fn is_verifier(text: &str) -> bool {
    StandardVerifier::new(text).is_ok()
}

/// The text of the note in `bytes`, if `verifier` signed it. Signatures of others are passed over.
pub(in crate::lake) fn open(bytes: &[u8], verifier: &str) -> Result<String, String> {
    let known = StandardVerifier::new(verifier)
        .map_err(|_| format!("{verifier:?} is not a verifier key"))?;
    let note = Note::from_bytes(bytes).map_err(|_| "it is not a signed note")?;
    if note.to_bytes() != bytes {
        return Err("it is not written as a signed note is".to_owned());
    }
    let name = format!("{}+{:08x}", known.name(), known.key_id());
    note.verify(&VerifierList::new(vec![Box::new(known)]))
        .map_err(|error| format!("key {name} has not signed it: {error}"))?;
    String::from_utf8(note.text().to_vec()).map_err(|_| "it is not a signed note".to_owned())
}

/// As [`open`], of a note that nobody else may have signed: no byte of it is without a meaning.
pub(in crate::lake) fn open_own(bytes: &[u8], verifier: &str) -> Result<String, String> {
    let text = open(bytes, verifier)?;
    let lines = bytes.split(|byte| *byte == b'\n').count();
    // The text's lines, the empty one, the signature and what is after the last newline.
    if lines == text.lines().count() + 3 {
        Ok(text)
    } else {
        Err("it has a signature that nobody should have made".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_read_back_and_nothing_else_is() {
        let (key, secret) = SigningKey::generate("keytrail/main");
        let note = key.sign("a\nb\n");
        assert_eq!(open_own(&note, key.verifier()).unwrap(), "a\nb\n");
        let again = SigningKey::parse(&secret, "keytrail/main").unwrap();
        assert_eq!(again.sign("a\nb\n"), note, "signing has no chance in it");
        assert!(SigningKey::parse(&secret, "keytrail/other").is_err());
        let (other, _) = SigningKey::generate("keytrail/main");
        assert!(open(&note, other.verifier()).is_err());
        for at in 0..note.len() {
            for bit in 0..8 {
                let mut changed = note.clone();
                changed[at] ^= 1 << bit;
                assert!(
                    open(&changed, key.verifier()).is_err(),
                    "byte {at} bit {bit}"
                );
            }
        }
        // A second signature is allowed where others may sign, and only there.
        let doubled = [note.clone(), other.sign("a\nb\n")[5..].to_vec()].concat();
        assert_eq!(open(&doubled, key.verifier()).unwrap(), "a\nb\n");
        assert!(open_own(&doubled, key.verifier()).is_err());
    }

    #[test]
    fn a_key_of_digits_is_the_same_each_time_and_is_never_shown() {
        let digits = "0b".repeat(32);
        let key = SigningKey::parse(&digits, "keytrail/main").unwrap();
        let again = SigningKey::parse(&format!("{digits}\n"), "keytrail/main").unwrap();
        assert_eq!(key.verifier(), again.verifier());
        assert!(!format!("{key:?}").contains("PRIVATE"));
        for text in ["", "0b", &"zz".repeat(32), "PRIVATE+KEY+x"] {
            let error = SigningKey::parse(text, "keytrail/main").unwrap_err();
            assert!(text.len() < 8 || !error.contains(text), "{error}");
        }
    }
}
