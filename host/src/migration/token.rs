//! What a sender over TCP shows to be let in.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use subtle::ConstantTimeEq;

/// A secret of the listener's, in hexadecimal digits.
pub struct Token(String);

/// Random bytes in a token: nobody guesses one in the single try that a listener gives.
const BYTES: usize = 16;

impl Token {
    /// A new one of the kernel's random bytes.
    ///
    /// # Errors
    /// When the kernel gives none.
    pub fn random() -> io::Result<Self> {
        let mut bytes = [MaybeUninit::uninit(); BYTES];
        let (bytes, missing) = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
        if !missing.is_empty() {
            return Err(io::Error::other("the kernel gave too few random bytes"));
        }
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// Whether somebody shows this token; how long it takes does not say how much of it is right.
    pub fn is(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }

    /// The digits, for whoever may send.
    pub fn digits(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_the_token() {
        let token = Token::random().unwrap();
        assert_eq!(token.digits().len(), 2 * BYTES);
        assert!(token.is(token.digits().as_bytes()));
        for at in 0..token.digits().len() {
            let mut other = token.digits().as_bytes().to_vec();
            other[at] ^= 1;
            assert!(!token.is(&other));
            assert!(!token.is(&other[..at]));
        }
        assert!(!token.is(&[token.digits(), "0"].concat().into_bytes()));
        assert!(!token.is(Token::random().unwrap().digits().as_bytes()));
    }
}
