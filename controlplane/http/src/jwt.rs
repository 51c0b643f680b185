//! The signed assertion of RFC 7523.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value, json};

use crate::settings::{Grant, OAuth2Settings, SignatureAlgorithm};

/// Seconds that an assertion is good for, as in Prometheus.
const LIFE_SECONDS: u64 = 600;

/// An assertion that the client is who it says, signed with an RSA key in PEM.
pub(crate) fn assertion(settings: &OAuth2Settings, key: &str) -> Result<String, String> {
    let Grant::JwtBearer {
        key_id,
        algorithm,
        issuer,
        audience,
        claims,
        ..
    } = &settings.grant
    else {
        return Err("this grant needs no assertion".to_owned());
    };
    let (name, padding): (_, &'static dyn RsaEncoding) = match algorithm {
        SignatureAlgorithm::Rs256 => ("RS256", &RSA_PKCS1_SHA256),
        SignatureAlgorithm::Rs384 => ("RS384", &RSA_PKCS1_SHA384),
        SignatureAlgorithm::Rs512 => ("RS512", &RSA_PKCS1_SHA512),
    };
    let mut header = json!({"alg": name, "typ": "JWT"});
    if let Some(id) = key_id {
        header["kid"] = Value::String(id.clone());
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_err(|e| e.to_string())?.as_secs();
    let random = SystemRandom::new();
    let mut content = Map::new();
    let mut set = |name: &str, value: Value| content.insert(name.to_owned(), value);
    set("iss", issuer.as_str().into());
    set("sub", settings.client_id.as_str().into());
    set("jti", identifier(&random)?.into());
    set("aud", audience.as_str().into());
    set("iat", now.into());
    set("exp", (now + LIFE_SECONDS).into());
    if !settings.scopes.is_empty() {
        set("scope", settings.scopes.join(" ").into());
    }
    content.extend(claims.clone());
    let content = Value::Object(content);
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&content));
    let key = rsa_key(key)?;
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(padding, &random, signed.as_bytes(), &mut signature)
        .map_err(|_| "the key cannot sign".to_owned())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

fn rsa_key(pem: &str) -> Result<RsaKeyPair, String> {
    let key = PrivateKeyDer::from_pem_slice(pem.as_bytes())
        .map_err(|e| format!("no key in PEM format: {e}"))?;
    let parsed = match &key {
        PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
        PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
        _ => return Err("the key is not an RSA key".to_owned()),
    };
    parsed.map_err(|e| format!("not a usable RSA key: {e}"))
}

/// A random identifier in the form of a UUID.
fn identifier(random: &SystemRandom) -> Result<String, String> {
    let mut bytes = [0; 16];
    random
        .fill(&mut bytes)
        .map_err(|_| "no random numbers".to_owned())?;
    // Version 4, variant 1 of RFC 9562.
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    Ok(parts.join("-"))
}
