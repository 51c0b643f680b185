//! What can be wrong with flags.

/// A flag's value that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FlagError {
    /// A value of the wrong form.
    #[error("--{flag}: {value:?}: {reason}")]
    Value {
        /// Name without dashes.
        flag: &'static str,
        /// As written.
        value: String,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// Flags of the other mode.
    #[error("The following flag(s) {verb}: [{}]", quoted(flags))]
    Mode {
        /// Names without dashes.
        flags: Vec<&'static str>,
        /// What is wrong with them.
        verb: &'static str,
    },
    /// Features that exclude each other.
    #[error("cannot enable {0} and {1} features at the same time")]
    Features(&'static str, &'static str),
    /// A flag of Prometheus without effect in this build.
    #[error(
        "--{flag} is not supported: {reason}; remove it (only its default, {default:?}, is accepted)"
    )]
    Unsupported {
        /// Name without dashes.
        flag: String,
        /// Why, and what does it instead.
        reason: &'static str,
        /// The only accepted value.
        default: String,
    },
}

/// As Go prints a list of texts.
fn quoted(flags: &[&str]) -> String {
    let quoted: Vec<String> = flags.iter().map(|flag| format!("\"--{flag}\"")).collect();
    quoted.join(" ")
}
