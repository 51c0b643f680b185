//! Passwords: their hashes, and verdicts that are kept because bcrypt is slow on purpose.

use std::collections::{BTreeMap, HashMap};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bellwether_yaml::Secret;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use parking_lot::Mutex;
use ring::digest::{Context, SHA256};
use ring::rand::{SecureRandom, SystemRandom};

/// Verdicts kept, as in Prometheus' exporter toolkit.
const VERDICTS_MAX: usize = 100;

/// Checks the form of a hash as Go's bcrypt does, in its words.
pub(crate) fn check_hash(hash: &str) -> Result<(), String> {
    const LENGTH_MIN: usize = 59;
    let bytes = hash.as_bytes();
    if bytes.len() < LENGTH_MIN {
        return Err("crypto/bcrypt: hashedSecret too short to be a bcrypted password".to_owned());
    }
    if bytes[0] != b'$' {
        let first = char::from(bytes[0]);
        return Err(format!(
            "crypto/bcrypt: bcrypt hashes must start with '$', but hashedSecret started with '{first}'"
        ));
    }
    if bytes[1] > b'2' {
        let version = char::from(bytes[1]);
        return Err(format!(
            "crypto/bcrypt: bcrypt algorithm version '{version}' requested is newer than current version '2'"
        ));
    }
    // `$2$` or `$2b$`.
    let at = if bytes[2] == b'$' { 3 } else { 4 };
    let cost = String::from_utf8_lossy(&bytes[at..at + 2]).into_owned();
    let Ok(cost) = cost.parse::<i32>() else {
        return Err(format!("strconv.Atoi: parsing {cost:?}: invalid syntax"));
    };
    if !(4..=31).contains(&cost) {
        return Err(format!(
            "crypto/bcrypt: cost {cost} is outside allowed inclusive range 4..31"
        ));
    }
    Ok(())
}

type Key = [u8; 32];

/// Who may come in. Passwords are not kept, only digests of them under a key of this process.
pub(crate) struct Verdicts {
    salt: [u8; 32],
    kept: Mutex<HashMap<Key, bool>>,
    /// bcrypt runs once at a time: strangers must not get all processors.
    hashing: tokio::sync::Mutex<()>,
}

impl Verdicts {
    /// `None` when the system has no random numbers.
    pub(crate) fn new() -> Option<Self> {
        let mut salt = [0; 32];
        SystemRandom::new().fill(&mut salt).ok()?;
        Some(Self {
            salt,
            kept: Mutex::default(),
            hashing: tokio::sync::Mutex::default(),
        })
    }

    /// Whether a request has the name and password of one of the users.
    pub(crate) async fn allows(
        &self,
        users: &BTreeMap<String, Secret>,
        headers: &HeaderMap,
    ) -> bool {
        let Some((user, password)) = credentials(headers) else {
            return false;
        };
        let known = users.get(&user);
        // A stranger costs as much time as a user: nobody learns from the time who is one.
        let Some(hash) = known.or_else(|| users.values().next()) else {
            return false;
        };
        let key = self.key(&[&user, &hash.0, &password]);
        let kept = self.kept.lock().get(&key).copied();
        if let Some(verdict) = kept {
            return verdict && known.is_some();
        }
        let hash = hash.0.clone();
        let matches = {
            let _one_at_a_time = self.hashing.lock().await;
            tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false))
                .await
                .unwrap_or(false)
        };
        let verdict = matches && known.is_some();
        self.keep(key, verdict);
        verdict
    }

    fn key(&self, parts: &[&str]) -> Key {
        let mut context = Context::new(&SHA256);
        context.update(&self.salt);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part.as_bytes());
        }
        let mut key = Key::default();
        key.copy_from_slice(context.finish().as_ref());
        key
    }

    fn keep(&self, key: Key, verdict: bool) {
        let mut kept = self.kept.lock();
        if kept.len() >= VERDICTS_MAX {
            // The keys are random, and so is which of them go.
            let mut left = VERDICTS_MAX - VERDICTS_MAX / 10;
            kept.retain(|_, _| {
                let stays = left > 0;
                left = left.saturating_sub(1);
                stays
            });
        }
        kept.insert(key, verdict);
    }
}

/// Name and password of a request.
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(token).ok()?).ok()?;
    let (user, password) = decoded.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn users() -> BTreeMap<String, Secret> {
        let hash = bcrypt::hash("right", 4).unwrap();
        BTreeMap::from([("me".to_owned(), Secret(hash))])
    }

    fn request(user: &str, password: &str) -> HeaderMap {
        let token = STANDARD.encode(format!("{user}:{password}"));
        HeaderMap::from_iter([(AUTHORIZATION, format!("basic {token}").parse().unwrap())])
    }

    #[tokio::test]
    async fn only_users_with_their_password_come_in() {
        let (verdicts, users) = (Verdicts::new().unwrap(), users());
        for _ in 0..2 {
            assert!(verdicts.allows(&users, &request("me", "right")).await);
            assert!(!verdicts.allows(&users, &request("me", "wrong")).await);
            assert!(!verdicts.allows(&users, &request("you", "right")).await);
            assert!(!verdicts.allows(&users, &HeaderMap::new()).await);
        }
        assert_eq!(verdicts.kept.lock().len(), 3);
        let token = HeaderMap::from_iter([(AUTHORIZATION, "Bearer x".parse().unwrap())]);
        assert!(!verdicts.allows(&users, &token).await);
    }

    #[tokio::test]
    async fn verdicts_are_bounded() {
        let verdicts = Verdicts::new().unwrap();
        for i in 0..1000 {
            verdicts.keep(verdicts.key(&[&i.to_string()]), false);
        }
        assert!(verdicts.kept.lock().len() <= VERDICTS_MAX);
    }

    #[test]
    fn hashes_are_checked_as_by_go() {
        assert_eq!(check_hash(&bcrypt::hash("x", 4).unwrap()), Ok(()));
        let long = "x".repeat(60);
        for (hash, want) in [
            ("short", "hashedSecret too short"),
            (
                long.as_str(),
                "must start with '$', but hashedSecret started with 'x'",
            ),
            (&format!("$3{long}"), "version '3' requested is newer"),
            (
                &format!("$2y$xy{long}"),
                "strconv.Atoi: parsing \"xy\": invalid syntax",
            ),
            (
                &format!("$2y$99{long}"),
                "cost 99 is outside allowed inclusive range 4..31",
            ),
        ] {
            let error = check_hash(hash).unwrap_err();
            assert!(error.contains(want), "{error}");
        }
    }
}
