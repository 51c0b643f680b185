//! `--enable-feature` of tools.

use std::io::Write;

use bellwether_promql::ParseOptions;
use clap::{ArgAction, Args};

#[derive(Clone, Debug, Args)]
pub(super) struct FeatureArgs {
    /// Features of PromQL to enable, separated by commas, may be repeated: promql-experimental-functions,
    /// promql-delayed-name-removal, promql-extended-range-selectors, promql-binop-fill-modifiers.
    #[arg(long = "enable-feature", value_name = "NAMES", action = ArgAction::Append)]
    enable_feature: Vec<String>,
}

/// What the features change.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ToolFeatures {
    pub(super) promql: ParseOptions,
    pub(super) delayed_name_removal: bool,
}

impl FeatureArgs {
    /// Unknown features are reported to `out`, as promtool does.
    pub(super) fn resolve(&self, out: &mut impl Write) -> std::io::Result<ToolFeatures> {
        let mut features = ToolFeatures::default();
        for name in self
            .enable_feature
            .iter()
            .flat_map(|names| names.split(','))
        {
            match name {
                "promql-experimental-functions" => features.promql.experimental_functions = true,
                "promql-extended-range-selectors" => {
                    features.promql.extended_range_selectors = true;
                }
                "promql-binop-fill-modifiers" => features.promql.fill_modifiers = true,
                "promql-delayed-name-removal" => features.delayed_name_removal = true,
                // On in any case.
                "promql-duration-expr" | "" => {}
                other => writeln!(
                    out,
                    "  WARNING: Unknown feature passed to --enable-feature: {other}"
                )?,
            }
        }
        Ok(features)
    }
}
