//! How values of configuration keys are read where serde's own way differs from Prometheus'.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// A key without a value stands for the type's default. For `deserialize_with`.
///
/// # Errors
/// When a value is there and does not fit.
pub fn null_is_default<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// A list whose entries must not be null; a null list is empty. `empty_entry` says what is wrong with a null entry.
///
/// # Errors
/// When an entry is null or does not fit.
pub fn list<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
    empty_entry: &'static str,
) -> Result<Vec<T>, D::Error> {
    Option::<Vec<Option<T>>>::deserialize(deserializer)?
        .unwrap_or_default()
        .into_iter()
        .map(|entry| entry.ok_or_else(|| D::Error::custom(empty_entry)))
        .collect()
}
